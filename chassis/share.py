"""How many items a batch may have: a quarter after one that took too long, and twice as many again after a while."""

from collections.abc import Sequence
from math import inf

from chassis.items import Entry

FEWER = 4
WHILE = 10.0


class Share:
    """What a pipeline takes at once, unless less waits. Times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._most = inf
        self._since = 0.0

    def of(self, items: int, now: float) -> int:
        """As many items, or fewer; at least one."""
        while self._most < items and now - self._since >= WHILE:
            self._most *= 2
            self._since += WHILE
        return int(min(self._most, items))

    @property
    def is_least(self) -> bool:
        """Whether a batch has one entry only, since those with more took too long."""
        return self._most == 1

    def lessen(self, entries: Sequence[Entry], now: float) -> None:
        """These together took too long. One entry is tried alone once more: something else may have been slow."""
        items = sum(entry.size for entry in entries) if len(entries) > 1 else 1
        self._most, self._since = max(1, min(self._most, items) // FEWER), now
