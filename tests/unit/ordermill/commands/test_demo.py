"""`demo`: the mix of orders, what is counted, and how it goes on while the shop is away for a moment."""

import asyncio
import os
import signal
import sys
from collections import Counter

import pytest

from ordermill import client, demo, options
from ordermill.demo import Course, Demo
from ordermill.errors import Exit, Failure


@pytest.fixture(autouse=True)
def products(shop, monkeypatch):
    shop.lists["/products"] = [{"sku": "MUG-RED"}, {"sku": "CAP-RED"}]
    monkeypatch.setattr(demo, "LOOKS_EACH", 0.001)
    monkeypatch.setattr(demo, "RETRIES_EACH", 0.001)


async def run(shop, orders):
    """A demo of exactly so many orders."""
    async with client.reach(shop.url) as gateway:
        at_work = await Demo.of(gateway)
        await at_work.run(1000, orders / 1000, asyncio.Event())
    return at_work


def counted(at_work):
    return {name: number for name, number in at_work.counts if number}


def test_half_of_the_mix_is_plain():
    assert Counter(demo.MIX) == {
        Course.PAYS: 11, Course.REPEATS: 2, Course.IS_DECLINED: 2, Course.CANCELS_AT_ONCE: 1, Course.CANCELS_LATER: 1,
        Course.WANTS_TOO_MANY: 1, Course.PAYS_ON_A_BROKEN_LINE: 1, Course.IS_LEFT_IN_DOUBT: 1,
    }  # fmt: skip


def test_every_kind_of_order_is_counted_and_ends(shop, ordermill):
    said = ordermill("demo", "--rate", "200", "--for", "0.1s", "-o", "json")

    assert said.json == {
        "placed": 20, "replayed": 2, "declined": 2, "paid_again": 2, "cancellations": 2, "retries": 0, "deliveries": 0,
        "confirmed": 17, "rejected": 1, "cancelled": 2, "open": 0, "failed": 0,
    }  # fmt: skip
    assert said.code == 0
    assert said.err == "placing 200 orders a second for 0.1 s; Ctrl+C ends it earlier\n"
    assert len(shop.orders) == 20


def test_the_final_counts_are_shown_for_people(ordermill):
    said = ordermill("demo", "--rate", "1000", "--for", "0.002")

    assert [line.rsplit(maxsplit=1) for line in said.out.splitlines()][:4] == [
        ["placed", "2"], ["replayed", "1"], ["declined", "0"], ["paid again", "0"],
    ]  # fmt: skip


