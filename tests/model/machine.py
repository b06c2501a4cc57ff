"""A machine as data: rows (state, trigger → state, what is told), and what grows from them.

A trigger is the topic of an event, a command or a step of somebody outside, with its abstract parameters behind colons.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Row(NamedTuple):
    """In a state that `given` fits (a value, or a set of values, a field), `on` changes `then` and `tells` go out."""

    given: Mapping[str, Any]
    on: str
    then: Mapping[str, Any] = {}
    tells: tuple[str, ...] = ()

    def fits(self, state: Any) -> bool:
        return all(
            getattr(state, field) in wanted if isinstance(wanted, frozenset) else getattr(state, field) == wanted
            for field, wanted in self.given.items()
        )


class Step(NamedTuple):
    """What a trigger does in one state."""

    state: Any
    tells: tuple[str, ...]
    row: Row


class Machine:
    """All states that any triggers in any order can lead to, and what each trigger does in each of them."""

    def __init__(self, start: Any, rows: Iterable[Row]) -> None:
        self.start = start
        self.rows: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            self.rows[row.on].append(row)
        self.steps: dict[Any, dict[str, Step]] = {}
        waiting = deque([start])
        while waiting:
            state = waiting.popleft()
            if state not in self.steps:
                self.steps[state] = {on: step for on in self.rows if (step := self._step(state, on))}
                waiting.extend(step.state for step in self.steps[state].values())

    def _step(self, state: Any, on: str) -> Step | None:
        fitting = [row for row in self.rows[on] if row.fits(state)]
        if not fitting:
            return None
        (row,) = fitting
        return Step(state._replace(**row.then), row.tells, row)

    @property
    def triggers(self) -> frozenset[str]:
        return frozenset(self.rows)
