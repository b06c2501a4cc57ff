"""The archive of a private PostgreSQL's log: how finished segments get there, how a restore reads them, what is in it.

Every cluster has a folder of its own in it, named by the identifier that initdb drew, so that two never mix.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ordermill import whose
from ordermill.accounts import User, can_reach, give, held, is_of
from ordermill.errors import Exit
from ordermill.whose import Use

EVERY = 60
NO_ARCHIVE = Use("Nothing can be archived in", code=Exit.STEP_FAILED)
SEGMENTS_A_LOG = 256
SEGMENT_BITS = 24
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_ENDED = re.compile(r"^(\d+)\t([0-9A-F]+)/([0-9A-F]+)\t", re.MULTILINE)
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")

# Never half a file under its real name, never another content over one, and safe to repeat: PostgreSQL tries again
# until it hears of success, also after a kill between the last two steps.
_STORE = (
    "if test -e {folder}/%f; then cmp -s %p {folder}/%f; "
    "else cp %p {folder}/.%f && sync {folder}/.%f && mv {folder}/.%f {folder}/%f && sync {folder}; fi"
)
_FETCH = "test -f {folder}/%f && cp {folder}/%f %p"


def identifier(data: Path) -> int:
    """The number that initdb gave to a cluster: the first eight bytes of its control file."""
    return int.from_bytes((data / "global" / "pg_control").read_bytes()[:8], sys.byteorder)


def folder_of(archive: Path, data: Path) -> Path:
    """Where the segments of this cluster are."""
    return archive / str(identifier(data))


def settings(archive: Path, data: Path, user: User | None) -> dict[str, str]:
    """How the server archives; an idle minute costs nothing, a busy one at least a segment of 16 MiB.

    Raises Failure when the server's user cannot write there, or when others may have put there what is there.
    """
    folder, use = folder_of(archive, data), NO_ARCHIVE._replace(choose=_another(user))
    if whose.made(archive, 0o755, use) != archive:
        mend = "To go on where it leads, name that: ordermill up --archive FOLDER"
        raise use.refused(archive, "it has become a link, or lies behind one", mend)
    whose.refuse_writers(archive, use)
    try:
        with held(archive) as around:
            _hand_over(folder, around, user)
    except OSError as error:
        raise use.unusable(archive, error) from None
    if not can_reach(folder, user):
        raise use.refused(archive, "PostgreSQL's user does not get there", use.choose)
    return {"archive_mode": "on", "archive_timeout": f"{EVERY}s", "archive_command": _quoted(_STORE, folder)}


def _hand_over(folder: Path, around: int, user: User | None) -> None:
    """Make the cluster's folder when there is none, and it the server's user's alone.

    Where others may write it may be theirs, or a link to what is ours: that is left as it is, and refused.
    """
    theirs = user[0] if user else os.geteuid()
    with suppress(FileExistsError):
        os.mkdir(folder.name, 0o700, dir_fd=around)
    if is_of(os.lstat(folder.name, dir_fd=around), os.geteuid(), theirs):
        with held(folder.name, around) as handle:
            if is_of(os.fstat(handle), os.geteuid(), theirs):
                return give(handle, user)
    mend = (
        f"See whose it is and what is in it: ls -la {shlex.quote(str(folder))}/; remove it, or make it user {theirs}'s."
    )
    why = "it is a link, or not PostgreSQL's user's alone: somebody else may have put it there"
    raise NO_ARCHIVE.refused(folder, why, mend)


def fetching(folder: Path | None) -> dict[str, str]:
    """How a restore reads the archive. Nothing is stored meanwhile, all is noted for later.

    Were the new timeline in the archive before the shop lives on it, a restore that was given up would lead the next
    one astray; `up` stores it then.
    """
    fetch = _quoted(_FETCH, folder) if folder else "'false'"
    return {"archive_mode": "on", "archive_command": "''", "restore_command": fetch}


def _quoted(command: str, folder: Path) -> str:
    text = command.format(folder=shlex.quote(str(folder)).replace("%", "%%"))
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _another(user: User | None) -> str:
    example = "/var/lib/ordermill-archive" if user else "~/ordermill-archive"
    return f"Choose a folder that it may enter, for example: ordermill up --archive {example}"


def segments(folder: Path) -> list[Path]:
    """The segments in an archive or in a cluster's pg_wal."""
    return sorted(file for file in folder.glob("*") if _SEGMENT.fullmatch(file.name))


def histories(folders: Iterable[Path]) -> Iterator[tuple[int, datetime, Path]]:
    """The timelines that began with a restore: number, when, and the file that tells what it branched off from."""
    for file in (file for folder in folders for file in folder.glob("*.history")):
        if match := _HISTORY.fullmatch(file.name):
            yield int(match[1], 16), datetime.fromtimestamp(file.stat().st_mtime, UTC), file


def live_at(until: datetime | None, folders: Iterable[Path], first: int) -> int:
    """The timeline that the shop lived on at a time, or lives on, of those that came after the first.

    The newest one would be wrong: whoever restored to 10:00 and now wants 10:05 must get what was given up.
    """
    return max([first, *(number for number, born_at, _ in histories(folders) if until is None or born_at <= until)])


def goes_through(history: str, timeline: int, place: int) -> bool:
    """Whether a timeline with this history has the log of an older one up to a place in it."""
    ends = {int(line[1]): place_of(line[2], line[3]) for line in _ENDED.finditer(history)}
    return timeline in ends and place <= ends[timeline]


def place_of(high: str, low: str) -> int:
    """A place in the log as PostgreSQL writes it, two hexadecimal numbers, as one number."""
    return int(high, 16) << 32 | int(low, 16)


def number(segment: str) -> int:
    """The place of a segment in the log, whatever its timeline."""
    return int(segment[8:16], 16) * SEGMENTS_A_LOG + int(segment[16:], 16)


def missing(archived: Iterable[str], elsewhere: Iterable[str], first: str, latest: tuple[int, str]) -> str | None:
    """The first gap in a log, from a segment on to the newest archived one of the latest timeline.

    `latest` is that timeline's number and history: a line for each timeline before it, with the place where it ended.
    PostgreSQL would stop at the gap and call that the latest.
    """
    timeline, history = latest
    ends = [(int(line[1]), place_of(line[2], line[3]) >> SEGMENT_BITS) for line in _ENDED.finditer(history)]
    last = max((number(name) for name in archived if int(name[:8], 16) == timeline), default=0)
    there = {*archived, *elsewhere}
    wanted = (_name(each, ends, timeline) for each in range(number(first), last + 1))
    return next((name for name in wanted if name not in there), None)


def _name(number: int, ends: list[tuple[int, int]], timeline: int) -> str:
    owner = next((each for each, end in ends if number < end), timeline)
    return f"{owner:08X}{number // SEGMENTS_A_LOG:08X}{number % SEGMENTS_A_LOG:08X}"
