"""Erasing what orders say of a customer who is erased: some orders at a time, however many there are."""

from dataclasses import dataclass, replace
from uuid import UUID

from contracts.types import OrderId, UserId

_NONE = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """That a customer's orders are being erased, in the order of their ids; those up to ``reached`` are."""

    customer_id: UserId
    reached: UUID = _NONE
    is_over: bool = False

    @property
    def key(self) -> UserId:
        return self.customer_id


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseOrders:
    """The customer's next orders ``after`` what is reached; ``is_last`` where nothing is left to be erased."""

    customer_id: UserId
    after: UUID
    order_ids: tuple[OrderId, ...]
    is_last: bool = False


def go_on(erasure: Erasure, command: EraseOrders) -> Erasure:
    """As it is once these orders are erased."""
    return replace(erasure, reached=max((erasure.reached, *command.order_ids)), is_over=command.is_last)
