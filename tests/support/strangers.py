"""What another user of the machine can do: a program run as `nobody`, where the tests run as root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERYBODYS = "/usr/local/bin:/usr/bin:/bin"


def tries(*programs: tuple[object, ...]) -> set[str]:
    """What comes of these programs of Python's, each with its words, when `nobody` runs them.

    That is the name of what each fails with, or `done`. Only root becomes another user: else nothing is tried.
    """
    return {_as_nobody(*map(str, each)) for each in programs} if os.geteuid() == 0 else set()


def _as_nobody(program: str, *words: str) -> str:
    nobody = pwd.getpwnam("nobody")
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-c", program, *words],
        cwd="/", env={"PATH": EVERYBODYS}, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[],
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    return done.stderr.strip().rpartition("\n")[2].partition(":")[0] if done.returncode else "done"


@contextmanager
def a_place_of_all() -> Iterator[Path]:
    """A folder that everybody gets into, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="ordermill-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
