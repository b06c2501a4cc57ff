"""Spans of requests, calls and decided items; where nobody wants to be told of them (``current``) there are none.

A span is told when it is over. That of an item has an id made of the item's own, so that what the item tells can name
it as the parent before, and an order's whole way is one trace (W3C Trace Context).
"""

import random
import time
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from typing import Literal, NamedTuple
from uuid import UUID

Kind = Literal["SERVER", "CLIENT", "CONSUMER", "INTERNAL"]
_HALF = 2**64 - 1


class Span(NamedTuple):
    """One that has ended just now: its own ``traceparent``, and that of what it came from, None at the root."""

    service: str
    name: str
    kind: Kind
    traceparent: str
    parent: str | None
    seconds: float
    attributes: Mapping[str, str | int] = {}


current: Callable[[Span], None] | None = None


def entered(traceparent: str) -> str:
    """A new span in the same trace; the same one where nobody is told of spans."""
    return _within(traceparent, random.getrandbits(64) or 1) if current else traceparent


def step(traceparent: str, item: UUID, service: str) -> str:
    """The span of an item that a service decides, in the same trace; the same one where nobody is told of spans."""
    return _within(traceparent, item.int & _HALF ^ _salt(service)) if current else traceparent


def called(service: str, name: str, traceparent: str, began: float) -> str:
    """Tells of a call that has been answered, ``began`` by ``time.perf_counter``; what follows from it is within."""
    own = entered(traceparent)
    if current:
        current(Span(service, name, "CLIENT", own, traceparent, time.perf_counter() - began))
    return own


def _within(traceparent: str, span: int) -> str:
    return f"{traceparent[:36]}{span:016x}{traceparent[52:]}"


@cache
def _salt(service: str) -> int:
    """Two services decide the same event, each in a span of its own."""
    return int.from_bytes(sha256(service.encode()).digest()[:8])
