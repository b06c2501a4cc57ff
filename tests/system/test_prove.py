"""`ordermill prove` as CI runs it: a short one of every kind, through the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = "45"
LONGEST = 400


@pytest.fixture(scope="module")
def proof(run_folder):
    """What the command said, what it showed, and its exit code."""
    words = ("prove", "--seconds", SECONDS, "--seed", "7", "--home", str(run_folder / "prove"), "-o", "json")
    return subprocess.run(
        [sys.executable, "-m", "ordermill", *words],
        capture_output=True, text=True, check=False, timeout=LONGEST, env=dict(os.environ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def shown(proof):
    return json.loads(proof.stdout)


def test_whatever_was_killed_frozen_cut_or_poisoned_no_promise_is_broken(proof, shown):
    assert (shown["broken"], shown["contradictions"]) == ([], [])
    assert shown["drained"] is not None
    assert shown["audits"]["promises"] >= 36
    assert shown["audits"]["looks"] >= 5
    assert proof.returncode == 0, proof.stderr
    assert proof.stderr.endswith("every promise held; the same faults again: "
                                 "ordermill prove --seconds 45 --seed 7 --clients 20\n")  # fmt: skip


def test_the_faults_were_many_and_of_many_kinds_and_orders_went_through(shown):
    assert shown["inflicted"] >= 30
    assert len(shown["faults"]) >= 8
    assert sum(shown["restarts"].values()) >= 15
    assert shown["accepted"] >= 100
    assert {"confirmed", "cancelled"} <= set(shown["orders"])
    assert shown["tries"]["count"] >= shown["accepted"]


def test_every_order_that_a_client_was_told_of_is_in_the_file(proof, shown, run_folder):
    told = [json.loads(line) for line in Path(run_folder / "prove" / "told.jsonl").read_text().splitlines()]

    assert len({line["order_id"] for line in told}) == shown["accepted"]
    assert all(set(line) == {"order_id", "customer_id", "key"} for line in told)


def test_nothing_of_a_shop_that_kept_its_promises_is_left_but_its_logs(proof, run_folder):
    home = run_folder / "prove"

    assert not (home / "postgres").exists()
    assert "process killed" in (home / "log" / "prove.log").read_text()
