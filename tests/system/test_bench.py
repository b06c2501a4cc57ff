"""`ordermill bench` as people run it, with few orders: what it shows, and that it ends with a clean audit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LONGEST = 300
ANOTHER_WAY = Path(__file__).parents[1] / "support" / "another_way"
SPREAD = {"p50", "p95", "p99", "max"}
FEW = ("--skus", "20", "--customers", "2", "--clients", "8", "-o", "json")


def measured(home, *words):
    """What the command showed, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "ordermill", "bench", *words, *FEW, "--home", str(home)],
        capture_output=True, text=True, check=False, timeout=LONGEST, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def normal(run_folder):
    return measured(
        run_folder / "bench", "--orders", "100", "--rate", "half", "--beside", str(ANOTHER_WAY), "--beside-orders", "30"
    )


@pytest.fixture(scope="module")
def shown(normal):
    return normal[0]


def test_every_order_is_confirmed_and_no_promise_is_broken(shown):
    saturated, half, _ = shown["phases"]

    assert [phase["name"] for phase in (saturated, half)] == ["saturated", "half load"]
    for phase in (saturated, half):
        assert (phase["accepted"], phase["statuses"], phase["outcome"]) == (100, {"201": 100}, {"confirmed": 100})
        assert (phase["cut"], phase["unanswered"]) == (0, 0)
    assert (shown["audit"]["broken"], shown["audit"]["orders_told"]) == ([], 300)
    assert shown["audit"]["promises"] >= 36
    assert shown["restarts"] == {}


def test_rates_latencies_cost_and_batches_are_measured(shown):
    for phase in shown["phases"][:2]:
        assert phase["confirmed_per_second"] > 0
        assert phase["accepted_per_second"] > 0
        assert set(phase["post_ms"]) == set(phase["accepted_to_confirmed_ms"]) == SPREAD
        assert (phase["marked"], phase["seen_confirmed"]) == (100, 100)
        groups = {"shop.api", "shop.worker", "shop2.worker", "PostgreSQL", "RabbitMQ", "load generator", "rest"}
        assert set(phase["cpu_us_per_order"]) == groups
        assert phase["cpu_us_per_order_total"] == pytest.approx(sum(phase["cpu_us_per_order"].values()), abs=1)
        services = {"order_service", "inventory_service", "payment_service", "notification_service"}
        assert services | {"POST /orders"} <= set(phase["batches"])
        assert all(items >= 1 for items in phase["batches"].values())
        assert phase["database_per_order"]["statements"] > 1
        assert set(phase["noise"]) == {"idle", "steal", "others"}


def test_the_shop_is_durable_and_it_is_said_what_is_not_as_in_production(shown):
    kept = shown["durability"]

    assert (kept["postgres"]["fsync"], kept["postgres"]["synchronous_commit"]) == ("on", "on")
    assert set(kept["queues"].values()) == {"quorum"}
    assert shown["asked"]["settings"] == {
        "ORDERMILL_MAIL_CHANNEL": "null", "ORDERMILL_LOG_FORMAT": "json", "ORDERMILL_LOG_LEVEL": "INFO",
        "ORDERMILL_GATEWAY_RATE_LIMITS": "off",
    }  # fmt: skip
    assert shown["asked"]["limits"].startswith("no rate is limited")
    assert shown["machine"]["cpus"] == os.cpu_count()


def test_another_way_is_measured_beside_it_and_compared(shown):
    ours, _, theirs = shown["phases"]

    assert (theirs["name"], theirs["accepted"], theirs["outcome"]) == ("another_way", 30, {"confirmed": 30})
    assert set(theirs["cpu_us_per_order"]) == {"another_way api", "PostgreSQL", "RabbitMQ", "load generator"}
    assert shown["ratio"]["orders_per_second"] == pytest.approx(
        ours["confirmed_per_second"] / theirs["confirmed_per_second"], abs=0.01
    )


def test_progress_is_said_and_nothing_is_left_but_logs(normal, run_folder):
    lines = normal[1].splitlines()

    assert {"warm-up: 100 orders, 8 clients", "saturated: 100 orders, 8 clients", "auditing"} <= set(lines)
    assert not (run_folder / "bench" / "postgres").exists()
    assert "postgres is ready" in (run_folder / "bench" / "log" / "bench.log").read_text()


def test_a_backlog_is_accepted_without_workers_and_drained_by_them(run_folder):
    shown, _ = measured(run_folder / "bench-backlog", "--scenario", "backlog", "--orders", "60")
    accepted, drained = shown["phases"]

    assert (accepted["accepted"], accepted["statuses"]) == (60, {"201": 60})
    assert not accepted["cpu_us_per_order"].keys() & {"shop.worker", "shop2.worker"}
    assert drained["outcome"] == {"confirmed": 60}
    assert len(drained["rates_by_tenth"]) == 10
    assert min(drained["cpu_us_per_order"][name] for name in ("shop.worker", "shop2.worker")) > 0
    assert shown["audit"]["broken"] == []
