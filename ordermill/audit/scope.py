"""Which part of the shop a question is about: what its comments (`/* orders: o.id */`) become in the SQL."""

import re
from collections.abc import Mapping
from string import Template
from typing import Any

from ordermill.audit.question import Question

_MARK = re.compile(r"/\* (orders|ids|parcels|newest|references|skus|since): ([\w.]+) \*/")

# An order that changed lately is known by its id, a parcel and an order that is not there by the time in theirs. The
# journal of the shelves has no index by order: a movement refers to its order, or to one of the order's shipments. What
# a parcel holds never changes, so that it is read while it is new, and not again each time.
_RECENT = {
    "orders": "AND {} = ANY($orders::uuid[])",
    "ids": "AND {} >= $first_id::uuid",
    "parcels": "AND {} >= $first_id::uuid",
    "newest": "AND {} >= $newest_id::uuid",
    "references": "AND {} = ANY($references::uuid[])",
    "skus": "AND {} = ANY($skus::text[])",
    "since": "AND {} >= $first_at::timestamptz",
}
_AT_REST = {
    "orders": "AND {} <> ALL($orders::uuid[])",
    "ids": "AND {} < $first_id::uuid",
    "parcels": "AND {} < $first_id::uuid",
    "newest": "AND {} < $first_id::uuid",
    "references": "AND {} <> ALL($references::uuid[])",
    "skus": "",
    "since": "AND {} < $first_at::timestamptz",
}
_WHOLE = dict.fromkeys(_RECENT, "")


def narrowed(sql: str, question: Question) -> str:
    """The SQL for this question."""
    words = _RECENT if question.recent else _AT_REST if question.rest else _WHOLE
    return _MARK.sub(lambda mark: words[mark[1]].format(mark[2]), sql)


def named(sql: str) -> list[str]:
    """The names in the SQL."""
    return Template(sql).get_identifiers()


def numbered(sql: str, given: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The SQL with `$1`, `$2` for the names in it, and their values."""
    places: dict[str, int] = {}

    class Places(dict[str, str]):
        def __missing__(self, name: str) -> str:
            return f"${places.setdefault(name, len(places) + 1)}"

    return Template(sql).substitute(Places()), [given[name] for name in places]
