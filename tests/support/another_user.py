"""Another user of the machine: what is theirs, and what a process of theirs can do."""

import os
import pwd
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

NOBODY = pwd.getpwnam("nobody").pw_uid
ROOT = 0
ANOTHER = NOBODY if os.geteuid() != NOBODY else NOBODY - 1


def give(path: Path, monkeypatch: pytest.MonkeyPatch, user: int = ANOTHER) -> None:
    """Let a path be that user's; a link itself. Only root gives away: else it is theirs for whoever looks at it."""
    if os.geteuid() == ROOT:
        os.chown(path, user, -1, follow_symlinks=False)
        return
    look = Path.lstat

    def lstat(each: Path) -> os.stat_result:
        seen = look(each)
        return os.stat_result((*seen[:4], user, *seen[5:])) if each == path else seen

    monkeypatch.setattr(Path, "lstat", lstat)


def as_nobody(deed: Callable[[], object]) -> bool:
    """Whether a process of nobody's can do that; of ours, where we are not root."""
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] == 0
    try:
        if os.geteuid() == ROOT:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        deed()
    except BaseException:  # noqa: BLE001 -- whatever it is, the tests go on in one process only
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
