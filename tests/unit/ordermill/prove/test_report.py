"""What a run is judged by, and how it is shown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ordermill.commands import prove
from ordermill.errors import Exit, Failure
from ordermill.output import Form
from ordermill.prove import report
from ordermill.prove.ledger import Ledger, quantile
from ordermill.prove.nemesis import Inflicted
from ordermill.prove.report import Report
from ordermill.prove.schedule import Fault, Kind
from ordermill.prove.watch import Watch

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def inflicted(kind=Kind.KILL_PROCESS, began=0.0, ready=None, missed=""):
    fault = Fault(0.0, kind, "gateway", 0.0, 0)
    return Inflicted(fault, after(began), None if ready is None else after(ready), missed)


def a_report(**given):
    facts = {
        "seed": 7, "seconds": 180.0, "clients": 20, "accepted": 6000, "orders": {"confirmed": 6000},
        "acts": {"buys": 3}, "tries": report.tries(Ledger(Path("told"))), "confirmations": report.confirmations([]),
        "faults": [{"kind": f"kind {n}", "count": 20, "ready": {"p50": 1.0, "max": 2.0},
                    "next_confirmed": {"p50": 0.5, "max": 0.7}, "not_back": 0} for n in range(12)],
        "missed": 1, "restarts": {"gateway": 2}, "audits": report.audits(Watch("")), "drained": 1.5, "poisoned": 4,
        "broken": [], "contradictions": [], "home": "/home",
    }  # fmt: skip
    return Report(**{**facts, **given})


def test_a_run_that_reaches_every_bar_is_short_of_nothing():
    assert a_report().short_of() == []
    assert a_report().held is True
    assert a_report().as_json()["inflicted"] == 240


@pytest.mark.parametrize(
    ("given", "short"),
    [
        ({"accepted": 4999}, "4999 orders were accepted, not 5000"),
        ({"faults": a_report().faults[:11]}, "11 kinds of faults were inflicted, not 12"),
        ({"faults": [{**each, "count": 16} for each in a_report().faults]}, "192 faults were inflicted, not 200"),
        ({"tries": {**a_report().tries, "answered": 0.98}}, "98.00% of tries were answered within 10 s, not 99%"),
        ({"drained": None}, "it had not drained within 60 s"),
    ],
)
def test_a_full_run_is_measured_with_every_bar_and_a_short_one_has_to_drain(given, short):
    assert short in a_report(**given).short_of()
    assert a_report(**given, seconds=45.0).short_of() == ([short] if "drained" in given else [])


def test_recovery_is_counted_by_kind_and_who_was_not_there_is_left_out():
    done = [inflicted(began=0, ready=1), inflicted(began=10, ready=13), inflicted(missed="gone"), inflicted(began=20)]

    [kills] = report.faults(done, [after(0.5), after(12), after(60)])

    assert kills == {
        "kind": "process killed", "count": 3, "ready": {"p50": 3.0, "max": 3.0},
        "next_confirmed": {"p50": 2.0, "max": 40.0}, "not_back": 1,
    }  # fmt: skip
    assert report.faults(done, [])[0]["next_confirmed"] == {"p50": 0.0, "max": 0.0}


def test_the_longest_time_without_a_confirmed_order_is_told():
    assert report.confirmations([after(9), after(1), after(2)]) == {"count": 3, "longest_gap": 7.0}


def test_a_try_is_answered_when_a_whole_answer_came_in_time():
    ledger = Ledger(Path("told"), tries=4, latencies=[0.1, 0.2, 0.9])
    ledger.answers.update({"201": 2, "503": 1})
    ledger.unanswered += 1
    ledger.cut["ReadError"] += 2

    assert report.tries(ledger) == {
        "count": 4, "answered": 0.75, "answers": {"201": 2, "503": 1}, "unanswered": 1, "cut": {"ReadError": 2},
        "p50": 200.0, "p99": 900.0, "max": 900.0,
    }  # fmt: skip
    assert quantile([], 0.5) == 0.0


def test_for_people_the_faults_are_a_table_and_the_rest_a_line_each(capsys):
    report.show(a_report(drained=None))

    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["fault", "times", "ready", "p50", "max", "next", "confirmed", "p50", "max"]
    assert said[1].split() == ["kind", "0", "20", "1.0", "s", "2.0", "s", "0.5", "s", "0.7", "s"]
    assert "seed                   7, 180 s, 20 clients" in said
    assert "drained                not within 60 s" in said


def test_what_is_broken_is_shown_with_its_rows(capsys):
    broken = {
        "id": "E3",
        "promise": "every event is handled",
        "seen": "at the end",
        "seen_at": NOON,
        "rows": [{"a": 1}],
    }
    report.show(a_report(broken=[broken], contradictions=[{"what": "one key, two answers"}]))

    said = capsys.readouterr().out
    assert "BROKEN E3: every event is handled, seen at the end\n  {'a': 1}\n" in said
    assert "BROKEN to a client: {'what': 'one key, two answers'}" in said


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"broken": [{"id": "S1"}, {"id": "E3"}]}, "Broken: S1, E3."),
        ({"contradictions": [{"what": "x"}]}, "Broken: what clients were told."),
        ({"accepted": 4}, "Every promise held, but 4 orders were accepted, not 5000."),
    ],
)
def test_a_run_that_is_not_good_enough_ends_with_code_nine_and_how_to_repeat_it(given, cause, capsys):
    with pytest.raises(Failure) as failure:
        prove._judge(replace(a_report(), **given), Form.JSON)

    assert (failure.value.message, failure.value.code) == (cause, Exit.AUDIT_BROKEN)
    assert failure.value.mend.endswith("ordermill prove --seconds 180 --seed 7 --clients 20")
    assert capsys.readouterr().out.startswith("{")


def test_a_good_run_says_how_to_have_the_same_faults_again(capsys):
    prove._judge(a_report(), Form.TABLE)

    assert capsys.readouterr().err == (
        "every promise held; the same faults again: ordermill prove --seconds 180 --seed 7 --clients 20\n"
    )
