"""The audit's invariants, asked after every rule, all of a kind in one statement that is prepared once."""

from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from typing import Any

from chassis.database import Database
from ordermill.audit import INVARIANTS, Kind, Question, snapshot
from ordermill.audit.scope import named, narrowed, numbered
from tests.support.database import as_role

# The test itself is the broker and moves the clock: how long something waits is its doing.
ALWAYS_EXCUSED = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
WHOLE = Question(kinds=frozenset(Kind), outages=(ALWAYS_EXCUSED,))
# Who may read what is PostgreSQL's catalogue, which no rule changes and which is slow to read: asked once an example.
AT_REST = {"X2"}
# What is where, beside the promises, so that one statement says it all.
_DEFERRED = "SELECT state, careful FROM {service}_service.deferred"
_SERVICES = ("order", "inventory", "payment", "notification")
_REACHED = f"""
SELECT 'reached' AS id, to_jsonb(kind || ' ' || state) AS row FROM (
    SELECT 'order' AS kind, status AS state FROM order_service.orders
    UNION SELECT 'payment', status FROM payment_service.payments
    UNION SELECT 'refund', status FROM payment_service.refunds
    UNION SELECT 'notice', status FROM payment_service.webhook_events
    UNION SELECT 'reservation', status FROM inventory_service.reservations
    UNION SELECT CASE WHEN careful THEN 'careful event' ELSE 'event' END, state
        FROM ({" UNION ALL ".join(_DEFERRED.format(service=name) for name in _SERVICES)}) deferred) things
"""  # noqa: S608 -- our own tables


@cache
def _together(*, drained: bool) -> str:
    asked = (
        f"SELECT '{each.id}' AS id, to_jsonb(broken) AS row FROM ({narrowed(each.sql, WHOLE)}) broken"  # noqa: S608 -- the audit's own
        for each in INVARIANTS.values()
        if drained or (each.kind is Kind.ALWAYS and each.id not in AT_REST)
    )
    return "\nUNION ALL\n".join((_REACHED, *asked))


class Promises:
    """As the role `auditor` sees the database; one statement is one snapshot."""

    def __init__(self, url: str) -> None:
        self._database = Database(as_role(url, "auditor"), size=1)
        self._prepared: dict[bool, Any] = {}

    async def open(self) -> None:
        await self._database.open()
        async with self._database.transaction(read_only=True, snapshot=True) as tx:
            self._given = await snapshot._given(tx, WHOLE, named(_together(drained=True)))
        self._connection = await self._database.connect()
        for drained in (False, True):
            sql, _ = numbered(_together(drained=drained), self._given)
            self._prepared[drained] = await self._connection.prepare(sql)

    async def close(self) -> None:
        await self._connection.close()
        await self._database.close()

    async def look(self, told, *, drained: bool) -> dict[str, list[Any]]:
        """The rows that break a promise, by its id, and what was reached. ``told`` is what clients were told."""
        _, arguments = numbered(_together(drained=drained), {**self._given, "told": snapshot._told(told)})
        seen: dict[str, list[Any]] = defaultdict(list)
        for row in await self._prepared[drained].fetch(*arguments):
            seen[row["id"]].append(row["row"])
        return seen
