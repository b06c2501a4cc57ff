"""How a run is shown, and with which exit code it ends."""

import pytest

from ordermill.bench import report
from ordermill.commands import bench
from ordermill.errors import Exit, Failure
from ordermill.output import Form

SATURATED = {
    "name": "saturated", "accepted": 1000, "statuses": {"201": 1000, "503": 2}, "cancels": {}, "cut": 0,
    "unanswered": 1,
    "outcome": {"confirmed": 990, "rejected": 10}, "seconds": {"settled": 2.5}, "accepted_per_second": 812.3,
    "confirmed_per_second": 396.04, "post_ms": {"p50": 3.21, "p95": 10.0, "p99": 20.0, "max": 25.0},
    "accepted_to_confirmed_ms": {"p50": 40.0, "p95": 100.4, "p99": 150.0, "max": 200.0}, "seen_confirmed": 990,
    "cpu_us_per_order_total": 1234.5, "cpu_us_per_order": {"shop.api": 400.0}, "batches": {"POST /orders": 20.0},
    "database_per_order": {"statements": 3.0}, "noise": {"idle": 0.25, "steal": 0.0, "others": 0.1},
}  # fmt: skip
DRAINED = {"name": "draining", "rates_by_tenth": [4000.0] * 10, "drained_per_second": 4000.0, "noise": {"idle": 0.1}}


def a_report(**given):
    facts = {
        "asked": {"scenario": "normal", "layout": "packed", "skus": 10, "customers": 2, "home": "/home",
                  "settings": {"ORDERMILL_MAIL_CHANNEL": "null"}, "limits": "none"},
        "machine": {"cpus": 2, "model": "fast", "memory_gb": 4.0, "load_average": [0.5, 0.4, 0.3]},
        "durability": {"postgres": {"fsync": "on"}, "queues": {"a": "quorum", "b": "quorum"}},
        "phases": [SATURATED, DRAINED], "growth": None, "ratio": None, "restarts": {},
        "audit": {"promises": 36, "orders_told": 3, "seconds": 1.0, "broken": []},
    }  # fmt: skip
    return {**facts, **given}


BROKEN = {"promises": 36, "broken": [{"id": "S2", "promise": "it adds up", "count": 7, "rows": [{"sku": "A"}]}]}


def shown(capsys, **given):
    report.show(a_report(**given))
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_column_is_a_phase_and_what_a_phase_does_not_know_stays_empty(capsys):
    lines = shown(capsys)

    assert "saturated draining" in lines
    assert "confirmed a second 396" in lines
    assert "POST, ms: p50 / p95 / p99 3.2 / 10.0 / 20.0" in lines
    assert "answers 1000 201, 2 503" in lines
    assert "CPU an order, µs 1,234" in lines
    assert "machine: idle 25.0% 10.0%" in lines
    assert "RabbitMQ 2 quorum queues" in lines
    assert "draining, confirmed a second in each tenth: " + " ".join(["4000"] * 10) in lines
    assert lines[-1] == "audit: 36 promises, 0 broken"
    assert not any(line.startswith(("cancellations", "CAME BACK", "other processes")) for line in lines)


def test_a_phase_that_was_disturbed_is_named(capsys):
    noisy = {**SATURATED, "noise": {"idle": 0.0, "steal": 0.0, "others": 0.4}}

    lines = shown(capsys, phases=[noisy, DRAINED])

    assert "other processes kept the machine busy, so rates are lower than they could be: saturated" in lines


def test_what_was_compared_and_what_came_back_is_said(capsys):
    lines = shown(
        capsys, growth=1.125, ratio={"orders_per_second": 61.5, "cpu_per_order": 58.2}, restarts={"shop.api": 1}
    )

    assert "an order costs 1.12 times what it costs in an empty shop" in lines
    assert "61.5 times the orders a second of draining, for 58.2 times less CPU each" in lines
    assert "CAME BACK MEANWHILE 1 shop.api" in lines


def test_a_broken_promise_is_shown_with_its_rows_and_ends_with_nine(capsys):
    with pytest.raises(Failure, match="Broken: S2") as ended:
        bench._judge(a_report(audit=BROKEN), Form.TABLE)

    assert ended.value.code == Exit.AUDIT_BROKEN
    assert 'BROKEN S2 by 7: it adds up\n  {"sku": "A"}\n' in capsys.readouterr().out


def test_a_run_that_kept_every_promise_ends_well_as_json_too(capsys):
    bench._judge(a_report(), Form.JSON)

    assert '"confirmed_per_second": 396.04' in capsys.readouterr().out


@pytest.mark.parametrize(("text", "value"), [("900", 900.0), ("half", "half")])
def test_a_rate_is_a_number_or_half(text, value):
    assert bench.rate(text) == value


def test_another_rate_is_refused():
    with pytest.raises(Exception, match="'fast' is no rate"):
        bench.rate("fast")
