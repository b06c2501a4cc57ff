"""PostgreSQL's tables in memory, read from the services' own: primary keys, unique indexes, CHECKs, defaults.

Held to the same contract as the real ones (tests/service/chassis/test_memory_database.py).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

import asyncpg
from pydantic_core import from_json, to_json
from sqlalchemy import CheckConstraint, MetaData, UniqueConstraint
from sqlalchemy import Table as Schema
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.functions import now as sql_now

Row = dict[str, Any]
Key = tuple[Any, ...]
Test = Callable[[Row], bool]

_WORDS = {"AND": "and", "OR": "or", "NOT": "not", "IS": "is", "NULL": "None", "true": "True"}
_TOKENS = re.compile(r"'[^']*'|[A-Za-z_]\w*|<>|<=|>=|[=<>+\-(),]|\d+")


class Record(tuple[Any, ...]):
    """A row as a statement gives it: by place, by name, as a mapping, as asyncpg's."""

    __slots__ = ()
    places: dict[str, int]

    def __getitem__(self, key):
        return tuple.__getitem__(self, self.places[key] if isinstance(key, str) else key)

    def keys(self):
        return self.places.keys()


@cache
def record(*names: str) -> type[Record]:
    return type("Record", (Record,), {"__slots__": (), "places": {name: place for place, name in enumerate(names)}})


def translated(condition: str) -> Test:
    """A condition in SQL as a function of a row. What compares with NULL is neither true nor false: it holds."""
    said: list[str] = []
    rest = iter(_TOKENS.findall(condition))
    for word in rest:
        if word == "BETWEEN":
            start = _operand(said)
            low, _and, high = next(rest), next(rest), next(rest)
            said[start:] = [f"({low} <= {' '.join(said[start:])} <= {high})"]
        elif word == "IN":
            negation = said.pop() + " " if said[-1] == "not" else ""
            start, listed = _operand(said), " ".join(iter(lambda: next(rest), ")"))
            said[start:] = [f"{negation}among({' '.join(said[start:])}, {listed},))"]
        else:
            said.append({"=": "==", "<>": "!="}.get(word) or _WORDS.get(word) or word)
    code = compile(" ".join(said), condition, "eval")

    def holds(row: Row) -> bool:
        try:
            return bool(eval(code, {"length": len, "among": _among}, row))  # noqa: S307 -- a constraint of our own tables
        except TypeError:
            return True

    return holds


def _among(value: Any, listed: tuple[Any, ...]) -> bool:
    if value is None:
        raise TypeError("NULL is in no list, nor outside of it")
    return value in listed


def _operand(said: list[str]) -> int:
    """Where the last operand begins: a name, or a function with its argument."""
    start, depth = len(said) - 1, 0
    while said[start] != "(" or depth > 1:
        depth += said[start] == ")"
        depth -= said[start] == "("
        if depth == 0:
            return start
        start -= 1
    return start - 1


class Unique(NamedTuple):
    """Columns that no two rows share, among the rows that it is about."""

    name: str
    columns: tuple[str, ...]
    about: Test | None

    def value(self, row: Row) -> Key | None:
        """What has to be unique of this row; None where it does not matter."""
        if self.about is not None and not self.about(row):
            return None
        value = tuple(row[name] for name in self.columns)
        return None if None in value else value


class Table:
    """One table: its committed rows by primary key, and the indexes of what is unique."""

    def __init__(self, schema: Schema) -> None:
        self.name = schema.name
        self.columns = tuple(column.name for column in schema.c)
        self.primary = tuple(column.name for column in schema.primary_key)
        self.json = {column.name for column in schema.c if isinstance(column.type, JSONB)}
        self.required = {column.name for column in schema.c if not column.nullable}
        self.defaults = {column.name: _default(column) for column in schema.c if column.server_default is not None}
        self.checks = {
            str(each.name): translated(str(each.sqltext))
            for each in (*schema.constraints, *(rule for column in schema.c for rule in column.constraints))
            if isinstance(each, CheckConstraint)
        }
        self.uniques = tuple(_uniques(schema))
        self.rows: dict[Key, Row] = {}
        self.taken: dict[str, dict[Key, Key]] = {unique.name: {} for unique in self.uniques}
        self._seen: list[str] = []

    def key(self, row: Row) -> Key:
        return tuple(row[name] for name in self.primary)

    def given(self, names: Sequence[str], values: Sequence[Any]) -> Row:
        """A row as PostgreSQL would store it: enumerations as their text, JSON as what is read back from it."""
        return {
            name: from_json(to_json(value)) if name in self.json and value is not None else _plain(value)
            for name, value in zip(names, values, strict=True)
        }

    def complete(self, row: Row, now: datetime) -> Row:
        """The row with the defaults of the columns that it does not name."""
        missing = {name: self.defaults.get(name) for name in self.columns if name not in row}
        return row | {name: value(now) if callable(value) else value for name, value in missing.items()}

    def check(self, row: Row) -> None:
        if absent := [name for name in self.required if row[name] is None]:
            raise asyncpg.NotNullViolationError(self.name, absent[0])
        for name, holds in self.checks.items():
            if not holds(row):
                raise asyncpg.CheckViolationError(self.name, name)

    def store(self, key: Key, row: Row | None) -> Row | None:
        """Commits one row, None for one that is gone; gives what was there."""
        before = self.rows.get(key)
        for unique in self.uniques:
            taken = self.taken[unique.name]
            if before is not None and (value := unique.value(before)) is not None:
                taken.pop(value, None)
        for unique in self.uniques if row is not None else ():
            if (value := unique.value(row)) is not None:
                self.taken[unique.name][value] = key
        if row is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = row
        return before

    def records(self, rows: Iterable[Row]) -> list[Record]:
        made = record(*self.columns)
        return [made(tuple(row[name] for name in self.columns)) for row in rows]


def _default(column: Any) -> Any:
    argument = column.server_default.arg
    if isinstance(argument, sql_now):
        return lambda now: now
    return {"false": False, "0": 0, "1": 1}[str(getattr(argument, "text", argument))]


def _uniques(schema: Schema) -> Iterable[Unique]:
    for constraint in schema.constraints:
        if isinstance(constraint, UniqueConstraint):
            names = tuple(column.name for column in constraint.columns)
            yield Unique(str(constraint.name or "_".join((schema.name, *names))), names, None)
    for index in schema.indexes:
        if index.unique:
            where = index.dialect_options["postgresql"]["where"]
            about = None if where is None else translated(str(where))
            yield Unique(str(index.name), tuple(column.name for column in index.columns), about)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def tables_of(metadata: MetaData) -> dict[str, Table]:
    return {schema.name: Table(schema) for schema in metadata.sorted_tables}