def test_a_terminal_shows_live_counters(ordermill, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    said = ordermill("demo", "--rate", "1000", "--for", "0.002", "-o", "json")

    assert "cancellations" in said.err
    assert said.json["placed"] == 2


def test_ctrl_c_ends_it_with_the_counts(shop, ordermill):
    shop.after_order = lambda: os.kill(os.getpid(), signal.SIGINT)

    said = ordermill("demo", "--rate", "2", "--for", "1h", "-o", "json")

    assert said.code == 0
    assert (said.json["placed"], said.json["confirmed"]) == (1, 1)


async def test_while_the_shop_is_away_an_order_is_placed_again_with_its_key(shop):
    shop.broken = ["unavailable", "upstream_timeout"]

    at_work = await run(shop, 1)

    assert counted(at_work) == {"placed": 1, "retries": 2, "confirmed": 1}
    assert at_work.trouble is None
    assert len(shop.orders) == 1


async def test_a_shop_that_stays_away_is_given_up(shop, monkeypatch):
    monkeypatch.setattr(demo, "FOLLOWED_FOR", -1.0)
    shop.broken = ["unavailable"]

    at_work = await run(shop, 1)

    assert counted(at_work) == {"placed": 1, "failed": 1}
    assert at_work.trouble.message == "Not available now: unavailable"


async def test_the_trouble_of_one_order_does_not_end_the_others(shop):
    shop.broken = ["forbidden"]

    at_work = await run(shop, 3)

    assert counted(at_work) == {"placed": 3, "replayed": 1, "confirmed": 2, "failed": 1}


async def test_an_order_that_was_placed_and_then_cannot_be_followed_is_a_failed_one(shop):
    shop.after_order = shop.orders.clear

    at_work = await run(shop, 1)

    assert counted(at_work) == {"placed": 1, "failed": 1}
    assert at_work.trouble.message == "Not found: There is no such order."


def test_the_last_trouble_is_the_end_of_the_command(shop, ordermill):
    shop.broken = ["forbidden"]

    said = ordermill("demo", "--rate", "1000", "--for", "0.002", "-o", "json")

    assert said.code == Exit.FAILED
    assert said.json["failed"] == 1
    assert said.err.splitlines()[1] == "Not allowed: forbidden"


async def test_an_order_that_is_not_settled_in_time_stays_open(shop, monkeypatch):
    monkeypatch.setattr(demo, "FOLLOWED_FOR", 0.01)
    monkeypatch.setattr(demo, "MIX", (Course.IS_LEFT_IN_DOUBT,))
    monkeypatch.setitem(demo.TOKENS, Course.IS_LEFT_IN_DOUBT, "tok_lost")

    at_work = await run(shop, 1)

    assert counted(at_work) == {"placed": 1, "open": 1}


async def test_a_declined_order_that_is_rejected_is_not_paid_again(shop, monkeypatch):
    monkeypatch.setattr(demo, "MIX", (Course.IS_DECLINED,))
    shop.stock.clear()

    at_work = await run(shop, 1)

    assert counted(at_work) == {"placed": 1, "rejected": 1, "deliveries": 1}


@pytest.mark.parametrize("course", [Course.CANCELS_AT_ONCE, Course.CANCELS_LATER])
async def test_an_order_that_was_rejected_before_its_cancellation_is_no_trouble(shop, monkeypatch, course):
    monkeypatch.setattr(demo, "MIX", (course,))
    shop.stock.clear()

    at_work = await run(shop, 1)

    assert counted(at_work) == {"placed": 1, "rejected": 1, "deliveries": 1}
    assert at_work.trouble is None


async def test_a_cancellation_that_fails_is_trouble(shop, monkeypatch):
    monkeypatch.setattr(demo, "MIX", (Course.CANCELS_AT_ONCE,))
    shop.after_order = lambda: (shop.accounts.clear(), shop.refreshable.clear(), shop.expire())

    at_work = await run(shop, 1)

    assert counted(at_work) == {"placed": 1, "failed": 1}
    assert at_work.trouble.problem == "credentials_wrong"


async def test_a_shelf_that_ran_empty_is_filled_once(shop, monkeypatch):
    monkeypatch.setattr(demo, "MIX", (Course.PAYS,))
    shop.lists["/products"] = [{"sku": "MUG-RED"}]
    shop.stock.clear()

    at_work = await run(shop, 1)

    assert counted(at_work) == {"placed": 1, "rejected": 1, "deliveries": 1}
    assert shop.stock["MUG-RED"] == 500


async def test_orders_that_want_too_many_fill_no_shelf(shop, monkeypatch):
    monkeypatch.setattr(demo, "MIX", (Course.WANTS_TOO_MANY,))

    at_work = await run(shop, 1)

    assert counted(at_work) == {"placed": 1, "rejected": 1}
    assert shop.stock["MUG-RED"] == 100


async def test_a_shop_without_products_says_how_to_get_some(shop):
    shop.lists.clear()

    async with client.reach(shop.url) as gateway:
        with pytest.raises(Failure) as nothing:
            await Demo.of(gateway)

    assert nothing.value.mend == "Add products with: ordermill seed"


@pytest.mark.parametrize(("text", "duration"), [("90", 90), ("1.5s", 1.5), ("5m", 300), ("2h", 7200)])
def test_durations_are_written_in_seconds_minutes_or_hours(text, duration):
    assert options.seconds(text) == duration


@pytest.mark.parametrize("text", ["", "0", "-5", "5d", "soon"])
def test_what_is_no_duration_is_refused(shop, ordermill, text):
    said = ordermill("demo", "--for", text)

    assert said.code == 2
    assert not shop.asked
