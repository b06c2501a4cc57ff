"""Whose the folders are that we put things into, and whose content we believe: ours or root's, and nobody else's.

Whoever owns a folder, or one above it, may exchange what is in it at any moment, whatever its mode says; and where
everybody may write, anybody may have been there first.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from ordermill.accounts import is_open
from ordermill.errors import Exit, Failure

CODE = Path(__file__).resolve()
OF_A_SERVER = {"postgres", "sockets"}  # its user's, where root runs the shop


def home(folder: Path) -> Path:
    """The folder of a shop's state, as it is really called, made when it is missing.

    Raises Failure when what is in it is not ours: another user's passwords, ports and logs are not used.
    """
    use, mend = "No shop is kept in", "Run it as that user, or name a folder of your own: ORDERMILL_HOME"
    found = made(folder, 0o755, use, mend)
    for each in found.glob("*"):
        if each.name not in OF_A_SERVER and _is_strangers(each.lstat()):
            raise _refusal(use, folder, f"{each} belongs to another user", "See who made it, and remove it.")
    return found


def made(folder: Path, mode: int, use: str, mend: str = "") -> Path:
    """A folder that nobody else may exchange, as it is really called, made with this mode when it is missing.

    `use` begins the sentence of a refusal, `mend` is for a folder that is another user's. Raises Failure as
    refuse_strangers does; it looks again at what it has made, since somebody may have been quicker.
    """
    refuse_strangers(folder, use, mend)
    folder.mkdir(mode, parents=True, exist_ok=True)
    refuse_strangers(folder, use, mend)
    return folder.resolve()


def refuse_strangers(folder: Path, use: str, mend: str = "", code: Exit = Exit.FAILED) -> None:
    """Refuse a folder that others may exchange: it, or one above it, or a link on the way, is another user's.

    So it is below a folder that everybody may write to and that is not sticky. That a group may is its owner's wish.
    Raises Failure; what is not there yet is nobody's.
    """
    for each, seen in _on_the_way(folder):
        what = "it" if each == folder else str(each)
        if _is_strangers(seen):
            give = f"Choose another folder. Is it yours after all: chown -h {os.geteuid()} {shlex.quote(str(each))}"
            raise _refusal(use, folder, f"{what} belongs to another user", mend or give, code)
        if each != folder and _is_everybodys(seen):
            close = f"Choose another folder, or keep them out: chmod o-w {shlex.quote(str(each))}"
            raise _refusal(use, folder, f"everybody may write to {each}", close, code)


def refuse_writers(folder: Path, use: str, code: Exit = Exit.FAILED) -> None:
    """Refuse a folder that others may write to, unless they can only add to it. Raises Failure.

    What is not there yet is nobody's.
    """
    if folder.exists() and is_open(folder.stat()):
        mend = f"Keep them out: chmod go-w {shlex.quote(str(folder))}"
        raise _refusal(use, folder, "others may write to it", mend, code)


def _refusal(use: str, folder: Path, why: str, mend: str, code: Exit = Exit.FAILED) -> Failure:
    return Failure(f"{use} {folder}: {why}.", mend, code)


def is_ours(path: Path) -> bool:
    """Whether it is there, and ours or root's; of a link, whose the link is."""
    return path.exists() and not _is_strangers(path.lstat())


def _on_the_way(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The folder and all above it, as it is called and as it is really called.

    Not those that our own code is in: whoever exchanges them exchanges us.
    """
    called = folder.absolute()
    for each in dict.fromkeys(way for path in (called, folder.resolve()) for way in (path, *path.parents)):
        if each not in CODE.parents and (each.exists() or each.is_symlink()):
            yield (folder if each == called else each), each.lstat()


def _is_strangers(seen: os.stat_result) -> bool:
    return seen.st_uid not in {0, os.geteuid()}


def _is_everybodys(seen: os.stat_result) -> bool:
    return bool(not stat.S_ISLNK(seen.st_mode) and seen.st_mode & 0o002 and is_open(seen))
