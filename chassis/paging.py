"""Lists: keyset pages with an opaque cursor, newest first or by natural key, as the owning store orders them."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from chassis.problems import Problem
from chassis.times import Moment

Row = TypeVar("Row")
Item = TypeVar("Item", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for. ``after`` holds the last row's values, as ``listing`` was given them."""

    limit: int
    after: list[Any] | None
    created_after: datetime | None
    created_before: datetime | None

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
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
    created_after: Moment | None = None,
    created_before: Moment | None = None,
) -> Page:
    return Page(limit, _decode(cursor) if cursor is not None else None, created_after, created_before)


Paging = Annotated[Page, Depends(_page)]


def listing(
    page: Page, rows: Sequence[Row], view: Callable[[Row], Item], cursor: Callable[[Row], Sequence[object]]
) -> Listing[Item]:
    """The answer for ``rows``, of which the store has read up to ``page.limit + 1``; ``cursor`` gives a row's key."""
    shown, next_cursor = _cut(page, rows, cursor)
    return Listing(data=[view(row) for row in shown], has_more=next_cursor is not None, next_cursor=next_cursor)


def listing_json(
    page: Page, rows: Sequence[Row], written: Callable[[Row], bytes], cursor: Callable[[Row], Sequence[object]]
) -> bytes:
    """The same as JSON, where ``written`` gives a row's."""
    shown, next_cursor = _cut(page, rows, cursor)
    more = to_json({"has_more": next_cursor is not None, "next_cursor": next_cursor})
    return b'{"data":[%b],%b' % (b",".join(map(written, shown)), more[1:])


def _cut(
    page: Page, rows: Sequence[Row], cursor: Callable[[Row], Sequence[object]]
) -> tuple[Sequence[Row], str | None]:
    shown = rows[: page.limit]
    more = len(rows) > page.limit
    return shown, urlsafe_b64encode(to_json(list(cursor(shown[-1])))).decode() if more else None
