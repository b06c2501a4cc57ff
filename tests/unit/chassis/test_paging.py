"""Keyset pages: the cursor is opaque, can be read back, and one that was made up is refused."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import BaseModel

from chassis.paging import Page, _decode, _page, listing, listing_json
from chassis.problems import Problem

AT = datetime(2026, 1, 31, 9, 30, 0, 123_456, tzinfo=UTC)
ID = UUID(int=7)


class Seen(BaseModel):
    n: int


def a_page(limit=2, after=None):
    return Page(limit, after, None, None)


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


async def test_the_next_page_begins_behind_the_last_row_that_was_shown():
    cursor = shown([1, 2, 3]).next_cursor

    page = await _page(2, cursor, None, None)

    assert page.seen(datetime, UUID, int) == (AT, ID, 2)


async def test_the_first_page_has_seen_nothing():
    assert (await _page()).seen(datetime) is None
    assert await _page() == Page(20, None, None, None)


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
