"""SQLAlchemy Core, compiled once; writes of many rows at once; and several of them as one statement."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Dialect, Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

_DIALECT: Dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


class Statement:
    """A Core statement compiled once: its SQL with ``$n`` and the order of its named parameters."""

    __slots__ = ("defaults", "names", "sql")

    def __init__(self, core: ClauseElement) -> None:
        compiled = core.compile(dialect=_DIALECT)
        if not isinstance(compiled, SQLCompiler) or any(bind.expanding for bind in compiled.binds.values()):
            message = "not a statement that can be compiled once: use any_(…) instead of in_(…)"
            raise TypeError(message)
        self.sql = str(compiled)
        self.names: Sequence[str] = compiled.positiontup or ()
        self.defaults: dict[str, Any] = {k: v for k, v in compiled.params.items() if not compiled.binds[k].required}

    def arguments(self, given: dict[str, Any]) -> list[Any]:
        """The values in the order of the statement's parameters.

        Raises:
            KeyError: when a parameter is missing.
        """
        return [given[name] if name in given else self.defaults[name] for name in self.names]


class Bulk:
    """A write of many rows to one table, each column one array: ``INSERT … SELECT * FROM unnest($1, $2)``.

    ``json`` names the columns whose values are written as JSON, and arrive as text. ``row`` makes the row of a thing
    whose attributes are called as the columns are.
    """

    __slots__ = ("_json", "columns", "rare", "row", "sql", "table", "usual")

    def __init__(self, table: str, columns: Sequence[str], sql: str, json: Collection[str] = ()) -> None:
        self.table = table
        self.columns = tuple(columns)
        self.row: Callable[[Any], tuple[Any, ...]] = attrgetter(*columns)
        self.usual: Bulk | None = None
        self.rare: Callable[[Any], Any] = lambda _thing: None
        self._json = tuple(name in json for name in columns)
        self.sql = sql

    @classmethod
    def insert(cls, table: Table, *columns: str, conflict: str = "") -> "Bulk":
        """Adds rows. ``conflict`` is the tail of the statement, e.g. ``ON CONFLICT DO NOTHING``."""
        names = columns or tuple(column.name for column in table.c)
        selected = ", ".join(_selected(table, name) for name in names)
        target = f"{table.fullname} ({', '.join(names)})"
        sql = f"INSERT INTO {target} SELECT {selected} FROM {_unnest(table, names)} {conflict}"  # noqa: S608 -- names come from our own tables
        return cls(table.fullname, names, sql, _json(table))

    @classmethod
    def upsert(cls, table: Table, *columns: str) -> "Bulk":
        """Adds rows, and replaces those whose primary key is known.

        Not for things that two transactions may add at once: the second would overwrite the first without having seen
        it, where ``insert`` fails and the pipeline decides again.
        """
        names = columns or tuple(column.name for column in table.c)
        keys = [column.name for column in table.primary_key]
        updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
        return cls.insert(table, *names, conflict=f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {updates}")

    @classmethod
    def update(cls, table: Table, *columns: str, rarely: Sequence[str] = ()) -> "Bulk":
        """Changes the rows with these primary keys; ``columns`` has to name the whole key too.

        What changes ``rarely`` is left out by ``fitting`` where it has not changed: a value costs as much to send and
        to store whether it is new or not, and JSON costs most.
        """
        if rarely:
            whole = cls.update(table, *columns, *rarely)
            whole.usual, whole.rare = cls.update(table, *columns), attrgetter(*rarely)
            return whole
        keys = [column.name for column in table.primary_key]
        updates = ", ".join(f"{name} = {_selected(table, name)}" for name in columns if name not in keys)
        where = " AND ".join(f"t.{name} = v.{name}" for name in keys)
        sql = f"UPDATE {table.fullname} t SET {updates} FROM {_unnest(table, columns)} WHERE {where}"  # noqa: S608 -- names come from our own tables
        return cls(table.fullname, columns, sql, _json(table))

    def fitting(self, changes: Iterable[tuple[Any, Any]]) -> "Bulk":
        """The update that does for things as they were and are: two at most, so that both stay prepared."""
        is_usual = all(self.rare(before) == self.rare(after) for before, after in changes)
        return self.usual if self.usual and is_usual else self

    def arguments(self, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """The rows, given in the order of the columns, turned into one array for each column."""
        arrays = [list(column) for column in zip(*rows, strict=True)]
        return [
            [None if value is None else to_json(value).decode() for value in array] if json else array
            for array, json in zip(arrays, self._json, strict=True)
        ]


def _json(table: Table) -> frozenset[str]:
    return frozenset(column.name for column in table.c if isinstance(column.type, JSONB))


def _kind(table: Table, name: str) -> str:
    column = table.c[name].type
    return "text" if isinstance(column, JSONB) else column.compile(dialect=_DIALECT)


def _selected(table: Table, name: str) -> str:
    return f"v.{name}::jsonb" if isinstance(table.c[name].type, JSONB) else f"v.{name}"


def _unnest(table: Table, names: Sequence[str]) -> str:
    arrays = ", ".join(f"${n}::{_kind(table, name)}[]" for n, name in enumerate(names, 1))
    return f"unnest({arrays}) AS v({', '.join(names)})"


@cache
def together(bulks: tuple[Bulk, ...]) -> str:
    """One statement that does what all of them do, each on a table of its own, and then notifies."""
    parts, given = [], 0
    for number, bulk in enumerate(bulks):
        parts.append(f"w{number} AS ({_counted_from(given, bulk.sql)})")
        given += len(bulk.columns)
    writes = f"WITH {', '.join(parts)} " if parts else ""
    return f"{writes}SELECT pg_notify(c, p) FROM unnest(${given + 1}::text[], ${given + 2}::text[]) AS v(c, p)"  # noqa: S608 -- made of statements of our own


def _counted_from(given: int, sql: str) -> str:
    return re.sub(r"\$(\d+)", lambda place: f"${int(place[1]) + given}", sql)
