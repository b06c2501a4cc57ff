"""A provider that is the real one, and remembers what it was asked, in order."""

from collections.abc import AsyncIterator, Sequence

from payment_service.providers import InProcess, Said
from payment_service.simulator_books import Charge, Return


class Recorded(InProcess):
    """The simulated provider in this process; ``calls`` has each verb with the keys that it was asked about, sorted."""

    def __init__(self, real: InProcess) -> None:
        super().__init__(real.simulator, real._timeout)
        self.calls: list[tuple[str, list[str]]] = []

    def charge(self, asked: Sequence[Charge]) -> AsyncIterator[Sequence[Said]]:
        self._note("charge", [one.key for one in asked])
        return super().charge(asked)

    def find(self, keys: Sequence[str]) -> AsyncIterator[Sequence[Said]]:
        self._note("find", keys)
        return super().find(keys)

    def refund(self, asked: Sequence[Return]) -> AsyncIterator[Sequence[Said]]:
        self._note("refund", [one.key for one in asked])
        return super().refund(asked)

    def find_refund(self, keys: Sequence[str]) -> AsyncIterator[Sequence[Said]]:
        self._note("find_refund", keys)
        return super().find_refund(keys)

    def _note(self, verb: str, keys: Sequence[str]) -> None:
        self.calls.append((verb, sorted(keys)))
