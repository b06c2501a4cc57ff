"""Processor time by process: with what it has started, and without what is counted elsewhere."""

import os
import subprocess
import sys

import psutil
import pytest

from ordermill.bench import cpu

WORKS = "import time\nwhile time.process_time() < 0.4: pass\n"
ENDS_LATER = f"{WORKS}import sys\nprint(flush=True)\nsys.stdin.read()\n"
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {WORKS!r}])
pipes = {{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}}
child = subprocess.Popen([sys.executable, "-c", {ENDS_LATER!r}], **pipes)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def family():
    """The pids of a process that did nothing itself, and of its living child; one child has ended before."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    yield parent.pid, int(parent.stdout.readline())
    parent.communicate()


def test_children_are_counted_those_that_have_ended_too(family):
    parent, _ = family

    assert cpu.spent({"all": parent})["all"] >= 0.7


def test_a_child_with_a_name_of_its_own_is_counted_there(family):
    parent, child = family

    apart = cpu.spent({"parent": parent, "child": child})

    assert apart["child"] >= 0.3
    assert apart["parent"] + apart["child"] == pytest.approx(cpu.spent({"all": parent})["all"], abs=0.05)
    assert apart["parent"] >= 0.3


def test_who_is_gone_used_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass

    assert cpu.spent({"gone": gone.pid}) == {"gone": 0.0}
    assert cpu._seconds(psutil.Process(os.getpid())) > 0


def test_the_noise_is_what_the_machine_did_for_others():
    machine = {"busy": 6.0, "idle": 3.0, "steal": 1.0}

    assert cpu.noise(machine, ours=4.0) == {"idle": 0.3, "steal": 0.1, "others": 0.2}
    assert cpu.noise(machine, ours=6.5)["others"] == 0.0
    assert cpu.machine_times()["busy"] > 0


def test_the_machine_is_named(monkeypatch):
    assert cpu.facts()["cpus"] == os.cpu_count()
    monkeypatch.setattr(cpu, "open", _no_such_file, raising=False)
    assert cpu.facts()["model"] is None


def _no_such_file(*_):
    raise FileNotFoundError
