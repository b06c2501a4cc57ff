"""Work for a loop of this process that is claimed by the very step that makes it, and handed over once it is committed.

So the loop needs no transaction of its own to claim it. What is never handed over, because the process died or the
commit's fate is unknown, is claimed by whoever looks for it when its lease is over, as that of any dead process.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chassis.decisions import Cause
from chassis.tasks import Signal


@dataclass(slots=True, eq=False)
class Handover:
    """How a loop takes over what is made for it.

    Attributes:
        lease: how long what is claimed is nobody else's.
        spare: how many works more the loop has room for.
        begin: starts works whose lease began at this time of the event loop, and returns at once.
        offers: which works a batch that has claimed these already may claim now; it is asked about one after the other,
            and counts what it lets be claimed. What it does not is due at once, and the loop looks for it as usual.
        left: fires when a batch may have left something that has to be claimed, since there was no room.
    """

    lease: timedelta
    spare: Callable[[], int]
    begin: Callable[[Sequence[Any], float], None]
    offers: Callable[[Sequence[Any]], Callable[[Any], bool]] = lambda _claimed: lambda _work: True
    left: Signal = field(default_factory=Signal)
    claiming: int = 0

    @property
    def room(self) -> int:
        """How many works more may be claimed now."""
        return self.spare() - self.claiming

    @contextmanager
    def reserved(self, many: int) -> Iterator[None]:
        """Keeps room for works that the body claims and begins."""
        self.claiming += many
        try:
            yield
        finally:
            self.claiming -= many


class Handed:
    """What one batch claims. Its room is kept from the decision until the work has begun, or is given up.

    ``lease`` is for how long a decision may claim what it makes, as long as there is ``room``; None where nothing is
    handed over.
    """

    __slots__ = ("full", "handover", "lease", "reserved", "room", "since", "takes", "works")

    def __init__(self, handover: Handover | None) -> None:
        self.handover = handover
        self.lease = handover.lease if handover else None
        self.works: list[Any] = []
        self.reserved = self.room = 0
        self.takes: Callable[[Any], bool] = lambda _work: True
        self.since = 0.0
        self.full = False

    def look(self) -> None:
        """How much room there is, and what for, until somebody awaits something."""
        if self.handover is not None:
            self.room, self.takes = self.handover.room, self.handover.offers(self.works)

    def without(self, cause: Cause) -> Cause:
        """The cause as a decision is given it when there is no room."""
        self.full = True
        return cause._replace(lease=None)

    def reserve(self, many: int) -> None:
        """A decision has claimed so many; that its batch is saved is not known yet."""
        if self.handover is not None:
            self.handover.claiming += many
            self.reserved += many
            self.room -= many

    def forget(self, since: float) -> None:
        """Back to where nothing was claimed; what is claimed from now on has its lease from this time on."""
        self.reserve(-self.reserved)
        self.works.clear()
        self.since, self.full = since, False

    def begin(self) -> None:
        """It is committed, and only now anybody may act on it."""
        if self.handover is not None and self.works:
            self.handover.begin(self.works, self.since)
        if self.handover is not None and self.full:
            self.handover.left.fire()
