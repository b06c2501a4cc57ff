"""What a process of order_service keeps in memory: what is available of each sku, and the line for quotes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.app import Parts
from chassis.line import Line
from order_service.availability import Availability

_AT_ONCE = 4  # half of the connections to the database that a process has
FEW_LINES = 10
_LARGE_AT_ONCE = 8
_IN_LINE = 40  # behind those who are served, at some 3 ms each where they ask for a hundred lines


class TooManyQuotes(Exception):
    """Too many ask for quotes at once. Try again."""


@dataclass(frozen=True, slots=True)
class Own:
    """``quotes`` and ``large`` are lines in which places take turns, for quotes and for orders of many lines.

    Anybody may ask for a quote, and either may have a hundred lines: two hundred of them at once take a second.
    """

    availability: Availability
    quotes: Line
    large: Line


@asynccontextmanager
async def open_own(parts: Parts) -> AsyncIterator[Own]:
    quotes = Line(_AT_ONCE, _IN_LINE, TooManyQuotes)
    yield Own(Availability(parts.peers["inventory_service"]), quotes, Line(_LARGE_AT_ONCE))
