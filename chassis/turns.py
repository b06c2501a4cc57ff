"""Whose request is begun next: places take turns, and a turn of the event loop begins only so many.

Whatever else is under way waits for a whole turn, many times before an order is answered. Where one place asks for
hundreds of things at once, only they themselves wait for all of them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

AT_ONCE = 16

Begin = Callable[[], None]


class Turns:
    """Begins requests, at most ``at_once`` before the loop has gone on to everything else.

    Attributes:
        left: how many more may be begun before that.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self.left = at_once
        self._waiting = dict[Hashable, deque[Begin]]()  # by place, in the order in which places have their turns

    def take(self, place: Hashable, begin: Begin) -> None:
        """Calls what begins a request of that place: now, or when it has its turn."""
        if self.left:
            self._call(begin)
        else:
            self._waiting.setdefault(place, deque()).append(begin)

    def _call(self, begin: Begin) -> None:
        self.left -= 1
        if not self.left:
            asyncio.get_running_loop().call_soon(self._go_on)
        begin()

    def _go_on(self) -> None:
        self.left = self._at_once
        while self.left and self._waiting:
            place = next(iter(self._waiting))
            line = self._waiting.pop(place)
            begin = line.popleft()
            if line:
                self._waiting[place] = line  # behind the other places
            self._call(begin)
