"""Whether the loops of this process come round: a loop that is stuck is not merely waiting for a database or a broker.

Whatever a loop waits for is bounded by seconds, and an outage only makes it come round in vain; one that does not come
round for a minute will not by itself any more, and its process has to end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

ALLOWED = 60.0  # no wait is longer: a transaction is cut after 12 s, mails are given up and recorded within 26 s


class Heart:
    """When a loop last came round; None while it has nothing to do, however long that takes."""

    def __init__(self, name: str, longest: float) -> None:
        self.name = name
        self.longest = longest
        self.last: float | None = monotonic()


_beating: set[Heart] = set()
_ours: ContextVar[Heart | None] = ContextVar("ours", default=None)


@contextmanager
def beating(name: str, *, longest: float = 0.0) -> Iterator[None]:
    """Around a loop, which has to say ``beat()`` in each turn and ``rest()`` before it waits for work.

    A turn that may rightly take ``longest`` seconds is given a minute more.
    """
    heart = Heart(name, longest)
    token = _ours.set(heart)
    _beating.add(heart)
    try:
        yield
    finally:
        _beating.discard(heart)
        _ours.reset(token)


def beat() -> None:
    """The loop that this runs in came round. Nothing happens outside of one."""
    if (heart := _ours.get()) is not None:
        heart.last = monotonic()


def rest() -> None:
    """The loop that this runs in has nothing to do until it beats again."""
    if (heart := _ours.get()) is not None:
        heart.last = None


def ages() -> dict[str, float]:
    """For each loop of this process the seconds since it came round; 0 while it has nothing to do."""
    return {heart.name: _age(heart) for heart in _beating}


def stuck() -> dict[str, str]:
    """The loops of this process that are stuck, by name, and for how long."""
    late = sorted((heart.name, _age(heart)) for heart in _beating if _age(heart) > ALLOWED + heart.longest)
    return {name: f"stuck for {age:.0f} s" for name, age in late}


def _age(heart: Heart) -> float:
    return 0.0 if heart.last is None else monotonic() - heart.last
