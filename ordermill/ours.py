"""Files and folders of whoever runs the shop, that no other user of the machine opens, locks or takes the place of."""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ordermill.accounts import held
from ordermill.errors import Failure

PRIVATE = 0o600
FOLDER = 0o700
PASSED_THROUGH = 0o711


def keep(folder: Path) -> None:
    """Make a folder of ours unless it is there, and narrow it and our files in it where others may read or lock them.

    Where root runs the shop, PostgreSQL's user passes through it to a folder of its own, and sees nothing on the way.
    Raises Failure where everybody may put something into it, or where we may not look into it.
    """
    widest = PASSED_THROUGH if os.geteuid() == 0 else FOLDER
    folder.mkdir(widest, parents=True, exist_ok=True)
    try:
        with held(folder.resolve()) as handle:
            if os.fstat(handle).st_mode & stat.S_ISVTX:
                cause = f"{folder} is everybody's."
                raise Failure(cause, "Name a folder of your own: ORDERMILL_HOME")
            _narrow(handle, widest)
    except PermissionError:
        cause = f"{folder} is another user's."
        raise Failure(cause, "Run the command as whoever runs the shop.") from None
    for file in (folder / "lock", *folder.glob("*.json")):
        with suppress(OSError), open(file, opener=_no_link) as kept:
            _narrow(kept.fileno(), PRIVATE)


def _narrow(handle: int, widest: int) -> None:
    """What is another's stays as it is."""
    seen = os.fstat(handle)
    if seen.st_uid == os.geteuid() and stat.S_IMODE(seen.st_mode) & ~widest:
        os.fchmod(handle, seen.st_mode & widest)


def own_folder(folder: Path, mend: str) -> Path:
    """A folder that nobody else gets into. Raises Failure when others do, or were there first: secrets go into it."""
    with suppress(FileExistsError):
        folder.mkdir(mode=FOLDER)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
        cause = f"{folder} is not ours alone."
        raise Failure(cause, mend)
    return folder


@contextmanager
def locked(file: Path, busy: Failure) -> Iterator[None]:
    """Held by one process; freed by the kernel however that ends. Raises `busy` when another one holds it.

    Whoever may open a file may lock it, so that nobody else may open this one. A link in its place is somebody else's:
    what it leads to is not touched.
    """
    with open(file, "a", opener=_no_link) as handle:
        _narrow(handle.fileno(), PRIVATE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield


def _no_link(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW, PRIVATE)
    except OSError as failure:
        if failure.errno != errno.ELOOP:
            raise
        cause = f"{path} is a link, and none of ours."
        raise Failure(cause, "See who made it, and remove it.") from None


def read(file: Path) -> dict[str, Any]:
    """What a file of ours holds; nothing where there is none."""
    return dict(json.loads(file.read_text())) if file.exists() else {}


def write(file: Path, content: dict[str, Any]) -> None:
    """Put a file of ours in the place of the one before, at once."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.touch(PRIVATE)
    draft.write_text(json.dumps(content, indent=1))
    draft.replace(file)
