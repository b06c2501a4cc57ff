"""The invariants of docs/promises.md as SQL over a shop's schemas: `audit(url, Question(...))` gives verdicts."""

from collections.abc import Mapping

from ordermill.audit import snapshot
from ordermill.audit.access import ACCESS
from ordermill.audit.events import EVENTS
from ordermill.audit.invariant import Invariant, Kind
from ordermill.audit.keys import KEYS
from ordermill.audit.notifications import NOTIFICATIONS
from ordermill.audit.orders import ORDERS
from ordermill.audit.payments import PAYMENTS
from ordermill.audit.question import Question, Told, Verdict
from ordermill.audit.stock import STOCK
from ordermill.audit.telling import TELLING

__all__ = ["INVARIANTS", "Invariant", "Kind", "Question", "Told", "Verdict", "audit"]

_EVENTS = sorted((*EVENTS, *TELLING), key=lambda invariant: invariant.id)

INVARIANTS: Mapping[str, Invariant] = {
    each.id: each for each in (*STOCK, *PAYMENTS, *ORDERS, *_EVENTS, *NOTIFICATIONS, *KEYS, *ACCESS)
}


async def audit(url: str, question: Question) -> list[Verdict]:
    """How it stands with each invariant that is asked for, in one repeatable-read snapshot, as role `auditor`."""
    return await snapshot.audit(url, INVARIANTS, question)
