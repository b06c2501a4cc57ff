"""Whose calls to the provider may begin while many are out: one customer's slow cards hold up nobody else's charges."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

PARTS = 8


@dataclass(slots=True)
class Room:
    """The places for calls, how many of them are free, and how many each customer has taken.

    Half of the places are for whoever comes. Of the other half a customer takes one only while they have less than an
    eighth of what is still free: each slow one leaves most of it to the next, and whoever has none may take the last.
    """

    places: int
    free: int
    taken: Counter[UUID]

    def is_open_to(self, customer_id: UUID) -> bool:
        """Whether a call of theirs may begin."""
        return 2 * self.free > self.places or PARTS * self.taken[customer_id] < self.free

    def take(self, customer_id: UUID) -> bool:
        """Takes a place for a call of theirs, if it may begin."""
        is_open = self.is_open_to(customer_id)
        if is_open:
            self.taken[customer_id] += 1
            self.free -= 1
        return is_open

    @property
    def closed_to(self) -> list[UUID]:
        """Those none of whose calls may begin."""
        return [customer_id for customer_id in self.taken if not self.is_open_to(customer_id)]

    @property
    def at_once(self) -> int:
        """How many calls may begin together, whosever they are: who had a share has two of them at most then."""
        before_half = self.free - self.places // 2
        return before_half if before_half > 0 else max(self.free // PARTS, min(self.free, 1))
