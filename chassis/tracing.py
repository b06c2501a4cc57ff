"""Spans of requests, calls and decided items; where nobody wants to be told of them (``current``) there are none.

A span is told when it is over. That of an item has an id made of the item's own, so that what the item tells can name
it as the parent before, and an order's whole way is one trace (W3C Trace Context).
"""

import random
import time
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Literal, Protocol
from uuid import UUID

Kind = Literal["SERVER", "CLIENT", "CONSUMER", "INTERNAL"]
Attributes = Mapping[str, str | int | float]

_HALF = 2**64 - 1


class Tracer(Protocol):
    """Takes spans."""

    def span(  # noqa: PLR0913 -- what a span is
        self,
        service: str,
        name: str,
        kind: Kind,
        traceparent: str,
        parent: str | None,
        *,
        seconds: float,
        attributes: Attributes,
    ) -> None:
        """Takes one that has ended just now: its ``traceparent``, and what it came from, None at the root."""


current: Tracer | None = None


def entered(traceparent: str) -> str:
    """A new span in the same trace; the same one where nobody is told of spans."""
    return f"{traceparent[:36]}{random.getrandbits(64) or 1:016x}{traceparent[52:]}" if current else traceparent


def step(traceparent: str, item: UUID, service: str) -> str:
    """The span of an item that a service decides, in the same trace; the same one where nobody is told of spans."""
    if current is None:
        return traceparent
    return f"{traceparent[:36]}{item.int & _HALF ^ _salt(service):016x}{traceparent[52:]}"


def called(service: str, name: str, traceparent: str, began: float) -> str:
    """Tells of a call that has been answered, ``began`` by ``time.perf_counter``; what follows from it is within."""
    own = entered(traceparent)
    if current is not None:
        seconds = time.perf_counter() - began
        current.span(service, name, "CLIENT", own, traceparent, seconds=seconds, attributes={})
    return own


@cache
def _salt(service: str) -> int:
    """Two services decide the same event, each in a span of its own."""
    return int.from_bytes(sha256(service.encode()).digest()[:8])
