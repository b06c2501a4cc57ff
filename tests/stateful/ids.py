"""Ids that are the same each time an example runs: what is oldest in a queue must not depend on chance."""

import time
from types import SimpleNamespace

import chassis.ids

_FIRST_MOMENT = time.time_ns()


class Ids:
    """In the place of time and randomness in `chassis.ids`: a millisecond later with each id, and no noise."""

    def __init__(self) -> None:
        self._count = 0

    def install(self, monkeypatch) -> None:
        monkeypatch.setattr(chassis.ids, "time", SimpleNamespace(time_ns=self._next))
        monkeypatch.setattr(chassis.ids, "os", SimpleNamespace(urandom=bytes))

    def begin(self) -> None:
        self._count = 0

    def _next(self) -> int:
        self._count += 1
        return _FIRST_MOMENT + self._count * 1_000_000
