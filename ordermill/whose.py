"""Whose the folders are that we put things into, and whose content we believe: ours or root's, and nobody else's.

Whoever owns a folder, or one above it, may exchange what is in it at any moment, whatever its mode says; and where
everybody may write, anybody may have been there first.
"""

import os
import shlex
import stat
from collections import deque
from pathlib import Path
from typing import NamedTuple

from ordermill.accounts import is_open
from ordermill.errors import Exit, Failure

CODE = Path(__file__).resolve()
MOST_LINKS = 40  # as many as Linux follows


class Use(NamedTuple):
    """What a folder is for: how a refusal of it begins, and what mends that it is another user's, or not to be used."""

    refusal: str
    not_ours: str = ""
    choose: str = "Choose a folder that you may write to."
    code: Exit = Exit.FAILED

    def refused(self, folder: Path, why: str, mend: str) -> Failure:
        return Failure(f"{self.refusal} {folder}: {why}.", mend, self.code)

    def unusable(self, folder: Path, failure: OSError) -> Failure:
        """As the system says it."""
        is_file = isinstance(failure, FileExistsError | NotADirectoryError)
        why = "it is no folder" if is_file else failure.strerror or type(failure).__name__
        return self.refused(folder, why[:1].lower() + why[1:], self.choose)


def made(folder: Path, mode: int, use: Use) -> Path:
    """A folder that nobody else may exchange, as it is really called, made with this mode when it is missing.

    Raises Failure as `led` does, and where it cannot be made, or nothing written into it. It looks again at each that
    it has made before it makes the next one in there, since somebody may have been quicker.
    """
    there = led(folder, use)
    for above in filter(lambda each: _look(each) is None, reversed(there.parents)):
        _make(above, 0o777, use)
    _make(there, mode, use)
    refuse_closed(there, use)
    return there


def _make(folder: Path, mode: int, use: Use) -> None:
    try:
        folder.mkdir(mode, exist_ok=True)
    except OSError as failure:
        raise use.unusable(folder, failure) from None
    led(folder, use)


def led(folder: Path, use: Use) -> Path:
    """Where a folder really is, there or not, along links and folders of ours and root's only. Raises Failure.

    It goes from name to name as the kernel does, and looks at each link before it follows it: what it has looked at
    nobody else can exchange, so that the answer stays true. Where something is looked up not everybody may write,
    unless the folder is sticky. That a group may is its owner's wish; what is not there yet is nobody's.
    """
    at, ahead, links = Path(), deque(folder.absolute().parts), 0
    try:
        while ahead:
            each = at / ahead.popleft()
            seen = _look(each)
            if seen:
                _refuse_others(use, folder, each, seen, is_above=bool(ahead))
            if seen and stat.S_ISLNK(seen.st_mode):
                links += 1
                ahead.extendleft(reversed(_target(each, links).parts))
            else:
                at = at.parent if each.name == ".." else each
    except OSError as failure:
        raise use.unusable(folder, failure) from None
    return at


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _target(link: Path, links: int) -> Path:
    if links > MOST_LINKS:
        why = "it is a link that leads to itself"
        raise OSError(0, why)
    return link.readlink()


def _refuse_others(use: Use, folder: Path, each: Path, seen: os.stat_result, *, is_above: bool) -> None:
    """Not of those that our own code is in: whoever exchanges them exchanges us."""
    if each in CODE.parents:
        return
    if _is_strangers(seen):
        what = "it" if each == folder.absolute() else str(each)
        give = f"Choose another folder. Is it yours after all: chown -h {os.geteuid()} {shlex.quote(str(each))}"
        raise use.refused(folder, f"{what} belongs to another user", use.not_ours or give)
    if is_above and _is_everybodys(seen):
        close = f"Choose another folder, or keep them out: chmod o-w {shlex.quote(str(each))}"
        raise use.refused(folder, f"everybody may write to {each}", close)


def refuse_writers(folder: Path, use: Use) -> None:
    """Refuse a folder that others may write to, unless they can only add to it. Raises Failure.

    What is not there yet is nobody's.
    """
    if folder.exists() and is_open(folder.stat()):
        raise use.refused(folder, "others may write to it", f"Keep them out: chmod go-w {shlex.quote(str(folder))}")


def refuse_closed(folder: Path, use: Use) -> None:
    """Refuse a folder that we may not read and write ourselves, also since its disk is read only. Raises Failure."""
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise use.refused(folder, "you may not read and write it", use.choose)


def is_ours(path: Path) -> bool:
    """Whether it is there, and ours or root's; of a link, also all that it leads along."""
    try:
        return led(path, Use("")).exists()
    except Failure:
        return False


def is_strangers(path: Path) -> bool:
    """Whether what is there is neither ours nor root's; of a link, whose the link is."""
    seen = _look(path)
    return seen is not None and _is_strangers(seen)


def _is_strangers(seen: os.stat_result) -> bool:
    return seen.st_uid not in {0, os.geteuid()}


def _is_everybodys(seen: os.stat_result) -> bool:
    return bool(not stat.S_ISLNK(seen.st_mode) and seen.st_mode & 0o002 and is_open(seen))
