"""What a process takes on at once. A request beyond it is refused before anything is made of it: 503 with Retry-After.

Bounded is what is worked on, not what waits for the shop without work: ``Prefer: wait`` and streams have a bound of
their own, so that a thousand customers who look on keep nobody from ordering.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from chassis.permits import Permits, asking
from chassis.turns import Turns


class Crowded(Exception):
    """Too many wait for news already. Ask for the present state instead."""


@dataclass(slots=True, eq=False)
class Admission:
    """The bounds of one process, and how far they are used.

    Attributes:
        work: the requests that are worked on.
        turns: in which they are begun.
        place: where a request comes from, where that is not the connection's other end.
        waiting: requests that wait for news at once; each looks at the database once a second. From one place no more
            than are left for others: half of them, from two places a third each.
        of_one: of those that wait for news, how many are one user's.
        connections: that are open at once; on one more only probes are answered.
        unread: bytes of answers that wait for clients who do not read them.
        onlookers: how many wait for news now.
        is_ending: the process was told to end; whoever waits for news is answered now.
        lag: seconds by which the event loop came late lately.
    """

    work: Permits = field(default_factory=Permits)
    turns: Turns = field(default_factory=Turns)
    place: Callable[[Any], Hashable] | None = None
    waiting: int = 500
    of_one: int = 50
    connections: int = 2_000
    unread: int = 128 * 1024 * 1024
    onlookers: int = 0
    is_ending: bool = False
    lag: float = 0.0
    _endless: set[asyncio.Timeout] = field(default_factory=set)
    _by_user: Counter[Hashable] = field(default_factory=Counter)
    _by_place: Counter[Hashable] = field(default_factory=Counter)
    _stalled: dict[Any, None] = field(default_factory=dict)

    @contextmanager
    def looking_on(self) -> Iterator[None]:
        """Marks a request that waits for news and costs nothing meanwhile.

        Raises:
            Crowded: when too many do.
        """
        if self.onlookers >= self.waiting:
            raise Crowded
        permit = asking.get()
        self.onlookers += 1
        try:
            with permit.resting() if permit else nullcontext():
                yield
        finally:
            self.onlookers -= 1

    @contextmanager
    def looking_on_as(self, user: Hashable, place: Hashable) -> Iterator[None]:
        """As ``looking_on``, of somebody whose name is known, and where they are.

        Raises:
            Crowded: when too many do, or too many of this user's or from this place.
        """
        if self._by_user[user] >= self.of_one or self._by_place[place] >= self.waiting - self.onlookers:
            raise Crowded
        with self.looking_on():
            self._by_user[user] += 1
            self._by_place[place] += 1
            try:
                yield
            finally:
                _one_less(self._by_user, user)
                _one_less(self._by_place, place)

    def stalls(self, connection: Any) -> None:
        """Its client does not read; where there is no room for what all of them leave, the first of them is cut off."""
        self._stalled[connection] = None
        left = sum(each.left for each in self._stalled)
        while left > self.unread and self._stalled:
            first = next(iter(self._stalled))
            left -= first.left
            self.reads(first)
            first.transport.abort()

    def reads(self, connection: Any) -> None:
        """Its client reads again, or is gone."""
        self._stalled.pop(connection, None)

    @asynccontextmanager
    async def until_the_end(self) -> AsyncIterator[None]:
        """Around what would not end by itself.

        Raises:
            TimeoutError: when the process is told to end.
        """
        async with asyncio.timeout(0 if self.is_ending else None) as limit:
            self._endless.add(limit)
            try:
                yield
            finally:
                self._endless.discard(limit)

    def end(self) -> None:
        """From now on nobody waits for news."""
        self.is_ending = True
        now = asyncio.get_running_loop().time()
        for limit in self._endless:
            limit.reschedule(now)


def _one_less(counts: Counter[Any], of: object) -> None:
    counts[of] -= 1
    if not counts[of]:
        del counts[of]


def makes_room(newcomer: object, connections: Iterable[Any]) -> bool:
    """Ends one that has no request at work: whoever holds many for nothing keeps nobody out.

    Half-open ones go first, and last those whose answer is not read yet: it is cut off. The first that is found will
    do: to look at all of them for each newcomer is more work than to serve it.
    """
    for is_next in _LEAVE_FIRST:
        for each in connections:
            if is_next(each) and each.may_give_way and each is not newcomer:
                each.give_way()
                return True
    return False


_LEAVE_FIRST: tuple[Callable[[Any], bool], ...] = (
    lambda each: each.is_half_open and not each.is_unread,
    lambda each: not each.is_unread,
    lambda each: each.is_unread,
)


HERE = Admission()
