"""What is asked of an operation, and who makes it up."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from tests.attacks.stage import Stage
from tests.support.people import Person


class Ask(NamedTuple):
    """What is sent: values of the path, body, headers; ``person`` asks instead, where asking ends a session."""

    path: Mapping[str, str] = {}
    json: Any = None
    headers: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    person: Person | None = None


Asking = Callable[[Stage, str], Awaitable[Ask]]


def noting(known: dict[str, Asking]) -> Callable[..., Callable[[Asking], Asking]]:
    """A decorator that notes for which operations a function makes up what is asked."""

    def asks(*operations: str) -> Callable[[Asking], Asking]:
        def noted(asking: Asking) -> Asking:
            known.update(dict.fromkeys(operations, asking))
            return asking

        return noted

    return asks
