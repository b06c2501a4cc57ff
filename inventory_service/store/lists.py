"""Lists for people: keyset pages over one table, with whatever filters are asked for; each form is compiled once."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy import Column, ColumnElement, Integer, Select, bindparam, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import Transaction
from chassis.paging import Page
from chassis.statements import Statement


class List:
    """A list in the order of ``key``: newest first, or ascending where the key is a name.

    ``filters`` are columns of which any of the given values is asked for.
    """

    def __init__(
        self,
        rows: Select[Any],
        key: Mapping[Column[Any], type],
        filters: Sequence[Column[Any]] = (),
        *,
        newest_first: bool = True,
    ) -> None:
        self._rows = rows
        self._key = key
        self._filters = {column.name: column for column in filters}
        self._newest_first = newest_first
        self._statements: dict[frozenset[str], Statement] = {}

    async def fetch(self, tx: Transaction, page: Page, **filters: Sequence[Any] | None) -> list[asyncpg.Record]:
        """One row more than the page holds, where there are more; a filter that is None or empty is none."""
        seen = page.seen(*self._key.values()) or ()
        given: dict[str, Any] = {f"seen_{place}": value for place, value in enumerate(seen)}
        given |= {name: list(values) for name, values in filters.items() if values}
        given |= {name: value for name in ("created_after", "created_before") if (value := getattr(page, name))}
        return await tx.fetch(self._statement(frozenset(given)), **given, limit=page.limit + 1)

    def _statement(self, given: frozenset[str]) -> Statement:
        if given not in self._statements:
            columns = [column.desc() if self._newest_first else column.asc() for column in self._key]
            rows = self._rows.where(*self._conditions(given)).order_by(*columns)
            self._statements[given] = Statement(rows.limit(bindparam("limit", type_=Integer)))
        return self._statements[given]

    def _conditions(self, given: frozenset[str]) -> list[ColumnElement[bool]]:
        conditions = [
            column == bindparam(name, type_=ARRAY(column.type)).any_()
            for name, column in self._filters.items()
            if name in given
        ]
        if "seen_0" in given:
            here = tuple_(*self._key)
            seen = tuple_(*(bindparam(f"seen_{n}", type_=column.type) for n, column in enumerate(self._key)))
            conditions.append(here < seen if self._newest_first else here > seen)
        created = next((c for c in self._rows.selected_columns if c.name == "created_at"), None)
        if created is not None and "created_after" in given:
            conditions.append(created > bindparam("created_after", type_=created.type))
        if created is not None and "created_before" in given:
            conditions.append(created < bindparam("created_before", type_=created.type))
        return conditions
