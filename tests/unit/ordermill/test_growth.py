"""Growth: which shops are measured, and which amount each figure stands for."""

from collections import Counter
from pathlib import Path

import pytest

from ordermill.bench.growth import growth, merged, point, runs
from ordermill.bench.run import Run
from ordermill.errors import Failure

BASE = Run(Path("home"), orders=500)
COST = {"cpu_us_per_order_total": 300.0, "confirmed_per_second": 1_000.0, "noise": {"others": 0.0}}


def a_report(*phases, **asked):
    groups = {"shop.api": 1.0, "shop.worker": 2.0, "PostgreSQL": 3.0}
    whole = [{**COST, "cpu_us_per_order": groups, **phase} for phase in phases]
    return {"asked": {"warm_up": 20, "skus": 200, **asked}, "phases": whole}


def test_every_thing_is_measured_at_several_sizes():
    assert Counter(name for name, _ in runs(BASE, 1_000_000)) == {"stored": 4, "backlog": 3, "processes": 2, "skus": 5}


def test_nothing_is_larger_than_it_may_be():
    small = [run for _, run in runs(BASE, 1_000)]

    assert max(run.orders for run in small) == 1_000
    assert max(run.stored for name, run in runs(BASE, 1_000) if name == "stored") == 1_000
    assert max(run.skus for name, run in runs(BASE, 1_000) if name == "skus") == 200


def test_what_is_stored_is_all_that_came_before_the_last_phase():
    report = a_report({"accepted": 500}, {"accepted": 900}, {"accepted": 500})

    assert point("stored", report)["at"] == 20 + 500 + 900


def test_a_backlog_a_layout_and_skus_are_as_large_as_they_were():
    assert point("backlog", a_report({"accepted": 700}, {}))["at"] == 700
    assert point("processes", a_report({"accepted": 500}))["at"] == 2
    assert point("skus", a_report({"accepted": 500}))["at"] == 200
    assert point("skus", a_report({"accepted": 500}))["cpu_us_per_order_total"] == 300.0


async def test_each_shop_is_measured_and_its_figures_are_in_their_series():
    async def measure(run, _note):
        phases = [{"accepted": run.orders}, {"accepted": run.stored}, {"accepted": run.orders}]
        report = a_report(*phases, skus=run.skus)
        return {**report, "began_at": "now", "machine": {"cpus": 2}, "audit": {"broken": []}}

    shown = await growth([*runs(BASE, 1_000)], lambda _line: None, measure)

    assert {name: len(points) for name, points in shown["series"].items()} == {
        "stored": 1, "backlog": 1, "processes": 2, "skus": 3,
    }  # fmt: skip
    assert [point["at"] for point in shown["series"]["skus"]] == [2, 20, 200]
    assert (shown["began_at"], shown["machine"], shown["asked"]) == ("now", {"cpus": 2}, {"warm_up": 20})


async def test_a_broken_promise_ends_it():
    async def measure(_run, _note):
        return {"audit": {"broken": [{"id": "I1"}]}}

    with pytest.raises(Failure, match="I1"):
        await growth([*runs(BASE, 1_000)], lambda _line: None, measure)


def test_what_was_not_measured_again_stays_known():
    known = {"began_at": "then", "series": {"stored": [1], "skus": [1]}}

    assert merged(known, {"began_at": "now", "series": {"skus": [2]}}) == {
        "began_at": "now", "series": {"stored": [1], "skus": [2]},
    }  # fmt: skip
    assert merged({}, {"series": {"skus": [2]}}) == {"series": {"skus": [2]}}
