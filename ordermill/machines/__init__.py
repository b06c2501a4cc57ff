"""The domains as state machines, driven through their real decisions: for the diagrams and for tests/model."""

from ordermill.machines.driving import Driven, Things
from ordermill.machines.order import order, order_in_one
from ordermill.machines.payment import payment
from ordermill.machines.reservation import reservation

__all__ = ["Driven", "Things", "order", "order_in_one", "payment", "reservation"]
