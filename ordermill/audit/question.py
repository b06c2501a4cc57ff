"""What is asked of the audit, and what it answers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from ordermill.audit.invariant import Invariant, Kind

Window = tuple[datetime, datetime]


class Told(NamedTuple):
    """What a client was told with 2xx: under this key there is this order."""

    order_id: UUID
    customer_id: UUID
    key: str


@dataclass(frozen=True)
class Question:
    """What to look at.

    Attributes:
        recent: only at orders that changed in this time, and at parcels of commands of this time; None for everything.
        most: of those only at so many, the newest, and at so many parcels and events; 0 for all.
        rest: not at those; for what holds once the shop has drained, asked of a shop that never does.
        told: what clients were told (O1, O2).
        outages: windows of faults, in which nobody can keep a deadline (O4) or relay (E2).
        poisoned: the ids of messages that were injected to be parked (E8); nobody published them (E4).
        only: the ids of the invariants that are asked for; empty for all of these kinds.
    """

    kinds: frozenset[Kind]
    recent: timedelta | None = None
    most: int = 0
    rest: timedelta | None = None
    told: Sequence[Told] = ()
    outages: Sequence[Window] = ()
    poisoned: Sequence[UUID] = ()
    only: Collection[str] = ()


@dataclass(frozen=True)
class Verdict:
    """How it stands with one invariant: the first rows that break it, and how many there are.

    One that cannot be asked, since somebody has written what it cannot read, is as one that a row breaks; `unasked` is
    what PostgreSQL says against it.
    """

    invariant: Invariant
    broken: list[dict[str, Any]]
    seconds: float
    count: int
    unasked: str = ""
