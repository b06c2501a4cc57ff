"""Ending the children of a killed supervisor where the kernel does not do it."""

import subprocess
import sys

import psutil

from ordermill.watch import Watch, orphans
from tests.support.eventually import eventually


def a_sleeper():
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    return subprocess.Popen(argv, start_new_session=True)


def test_an_orphan_is_who_was_started_and_not_seen_to_end():
    assert orphans(["+1\n", "+2\n", "-1\n", "+3\n"]) == {2, 3}


async def test_when_the_supervisor_is_gone_its_children_are_ended():
    with a_sleeper() as left, a_sleeper() as ended:
        watch = Watch(needed=True)
        watch.add(left.pid)
        watch.add(ended.pid)
        watch.remove(ended.pid)

        watch.close()

        assert left.wait(5) == -9
        assert ended.poll() is None
        ended.kill()
    await eventually(lambda: not psutil.pid_exists(left.pid))


def test_where_the_kernel_ends_orphans_no_watch_is_started():
    watch = Watch(needed=False)
    watch.add(1)
    watch.remove(1)
    watch.close()

    assert watch.process is None
