"""The instances of one service: the least busy one is asked, and one that fails is left alone for a while.

When all are left alone nobody is asked: the circuit is open, and who comes is told when to come again.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from loguru import logger

from gateway.connections import Connection, Connections, Unreached

AT_MOST = 1000
PATIENCE = 3  # failures in a row
FIRST_REST, LONGEST_REST = 1.0, 30.0
TRIAL = 1.0  # seconds that others leave to the one that tries: its client may have asked for something long


class Full(Exception):
    """So many requests are with the service already that one more would not be served in time."""


class AllOut(Exception):
    """Every instance has failed lately. `again_in` is whole seconds."""

    def __init__(self, again_in: int) -> None:
        super().__init__(f"every instance rests, {again_in} s more")
        self.again_in = again_in


class Instance:
    """One place where a service runs, and how it does."""

    def __init__(self, connections: Connections, clock: Callable[[], float]) -> None:
        self.connections = connections
        self.pending = 0
        self.chosen = 0
        self.out_until = 0.0
        self._clock = clock
        self._failures = 0
        self._rests = 0
        self._tried_until = 0.0
        self._answered_at = -math.inf

    @property
    def is_able(self) -> bool:
        """Whether it may be asked. After a rest by one request each second, by more when one of them was answered."""
        return not self._rests or self._clock() >= max(self.out_until, self._tried_until)

    @contextmanager
    def asked(self) -> Iterator[ExitStack]:
        """Around one request, which is pending until what this gives is closed: then its answer has begun.

        How long a client takes to read an answer is no load of the instance's, and keeps nobody from asking it.
        """
        self.pending += 1
        if trial := self._rests > 0:
            self._tried_until = self._clock() + TRIAL
        with ExitStack() as pending:
            pending.callback(self._left, trial)
            yield pending

    def _left(self, trial: bool) -> None:  # noqa: FBT001 -- the one question it answers
        self.pending -= 1
        if trial:
            self._tried_until = 0.0

    async def connected(self, *, new: bool = False) -> Connection:
        """A connection for one request. One that cannot be made in time, while others are answered, is no failure.

        It is slow to accept then, as it is when many clients come and leave at once.

        Raises:
            Unreached: when none can be made in time.
        """
        since = self._clock()
        try:
            return await self.connections.take(new=new)
        except Unreached:
            if self._answered_at <= since:
                self.failed()
            raise

    def answered(self) -> None:
        """Its answer has begun, whatever it says and however long it takes its client to read it."""
        if self._rests:
            logger.info("{} answers again", self.connections.name)
        self._failures = self._rests = 0
        self._answered_at = self._clock()

    def failed(self) -> None:
        """It could not be reached, fell silent or said what is no answer. Three times in a row, and it rests."""
        self._failures += 1
        if self._failures >= PATIENCE and self._clock() >= self.out_until:
            rest = min(FIRST_REST * 2**self._rests, LONGEST_REST)
            self.out_until = self._clock() + rest
            self._rests += 1
            logger.warning("{} failed {} times and is left alone for {} s", self.connections.name, self._failures, rest)


class Instances:
    """All instances of one service."""

    def __init__(
        self, urls: Sequence[str], connect_within: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._all = [Instance(Connections(url, connect_within, clock), clock) for url in urls]
        self._clock = clock
        self._turns = itertools.count(1)

    def choose(self, besides: Instance | None = None) -> Instance:
        """The instance with the fewest requests under way; among equals the one whose turn is longest ago.

        Args:
            besides: chosen only when there is no other.

        Raises:
            AllOut: when none may be asked now.
            Full: when 1,000 requests are with the least busy one.
        """
        able = [instance for instance in self._all if instance.is_able]
        if not able:
            raise AllOut(self._soonest())
        others = [instance for instance in able if instance is not besides] or able
        chosen = min(others, key=lambda instance: (instance.pending, instance.chosen))
        if chosen.pending >= AT_MOST:
            raise Full
        chosen.chosen = next(self._turns)
        return chosen

    def close(self) -> None:
        """Closes the connections that are not in use."""
        for instance in self._all:
            instance.connections.close()

    def _soonest(self) -> int:
        return max(1, math.ceil(min(instance.out_until for instance in self._all) - self._clock()))
