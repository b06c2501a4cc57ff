"""Identifiers: UUIDv7 inside, TypeIDs (``ord_01m7xv52z2e5ptsd32m3cp17cd``) at the HTTP edge."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from asyncpg.pgproto import pgproto
from pydantic_core import core_schema

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
_SHIFTS = range(120, -1, -10)
_VALUES = {letter: value for value, letter in enumerate(ALPHABET)}
_LENGTH = 26
_A_DAY = 24 * 60 * 60 * 1000
# The driver's UUID is one of Python's too, and made, hashed, compared and sent in C.
_driver_s: Callable[[bytes], UUID] = pgproto.UUID
_REMEMBERED = 10_000  # orders that a process has under way at once; the log writes each one's id a dozen times


def new_id() -> UUID:
    """A new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, the rest random."""
    return _uuid7((time.time_ns() // 1_000_000).to_bytes(6, "big"), os.urandom(10))


def derived_id(cause: UUID, *labels: object) -> UUID:
    """The id of what follows from ``cause``: always the same for the same labels, so that a repeated step repeats it.

    It keeps the cause's first 48 bits, so that it sorts and partitions with it.
    """
    origin = cause.bytes
    return _uuid7(origin[:6], sha256(origin + "\0".join(map(str, labels)).encode()).digest())


def marked_id(origin: UUID, owner: str) -> UUID:
    """A new id with the first 48 bits of another one, which does not tell it, and with the mark of its owner."""
    known = origin.bytes
    return _uuid7(known[:6], sha256(known + os.urandom(16)).digest()[:6] + mark(owner))


@cache
def mark(owner: str) -> bytes:
    """What the ids that somebody makes for others to know end with."""
    return sha256(owner.encode()).digest()[:4]


def marked_as(value: UUID) -> bytes:
    """The mark of an id; of one that was made without, bytes that are nobody's."""
    return value.bytes[-4:]


def made_at(value: UUID) -> datetime:
    """When a UUIDv7 was made; of a derived one, when the first of its causes was."""
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def is_to_come(value: UUID) -> bool:
    """Whether an id says that it is made more than a day from now, be it a UUIDv7 or not: clocks differ by less."""
    return value.int >> 80 > time.time_ns() // 1_000_000 + _A_DAY


def _uuid7(milliseconds: bytes, noise: bytes) -> UUID:
    """Version and variant, laid over noise."""
    version, variant = 0x70 | noise[0] & 0x0F, 0x80 | noise[2] & 0x3F
    return _driver_s(b"%b%c%c%c%b" % (milliseconds, version, noise[1], variant, noise[3:10]))


@lru_cache(_REMEMBERED)
def typeid(prefix: str, value: UUID) -> str:
    """The id as clients see it: prefix, underscore, 26 characters of Crockford's base32."""
    number = value.int
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])}"


def parse_typeid(prefix: str, text: str) -> UUID:
    """The UUID behind a TypeID.

    Raises:
        ValueError: when the prefix differs or the rest is no 128-bit number in base32.
    """
    head, _, tail = text.rpartition("_")
    if head != prefix or len(tail) != _LENGTH or tail[0] > "7" or not _VALUES.keys() >= set(tail):
        message = f"must be an id of the form {prefix}_…"
        raise ValueError(message)
    number = 0
    for letter in tail:
        number = number << 5 | _VALUES[letter]
    return _driver_s(number.to_bytes(16, "big"))


@dataclass(frozen=True, slots=True)
class TypeId:
    """A pydantic annotation: ``Annotated[UUID, TypeId("ord")]`` is a UUID here, a TypeID in JSON, paths and queries."""

    prefix: str

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._parse,
            json_schema_input_schema=core_schema.str_schema(pattern=self._pattern),
            serialization=core_schema.plain_serializer_function_ser_schema(
                partial(typeid, self.prefix),
                return_schema=core_schema.str_schema(pattern=self._pattern),
                when_used="json",
            ),
        )

    @property
    def _pattern(self) -> str:
        return f"^{self.prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"

    def _parse(self, value: object) -> UUID:
        return value if isinstance(value, UUID) else parse_typeid(self.prefix, str(value))


UserRef = Annotated[UUID, TypeId("usr")]
SessionRef = Annotated[UUID, TypeId("ses")]
KeyRef = Annotated[UUID, TypeId("key")]
SecurityEventRef = Annotated[UUID, TypeId("sec")]
OrderRef = Annotated[UUID, TypeId("ord")]
PaymentRef = Annotated[UUID, TypeId("pay")]
RefundRef = Annotated[UUID, TypeId("rfd")]
ReservationRef = Annotated[UUID, TypeId("res")]
ShipmentRef = Annotated[UUID, TypeId("shp")]
ReturnRef = Annotated[UUID, TypeId("ret")]
TaskRef = Annotated[UUID, TypeId("tsk")]
MovementRef = Annotated[UUID, TypeId("mov")]
NotificationRef = Annotated[UUID, TypeId("ntf")]
EventRef = Annotated[UUID, TypeId("evt")]
