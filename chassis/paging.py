"""Lists: keyset pages with an opaque cursor, newest first or by natural key, as the owning store orders them."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

from asyncpg import Record
from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from sqlalchemy import Column, ColumnElement, DateTime, Integer, Select, any_, bindparam, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.database import Transaction
from chassis.problems import Problem
from chassis.statements import Statement
from chassis.times import Moment

LONG_PAGE = 256 * 1024  # bytes
_CREATED = {"created_after", "created_before"}
_NEXT = "The `next_cursor` of the page before, as it is; there is none when `has_more` is false."
_LIMIT = "How many at most; of long ones a page may have fewer."
Row = TypeVar("Row")
Item = TypeVar("Item", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for. ``after`` holds the last row's values, as ``listing`` was given them."""

    limit: int
    after: list[Any] | None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def seen(self, *kinds: type) -> tuple[Any, ...] | None:
        """The values of the last row seen as these types, None on the first page.

        Raises:
            Problem: cursor_invalid, when the cursor is of another list or was made up.
        """
        if self.after is None:
            return None
        try:
            values: tuple[Any, ...] = _adapter(kinds).validate_python(self.after)
        except ValidationError:
            code = "cursor_invalid"
            raise Problem(code, "Use next_cursor of the page before.") from None
        return values


@cache
def _adapter(kinds: tuple[type, ...]) -> TypeAdapter[tuple[Any, ...]]:
    # A time without a zone cannot be compared with a timestamptz.
    aware = tuple(AwareDatetime if kind is datetime else kind for kind in kinds)
    return TypeAdapter(tuple[aware])  # type: ignore[valid-type]


class Listing(BaseModel, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    has_more: bool
    next_cursor: str | None


def _decode(cursor: str) -> list[Any]:
    try:
        values = from_json(urlsafe_b64decode(cursor))
    except (ValueError, NotBase64):
        values = None
    if not isinstance(values, list):
        code = "cursor_invalid"
        raise Problem(code, "Use next_cursor of the page before.")
    return values


async def _page(
    limit: Annotated[int, Query(ge=1, le=100, description=_LIMIT)] = 20,
    cursor: Annotated[str | None, Query(max_length=512, description=_NEXT)] = None,
) -> Page:
    return Page(limit, _decode(cursor) if cursor is not None else None)


async def _page_of_a_time(
    page: Annotated[Page, Depends(_page)], created_after: Moment | None = None, created_before: Moment | None = None
) -> Page:
    return replace(page, created_after=created_after, created_before=created_before)


Paging = Annotated[Page, Depends(_page_of_a_time)]
# Of a list whose rows have no time of their creation, or come as they happened.
TimelessPaging = Annotated[Page, Depends(_page)]


def listing(
    page: Page, rows: Sequence[Row], view: Callable[[Row], Item], cursor: Callable[[Row], Sequence[object]]
) -> Listing[Item]:
    """The answer for ``rows``, of which the store has read up to ``page.limit + 1``; ``cursor`` gives a row's key."""
    shown, next_cursor = _cut(page, rows, cursor)
    return Listing(data=[view(row) for row in shown], has_more=next_cursor is not None, next_cursor=next_cursor)


def listing_json(
    page: Page, rows: Sequence[Row], written: Callable[[Row], bytes], cursor: Callable[[Row], Sequence[object]]
) -> bytes:
    """The same as JSON, where ``written`` gives a row's. Of long rows a page has fewer: it ends behind 256 KiB."""
    data = list(_as_long_as_it_is_short(map(written, rows[: page.limit])))
    _, next_cursor = _cut(replace(page, limit=len(data)), rows, cursor)
    more = to_json({"has_more": next_cursor is not None, "next_cursor": next_cursor})
    return b'{"data":[%b],%b' % (b",".join(data), more[1:])


def _as_long_as_it_is_short(data: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for each in data:
        yield each
        size += len(each)
        if size >= LONG_PAGE:
            return


def _cut(
    page: Page, rows: Sequence[Row], cursor: Callable[[Row], Sequence[object]]
) -> tuple[Sequence[Row], str | None]:
    shown = rows[: page.limit]
    more = len(rows) > page.limit
    return shown, urlsafe_b64encode(to_json(list(cursor(shown[-1])))).decode() if more else None


class List:
    """What a list asks the database, in the order of ``key``: newest first, or ascending where the key is a name.

    ``filters`` are columns or labelled expressions of which any of the given values is asked for. Each combination of
    filters, of one value or of several, is a statement of its own, compiled once, so that it finds its index.
    """

    def __init__(
        self,
        rows: Select[Any],
        key: Mapping[Column[Any], type],
        *filters: ColumnElement[Any],
        newest_first: bool = True,
    ) -> None:
        first, kind = next(iter(key.items()))
        named = {column.key: column for column in rows.selected_columns}
        self._rows = rows
        self._key = key
        self._filters: Mapping[str, Any] = {str(each.key): each for each in filters}
        self._created = named.get("created_at", first if kind is datetime else None)
        self._newest_first = newest_first
        self._statements: dict[frozenset[tuple[str, bool]], Statement] = {}

    async def fetch(self, tx: Transaction, page: Page, **filters: Sequence[Any] | None) -> list[Record]:
        """One row more than the page holds, where there are more; a filter that is None or empty is none.

        Raises:
            Problem: cursor_invalid.
        """
        seen = page.seen(*self._key.values()) or ()
        given: dict[str, Any] = {f"seen_{place}": value for place, value in enumerate(seen)}
        given |= {name: list(values) if len(values) > 1 else values[0] for name, values in filters.items() if values}
        if self._created is not None:
            given |= {name: value for name in _CREATED if (value := getattr(page, name))}
        statement = self._statement(frozenset((name, isinstance(value, list)) for name, value in given.items()))
        return await tx.fetch(statement, **given, limit=page.limit + 1)

    def _statement(self, given: frozenset[tuple[str, bool]]) -> Statement:
        if given not in self._statements:
            columns = [column.desc() if self._newest_first else column.asc() for column in self._key]
            rows = self._rows.where(*self._conditions(dict(given))).order_by(*columns)
            self._statements[given] = Statement(rows.limit(bindparam("limit", type_=Integer)))
        return self._statements[given]

    def _conditions(self, given: Mapping[str, bool]) -> Iterator[ColumnElement[bool]]:
        for name in self._filters.keys() & given.keys():
            column = self._filters[name]
            kind = ARRAY(column.type) if given[name] else column.type
            yield column == (any_(bindparam(name, type_=kind)) if given[name] else bindparam(name, type_=kind))
        for name in _CREATED & given.keys():
            bound = bindparam(name, type_=DateTime(timezone=True))
            yield self._created > bound if name == "created_after" else self._created < bound
        if "seen_0" in given:
            here = tuple_(*self._key)
            seen = tuple_(*(bindparam(f"seen_{n}", type_=column.type) for n, column in enumerate(self._key)))
            yield here < seen if self._newest_first else here > seen
