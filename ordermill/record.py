"""Who did what: one list of every service's tables that are only added to, the newest first."""

from datetime import datetime
from typing import Any

import asyncpg

from chassis.ids import typeid
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
    ORDER BY at DESC, id LIMIT $4
"""  # noqa: S608 -- our own tables


async def read(url: str, *, since: datetime, actors: list[str], about: Any, limit: int) -> list[dict[str, Any]]:
    """Up to so many things that were done since then, the newest first; ``url`` is the auditor's.

    ``actors`` are those who did them, all where there are none; ``about`` is whom or what they were about.
    """
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_RECORD, since, actors, about, limit)
    finally:
        await connection.close()
    return [_shown(**row) for row in rows]


def _shown(*, kind: str, id: Any, **rest: Any) -> dict[str, Any]:  # noqa: A002 -- the column's name
    return rest | {"about": None if id is None else typeid(kind, id)}
