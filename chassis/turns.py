"""Whose request is begun next: places take turns, and a turn of the event loop begins only so many.

Whatever else is under way waits for a whole turn, many times before an order is answered. Where one place asks for
hundreds of things at once, only they themselves wait for all of them.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable

AT_ONCE = 16
LONG = 0.005  # seconds: what is begun in one turn may take so long until all of it waits for something

Begin = Callable[[], None]


class Turns:
    """Begins requests, at most ``at_once`` before the loop has gone on to everything else; half as many after ``LONG``.

    Attributes:
        left: how many more may be begun before that.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._most = self._at_once = self.left = at_once
        self._waiting = dict[Hashable, deque[Begin]]()  # by place, in the order in which places have their turns
        self._count = 0
        self._since = 0.0

    def take(self, place: Hashable, begin: Begin) -> None:
        """Calls what begins a request of that place, as a task: now, or when it has its turn."""
        if self.left:
            self._call(begin)
        else:
            self._waiting.setdefault(place, deque()).append(begin)
            self._count += 1

    def _call(self, begin: Begin) -> None:
        self.left -= 1
        try:
            begin()
        finally:
            if not self.left:
                asyncio.get_running_loop().call_soon(self._go_on)  # behind the first step of what was begun

    def _go_on(self) -> None:
        if self._since:
            took, self._since = time.perf_counter() - self._since, 0.0
            self._at_once = max(1, self._at_once // 2) if took > LONG else min(self._most, self._at_once + 1)
        if self._count >= self._at_once:
            asyncio.get_running_loop().call_soon(self._begins)  # before the first step of what is begun now
        self.left = self._at_once
        while self.left and self._waiting:
            self._call(self._next())

    def _begins(self) -> None:
        self._since = time.perf_counter()

    def _next(self) -> Begin:
        place = next(iter(self._waiting))
        line = self._waiting.pop(place)
        if len(line) > 1:
            self._waiting[place] = line  # behind the other places
        self._count -= 1
        return line.popleft()
