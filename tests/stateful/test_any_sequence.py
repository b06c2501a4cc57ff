"""Whatever customers, staff, provider, network and time do, in any order: every promise holds after every step."""

import os

from hypothesis import settings

from inventory_service.domain.reservation import Status as ReservationStatus
from order_service.domain.status import OrderStatus
from payment_service.domain.notice import NoticeStatus
from payment_service.domain.payment import PaymentStatus, RefundStatus
from tests.stateful.broker import Publishing
from tests.stateful.faults import PLACES, Mood
from tests.stateful.sequence import PROFILE, explore
from tests.stateful.walks import WALKS

LONG = os.environ.get("ORDERMILL_LONG") == "1"
EXAMPLES = settings(PROFILE, max_examples=600 if LONG else 30, derandomize=not LONG)

STATES = {
    "order": OrderStatus,
    "payment": PaymentStatus,
    "refund": RefundStatus,
    "notice": NoticeStatus,
    "reservation": ReservationStatus,
    "event": ("deferred", "parked"),
    "careful event": ("deferred", "parked"),
    "kill at": PLACES,
    "cut at": PLACES,
    "the provider:": Mood,
    "a relay:": Publishing,
}
DONE = {
    "an answer was replayed",
    "an answer was lost, and given again",
    "a key was refused",
    "a twin was given the same answer",
    "paid again",
    "a way of paying was given",
    "shipped",
    "a delivery was recorded",
    "goods came back",
    "money was given back",
    "told again",
    "told ahead of its payment",
    "redelivered",
    "parked events were replayed",
}


def test_every_promise_holds_after_every_step(shop):
    reached = explore(shop, EXAMPLES, WALKS)

    worth_reaching = {f"{kind} {state}" for kind, states in STATES.items() for state in states} | DONE
    assert sorted(worth_reaching - reached.keys()) == []
