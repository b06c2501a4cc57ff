"""Data that is unmistakable wherever it turns up: who a customer is, and what is nobody else's business."""

import base64
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika

from tests.support.running_shop import RunningShop

Places = dict[str, set[str]]
TABLES = """
    SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg_%' AND n.nspname <> 'information_schema'
"""
PARTITION_OF = "SELECT inhrelid::regclass::text AS child, inhparent::regclass::text AS parent FROM pg_inherits"


def _word() -> str:
    return f"canary{secrets.token_hex(6)}"


def a_card_number() -> str:
    """Sixteen digits with a check digit (ISO/IEC 7812): it looks like a card's, and is written down nowhere."""
    digits = [4, *(secrets.randbelow(10) for _ in range(14))]
    doubled = [digit if place % 2 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits)]
    return "".join(map(str, [*digits, -sum(doubled) % 10]))


@dataclass(frozen=True)
class Canaries:
    """``personal`` has its places; ``secret`` is nobody's business but the customer's. Names say what each is."""

    personal: dict[str, str] = field(default_factory=dict)
    secret: dict[str, str] = field(default_factory=dict)

    def found_in(self, text: str) -> set[str]:
        """The names of those that are in a text, also as hexadecimal digits, as bytes are written, or as base64."""
        lower = text.lower()
        return {
            name
            for name, value in {**self.personal, **self.secret}.items()
            if value.lower() in lower or value.encode().hex() in lower or _in_base64(value) in text
        }


def _in_base64(value: str) -> str:
    """The part of it that does not depend on what follows."""
    return base64.b64encode(value.encode()[: len(value) // 3 * 3]).decode()


def canaries() -> Canaries:
    """New ones; the tokens are added as they are given."""
    return Canaries(
        personal={
            "name": _word(), "line1": _word(), "line2": _word(), "city": _word(), "region": _word(),
            "postal_code": _word()[:18], "note": _word(), "metadata": _word(), "client": _word(),
            "email": f"{_word()}@shop.test", "phone_number": f"+{secrets.randbelow(9 * 10**13) + 10**13}",
        },
        secret={"password": _word(), "new password": _word(), "wrong password": _word(), "card": a_card_number()},
    )  # fmt: skip


async def in_the_database(shop: RunningShop, canaries: Canaries) -> Places:
    """The tables, by the names of what is found in them: every row of every schema is looked at, as a dump has it."""
    places: Places = {}
    parents = {row["child"]: row["parent"] for row in await shop.rows(PARTITION_OF)}
    for table in await shop.rows(TABLES):
        name = f"{table['schema']}.{table['name']}"
        rows = await shop.rows(f"SELECT to_jsonb(t)::text AS row FROM {name} t")  # noqa: S608 -- the catalogue's names
        for found in canaries.found_in("\n".join(row["row"] for row in rows)):
            places.setdefault(found, set()).add(parents.get(name, name))
    return places


def in_files(folder: Path, canaries: Canaries, but: Collection[str] = ()) -> Places:
    """The files, by the names of what is found in them."""
    places: Places = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.is_file() and inner.parts[0] not in but:
            for found in canaries.found_in(path.read_bytes().decode("latin-1")):
                places.setdefault(found, set()).add(str(inner))
    return places


@dataclass
class Tap:
    """A queue that hears everything that any service tells."""

    queue: Any

    async def parcels(self) -> list[str]:
        """Everything that was told since, with its properties."""
        told = []
        while (message := await self.queue.get(no_ack=True, fail=False)) is not None:
            told.append(f"{message.info()} {message.body.decode('latin-1')}")
        return told


async def a_tap(connection: aio_pika.abc.AbstractConnection, exchanges: Iterable[str]) -> Tap:
    """On a connection of RabbitMQ's administrator; it ends with the connection."""
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    for name in exchanges:
        await queue.bind(await channel.get_exchange(name, ensure=False), "#")
    return Tap(queue)
