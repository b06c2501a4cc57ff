"""What a process of order_service keeps in memory: what is available of each sku, and the line for quotes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.app import Parts
from chassis.line import Line
from order_service.availability import Availability

_AT_ONCE = 4  # half of the connections to the database that a process has
_IN_LINE = 40  # behind those who are served, at some 3 ms each where they ask for a hundred lines


class TooManyQuotes(Exception):
    """Too many ask for quotes at once. Try again."""


@dataclass(frozen=True, slots=True)
class Own:
    """``quotes`` is the line, in which places take turns: anybody may ask, also for a hundred lines."""

    availability: Availability
    quotes: Line


@asynccontextmanager
async def open_own(parts: Parts) -> AsyncIterator[Own]:
    yield Own(Availability(parts.peers["inventory_service"]), Line(_AT_ONCE, _IN_LINE, TooManyQuotes))
