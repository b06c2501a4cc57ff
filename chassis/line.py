"""A line in which places take turns: of whoever asks again and again from one, only they themselves wait for it."""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from math import inf


class Line:
    """At most ``at_once`` are served, and ``length`` wait; ``full`` makes what is raised to whoever may not."""

    def __init__(self, at_once: int, length: float = inf, full: Callable[[], Exception] = TimeoutError) -> None:
        self._free = at_once
        self._length = length
        self._full = full
        self._waiting = dict[Hashable, deque[Future[None]]]()  # by place, in the order in which places have their turns

    @asynccontextmanager
    async def turn(self, place: Hashable) -> AsyncIterator[None]:
        """Around what is served.

        Raises:
            Exception: ``full``'s, when the line is full, and this place has as many in it as any, or would have; or as
                soon as somebody comes from a place with fewer.
        """
        await self._come(place)
        try:
            yield
        finally:
            self._leave()

    async def _come(self, place: Hashable) -> None:
        if self._free:
            self._free -= 1
            return
        self._make_room(place)
        turn: Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(place, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self._leave()  # it was called, and does not come
            self._forget(place, turn)
            raise

    def _make_room(self, place: Hashable) -> None:
        if sum(map(len, self._waiting.values())) < self._length:
            return
        most = max(self._waiting, key=lambda each: len(self._waiting[each]), default=place)
        if len(self._waiting.get(most, ())) <= len(self._waiting.get(place, ())) + 1:
            raise self._full()
        last = self._waiting[most][-1]
        self._forget(most, last)
        if not last.done():  # one that has just been given up is still in the line, and no longer waited for
            last.set_exception(self._full())

    def _leave(self) -> None:
        while self._waiting:
            place = next(iter(self._waiting))
            line = self._waiting.pop(place)
            turn = line.popleft()
            if line:
                self._waiting[place] = line  # behind the other places
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _forget(self, place: Hashable, turn: Future[None]) -> None:
        line = self._waiting.get(place, deque())
        with suppress(ValueError):
            line.remove(turn)
        if not line:
            self._waiting.pop(place, None)
