"""Keyset pages: the cursor is opaque, can be read back, and one that was made up is refused."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import BaseModel
from pydantic_core import from_json
from sqlalchemy import Column, DateTime, MetaData, Table, Text, Uuid, select

from chassis.paging import List, Page, _decode, _page, listing, listing_json
from chassis.problems import Problem

AT = datetime(2026, 1, 31, 9, 30, 0, 123_456, tzinfo=UTC)
ID = UUID(int=7)


class Seen(BaseModel):
    n: int


def a_page(limit=2, after=None):
    return Page(limit, after)


def shown(rows, limit=2):
    return listing(a_page(limit), rows, lambda row: Seen(n=row), lambda row: (AT, ID, row))


def cursor_of(text):
    return urlsafe_b64encode(text.encode()).decode()


def test_a_page_that_is_not_full_is_the_last_one():
    assert shown([1, 2]).model_dump() == {"data": [{"n": 1}, {"n": 2}], "has_more": False, "next_cursor": None}
    assert shown([]).data == []


def test_a_row_beyond_the_page_says_that_there_is_more_and_is_not_shown():
    page = shown([1, 2, 3])

    assert (page.data, page.has_more) == ([Seen(n=1), Seen(n=2)], True)


@pytest.mark.parametrize("rows", [[], [1], [1, 2], [1, 2, 3]])
def test_a_page_that_is_written_in_one_go_says_what_its_model_says(rows):
    written = listing_json(a_page(), rows, lambda row: b'{"n":%d}' % row, lambda row: (AT, ID, row))

    assert written.decode() == shown(rows).model_dump_json()


def test_a_page_of_long_rows_ends_early_and_says_where():
    page, rows = a_page(limit=5), [1, 2, 3]
    written = from_json(listing_json(page, rows, lambda row: b'"%b"' % (b"y" * 150_000), lambda row: (AT, ID, row)))

    assert (len(written["data"]), written["has_more"]) == (2, True)
    assert _decode(written["next_cursor"])[2] == 2


async def test_the_next_page_begins_behind_the_last_row_that_was_shown():
    cursor = shown([1, 2, 3]).next_cursor

    page = await _page(2, cursor)

    assert page.seen(datetime, UUID, int) == (AT, ID, 2)


async def test_the_first_page_has_seen_nothing():
    assert (await _page()).seen(datetime) is None
    assert await _page() == Page(20, None)


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "not base64!", "é", cursor_of("{"), cursor_of("{}"), cursor_of("7"), cursor_of("null"), "_" * 400],
)
def test_what_is_no_cursor_is_refused(cursor):
    with pytest.raises(Problem) as refused:
        _decode(cursor)

    assert refused.value.code == "cursor_invalid"


@pytest.mark.parametrize(
    "text", ["[]", "[1]", '["x", 1]', '["2026-01-31T09:30:00", 1]', '["2026-01-31T09:30:00Z", 1, 2]']
)
def test_a_cursor_of_another_list_is_refused(text):
    page = a_page(after=_decode(cursor_of(text)))

    with pytest.raises(Problem) as refused:
        page.seen(datetime, int)

    assert refused.value.code == "cursor_invalid"


THINGS = Table(
    "things", MetaData(), Column("id", Uuid), Column("size", Text), Column("made_at", DateTime(timezone=True))
)
NEWEST = List(select(THINGS.c.id), {THINGS.c.made_at: datetime, THINGS.c.id: UUID}, THINGS.c.size)
BY_SIZE = List(select(THINGS.c.id), {THINGS.c.size: str}, (THINGS.c.made_at.is_(None)).label("new"), newest_first=False)


class Asked:
    """Stands for a transaction: what it is asked, and with which values."""

    async def fetch(self, statement, **given):
        _, _, conditions = " ".join(statement.sql.split()).partition(" WHERE ")
        return conditions, statement.arguments(given), statement


async def test_a_list_asks_for_one_row_more_in_the_order_of_its_key():
    conditions, values, statement = await NEWEST.fetch(Asked(), a_page(5), size=None)

    assert conditions == ""
    assert statement.sql.endswith("ORDER BY things.made_at DESC, things.id DESC \n LIMIT $1::INTEGER")
    assert values == [6]


async def test_one_value_is_compared_so_that_an_index_is_of_use_and_several_are_among_an_array():
    one, _, statement = await NEWEST.fetch(Asked(), a_page(), size=["m"])
    several, values, _ = await NEWEST.fetch(Asked(), a_page(), size=["m", "l"])
    _, _, again = await NEWEST.fetch(Asked(), a_page(), size=["s"])

    assert one.startswith("things.size = $1")
    assert several.startswith("things.size = ANY ($1::TEXT[])")
    assert values == [["m", "l"], 3]
    assert again is statement


async def test_a_page_begins_behind_what_was_seen_and_lies_between_two_times():
    page = Page(2, [AT.isoformat(), str(ID)], AT, AT)

    conditions, values, _ = await NEWEST.fetch(Asked(), page)
    ascending, seen, _ = await BY_SIZE.fetch(Asked(), Page(2, ["m"], AT, None), new=[False])

    assert "(things.made_at, things.id) < ($" in conditions
    assert "things.made_at > $" in conditions
    assert "things.made_at < $" in conditions
    assert sorted(map(str, values)) == sorted(map(str, [AT, AT, AT, ID, 3]))
    assert "(things.made_at IS NULL) = $1" in ascending
    assert "(things.size) > ($2" in ascending
    assert seen == [False, "m", 3]
