"""One kept connection of the load generator: HTTP/1.1 as far as our answers need it."""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Order:
    """A request to be: the order's number, when it was meant to be sent, and its id when it is to be cancelled."""

    number: int
    due: float
    cancels: str = ""


class Owner(Protocol):
    """Who is told what becomes of a request."""

    def answered(self, connection: "Connection", order: Order, answer: bytes) -> None: ...
    def lost(self, connection: "Connection", order: Order | None) -> None: ...


class Connection(asyncio.Protocol):
    """A kept connection with at most one request under way."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._order: Order | None = None
        self._answer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, order: Order, request: bytes) -> None:
        self._order, self._answer = order, b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self._order and (end := end_of(self._answer)):
            order, self._order = self._order, None
            self._owner.answered(self, order, self._answer[:end])

    def connection_lost(self, _why: Exception | None) -> None:
        self._owner.lost(self, self._order)


def end_of(answer: bytes) -> int:
    """How long a whole answer is; 0 while a part of it is missing. An answer that says no length has no body."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return 0
    fields = answer[: head + 1].lower()
    at = fields.find(b"content-length: ")
    end = head + 4 + (int(fields[at + 16 : fields.find(b"\r", at)]) if at >= 0 else 0)
    return end if len(answer) >= end else 0
