"""What an invariant is: a promise of docs/promises.md as SQL that returns the rows that break it."""

from dataclasses import dataclass
from enum import StrEnum

from ordermill.services import SERVICES


class Kind(StrEnum):
    """When it holds: at any instant, or once the shop has drained."""

    ALWAYS = "always"
    DRAINED = "drained"


@dataclass(frozen=True)
class Invariant:
    """One promise.

    The SQL is PostgreSQL's own. A comment like `/* orders: o.id */` says where a question about a part of the shop is
    narrowed (`scope`), and `$told` names what the question brings along (`snapshot`).
    """

    id: str
    kind: Kind
    promise: str
    sql: str


def of_every_service(select: str) -> str:
    """A statement over a table that every service has; `{service}` is its schema, and its name."""
    return "\n    UNION ALL ".join(select.format(service=service) for service in SERVICES)
