"""Who is worked for: so many requests at once, and of one place no more than there is room left for others."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Permits:
    """The requests that are worked on in a process.

    Attributes:
        most: at once, of all places. One place has half of them at most, which is more than a batch holds; two have a
            third each. At 1 ms a request it is also how many ms an answer takes at most.
        count: how many there are now.
    """

    most: int = 512
    count: int = 0
    _by_place: Counter[Hashable] = field(default_factory=Counter)

    def is_full(self, place: Hashable) -> bool:
        """Whether one request more from there is one too many; None is any place."""
        left = self.most - self.count
        return left <= 0 or self._by_place.get(place, 0) >= left

    def take(self, place: Hashable) -> "Permit":
        """One request more. It has to be given back, whatever becomes of it."""
        self._add(place, 1)
        return Permit(self, place)

    def _add(self, place: Hashable, number: int) -> None:
        self.count += number
        self._by_place[place] += number
        if not self._by_place[place]:
            del self._by_place[place]


@dataclass(slots=True, eq=False)
class Permit:
    """One request's, as long as it is work."""

    permits: Permits
    place: Hashable
    _rests: int = 0  # the reasons for which it is no work now
    _is_back: bool = False

    def rest(self) -> None:
        """From now on the request is no work: it waits for news, or for a client who does not read."""
        self._rests += 1
        if self._rests == 1:
            self.permits._add(self.place, -1)  # noqa: SLF001 -- they are one thing in two parts

    def go_on(self) -> None:
        """What it rested for is over."""
        self._rests -= 1
        if not self._rests:
            self.permits._add(self.place, 1)  # noqa: SLF001 -- as above

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Around what is no work."""
        self.rest()
        try:
            yield
        finally:
            self.go_on()

    def give_back(self) -> None:
        """The request is over, if it was not already: it rests for good."""
        if not self._is_back:
            self._is_back = True
            self.rest()


asking: ContextVar[Permit | None] = ContextVar("asking", default=None)
"""The permit of the request that is worked on. No more than that: what outlives a request keeps nothing of it."""
