"""The request or item that is being worked on: its id, trace and order, for logs and for what is told."""

import random
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from re import compile as pattern

from chassis import tracing
from chassis.ids import new_id, typeid

_TRACEPARENT = pattern(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_REQUEST_ID = pattern(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Context:
    """Who asked (``request_id``) and the W3C trace that it belongs to; ``parent`` is what came with the request."""

    request_id: str
    traceparent: str
    order_id: str | None = None
    parent: str | None = None

    @property
    def trace_id(self) -> str:
        """The 32 hex digits of the trace."""
        return self.traceparent[3:35]

    def entered(self) -> "Context":
        """In a span of its own, where it came with one of somebody else's."""
        return replace(self, traceparent=tracing.entered(self.parent)) if self.parent else self

    def told(self) -> dict[str, str]:
        """What a line of the log says of it."""
        told = {"request_id": self.request_id, "trace_id": self.trace_id}
        return {**told, "order_id": self.order_id} if self.order_id else told


current: ContextVar[Context | None] = ContextVar("current", default=None)


def start(request_id: str | None = None, traceparent: str | None = None) -> Context:
    """A context from what a client sent, as far as it is well-formed; what is missing is made anew."""
    parent = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
    return Context(known_id(request_id), parent or new_traceparent(), parent=parent)


def asked_with(headers: Mapping[bytes, bytes]) -> Context:
    """The context of a request with these headers."""
    request_id, traceparent = headers.get(b"x-request-id", b""), headers.get(b"traceparent", b"")
    return start(request_id.decode("latin-1"), traceparent.decode("latin-1"))


def known_id(request_id: str | None) -> str:
    """The id that a client gave its request, if it is well-formed, else a new one."""
    return request_id if request_id and _REQUEST_ID.fullmatch(request_id) else typeid("req", new_id())


def new_traceparent() -> str:
    """A new sampled trace (W3C Trace Context, version 00)."""
    noise = f"{random.getrandbits(192):048x}"
    return f"00-{noise[:32]}-{noise[32:]}-01"


def about_order(order_id: str) -> None:
    """Puts the order's id on every line that is logged from here on."""
    if context := current.get():
        current.set(replace(context, order_id=order_id))
