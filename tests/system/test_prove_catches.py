"""A shop with a bug: `prove` finds the promise that it breaks. The bug is put into the processes from outside."""

import os
from pathlib import Path
from random import Random

import pytest

from contracts.catalogue import TELLERS
from ordermill import setup
from ordermill.prove import watch
from ordermill.prove.run import Run, prove
from ordermill.prove.schedule import Fault, Kind

CODE = Path(__file__).parents[2]
SABOTAGE = CODE / "tests" / "support" / "sabotage"
SECONDS = 14
WORKERS = ("order_service.worker", "inventory_service.worker", "payment_service.worker")


@pytest.fixture
def impatient(monkeypatch):
    """What is broken does not mend itself."""
    monkeypatch.setattr(watch, "DRAINS_WITHIN", 5.0)


@pytest.fixture
def sabotage(impatient, monkeypatch):
    def sabotage(name):
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(CODE), str(SABOTAGE / name))))

    return sabotage


async def broken(home, *plan):
    """The promises that a short run finds broken."""
    report = await prove(Run(1, SECONDS, 10, home), print, plan)
    assert report.accepted > 10
    return {each["id"] for each in report.broken}


def each_second(kind, *targets, lasts=0.0, noise=0):
    """The same fault again and again, with its targets by turns."""
    return [Fault(3.0 + n, kind, targets[n % len(targets)], lasts, noise) for n in range(SECONDS - 4)]


def of_orders():
    """The noise with which a fault is about what order_service told."""
    tellers = sorted(set(TELLERS.values()))
    return next(noise for noise in range(1000) if Random(noise).choice(tellers) == "order_service")  # noqa: S311


async def test_a_shop_without_a_bug_breaks_no_promise_under_the_same_faults(run_folder):
    plan = (
        Fault(2.0, Kind.SLOW_POSTGRES, "postgres", SECONDS - 3.0, 1),
        *each_second(Kind.KILL_PROCESS, *WORKERS),
        *each_second(Kind.CUT_RABBITMQ, "rabbitmq", noise=1),
        *each_second(Kind.REPEAT_PARCELS, "", noise=of_orders()),
    )

    assert await broken(run_folder / "prove-sound", *plan) == set()


async def test_a_shop_without_an_inbox_is_caught(run_folder, sabotage):
    sabotage("no_inbox")

    found = await broken(run_folder / "prove-1", *each_second(Kind.REPEAT_PARCELS, "", noise=of_orders()))

    assert found & {"E5", "E7", "E8"}


async def test_a_shop_that_acknowledges_before_it_has_handled_is_caught(run_folder, sabotage):
    sabotage("acknowledge_first")

    slow = Fault(2.0, Kind.SLOW_POSTGRES, "postgres", SECONDS - 3.0, 1)
    found = await broken(run_folder / "prove-2", slow, *each_second(Kind.KILL_PROCESS, *WORKERS))

    assert {"E3", "O3"} <= found


async def test_a_shop_that_marks_before_the_broker_has_confirmed_is_caught(run_folder, sabotage):
    sabotage("mark_before_confirm")

    slow = Fault(2.0, Kind.SLOW_RABBITMQ, "rabbitmq", SECONDS - 3.0, 1)
    found = await broken(run_folder / "prove-3", slow, *each_second(Kind.CUT_RABBITMQ, "rabbitmq", noise=1))

    assert {"E3", "O3"} <= found


async def test_a_shop_whose_topology_lacks_a_binding_is_caught(run_folder, impatient, monkeypatch):
    complete = setup.listeners()
    fewer = {**complete, "inventory_service": tuple(set(complete["inventory_service"]) - {"order.confirmed"})}
    monkeypatch.setattr(setup, "listeners", lambda: fewer)

    found = await broken(run_folder / "prove-4")

    assert {"E3", "S6"} <= found
