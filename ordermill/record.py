"""Who did what: one list of every service's tables that are only added to, the newest first."""

from datetime import datetime
from typing import Any

import asyncpg

from auth_service.domain.security_event import What
from chassis.ids import typeid
from inventory_service.domain.movement import Kind
from ordermill.services import SERVICES

# What happened to accounts, what people made of orders and of stock, and of what was parked or told.
_ACCOUNTS = """
    SELECT created_at AS at, 'auth_service' AS service, what, actor, 'usr' AS kind, user_id AS id, note
    FROM auth_service.security_events
"""
_ORDERS = """
    SELECT at, 'order_service', cause, actor, 'ord', order_id, concat_ws(' → ', from_status, to_status)
    FROM order_service.order_history WHERE cause IN ('cancel_order', 'refund_order')
"""
_STOCK = """
    SELECT created_at, 'inventory_service', kind || '_stock', actor, 'mov', id,
        format('%s %s %s', sku, to_char(delta, 'FMSG999999999'), reason)
    FROM inventory_service.stock_movements WHERE reason IS NOT NULL
"""
_ACTS = """
    SELECT at, '{service}', act, actor, 'evt', message_id, concat_ws(': ', topic, nullif(note, ''))
    FROM {service}.acts
"""
_EVERYTHING = " UNION ALL ".join((_ACCOUNTS, _ORDERS, _STOCK, *(_ACTS.format(service=name) for name in SERVICES)))
_RECORD = f"""
    SELECT * FROM ({_EVERYTHING}) record
    WHERE at >= $1 AND (cardinality($2::text[]) = 0 OR actor = ANY($2)) AND ($3::uuid IS NULL OR id = $3)
        AND (cardinality($4::text[]) = 0 OR what = ANY($4))
    ORDER BY at DESC, id LIMIT $5
"""  # noqa: S608 -- our own tables
_ACTORS = f"SELECT DISTINCT actor FROM ({_EVERYTHING}) record WHERE NOT starts_with(actor, 'usr_') ORDER BY actor"  # noqa: S608 -- as above
WHAT = (
    *What, "cancel_order", "refund_order", *(f"{kind}_stock" for kind in Kind),
    "retry", "discard", "replay", "republish",
)  # fmt: skip


async def read(  # noqa: PLR0913 -- each filter is a parameter
    url: str, *, since: datetime, actors: list[str], about: Any, what: list[str], limit: int
) -> list[dict[str, Any]]:
    """Up to so many things that were done since then, the newest first; ``url`` is the auditor's.

    ``actors`` are those who did them, all where there are none; ``about`` is whom or what they were about; ``what`` is
    what was done, everything where there is none.
    """
    return [_shown(**row) for row in await _rows(url, _RECORD, since, actors, about, what, limit)]


async def actors(url: str) -> list[str]:
    """Everybody who has done something and is no user: programs, and people at a terminal."""
    return [row["actor"] for row in await _rows(url, _ACTORS)]


async def _rows(url: str, query: str, *given: Any) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query, *given)
    finally:
        await connection.close()
    return rows


def _shown(*, kind: str, id: Any, **rest: Any) -> dict[str, Any]:  # noqa: A002 -- the column's name
    return rest | {"about": None if id is None else typeid(kind, id)}
