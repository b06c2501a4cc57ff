"""Files and folders of whoever runs the shop, that no other user of the machine opens, locks or takes the place of."""

import errno
import fcntl
import json
import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from ordermill import whose
from ordermill.accounts import held
from ordermill.errors import Failure
from ordermill.whose import Use

PRIVATE = 0o600
FOLDER = 0o700
PASSED_THROUGH = 0o711
OF_A_SERVER = {"postgres", "sockets"}  # its user's, where root runs the shop


def home(folder: Path, named: str = "ORDERMILL_HOME") -> Path:
    """The folder of a shop's state, as it is really called: made when it is missing, and narrowed.

    Where root runs the shop, PostgreSQL's user passes through it to a folder of its own, and sees nothing on the way.
    Raises Failure where others may exchange it or put something into it, and when what is in it is not ours: another
    user's passwords, ports and logs are not used. `named` is what names another folder.
    """
    own = f"Name a folder of your own: {named}"
    use = Use("No shop is kept in", f"Run it as that user, or name a folder of your own: {named}", own)
    found = whose.made(folder, _widest(), use)
    try:
        _take(found, use)
        (found / "log").mkdir(FOLDER, exist_ok=True)
    except OSError as failure:
        raise use.unusable(folder, failure) from None
    return found


def _widest() -> int:
    return PASSED_THROUGH if os.geteuid() == 0 else FOLDER


def _take(folder: Path, use: Use) -> None:
    with held(folder) as handle:
        if os.fstat(handle).st_mode & stat.S_ISVTX:
            raise use.refused(folder, "it is everybody's", use.choose)
        _narrow(handle, _widest())
    for each in folder.iterdir():
        if each.name not in OF_A_SERVER and whose.is_strangers(each):
            look = f"Is it the shop's after all, see who made that: ls -ld {shlex.quote(str(each))}"
            raise use.refused(folder, f"{each} belongs to another user", f"{use.choose}. {look}")
        _narrow_file(each)


def _narrow_file(file: Path) -> None:
    """What is no file, a link for one, is left as it is."""
    with suppress(OSError, Failure), open(file, opener=_no_link) as kept:
        _narrow(kept.fileno(), PRIVATE)


def _narrow(handle: int, widest: int) -> None:
    """What is another's stays as it is."""
    seen = os.fstat(handle)
    if seen.st_uid == os.geteuid() and stat.S_IMODE(seen.st_mode) & ~widest:
        os.fchmod(handle, seen.st_mode & widest)


def own_folder(folder: Path, use: Use) -> Path:
    """A folder that nobody else gets into, as it is really called: secrets go into it.

    Raises Failure when others do, or were there first, and where it cannot be made.
    """
    own = whose.led(folder.parent, use) / folder.name
    try:
        with suppress(FileExistsError):
            own.mkdir(FOLDER, parents=True)
    except OSError as failure:
        raise use.unusable(folder, failure) from None
    whose.led(own.parent, use)
    seen = own.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
        raise use.refused(folder, "it is not ours alone", use.choose)
    whose.refuse_closed(own, use)
    return own


@contextmanager
def locked(file: Path, busy: Failure) -> Iterator[None]:
    """Held by one process; freed by the kernel however that ends. Raises `busy` when another one holds it.

    Whoever may open a file may lock it, so that nobody else may open this one. A link in its place is somebody else's:
    what it leads to is not touched.
    """
    with _to_lock(file) as handle:
        _narrow(handle.fileno(), PRIVATE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield


def _to_lock(file: Path) -> TextIO:
    try:
        return appending(file)
    except OSError as failure:
        cause = f"{file} cannot be written: {failure.strerror}."
        raise Failure(cause, "Choose a folder that you may write to.") from None


def appending(file: Path) -> TextIO:
    """A file of ours to write on at its end, made as its owner's alone. Raises Failure where it is a link; OSError."""
    return open(file, "a", opener=_no_link)


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
