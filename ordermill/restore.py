"""A backup and the log after it become the shop's data again, as it was at one point in time.

Nothing of what is there changes until the restored data is complete; then the old is put aside, never removed.
"""

import asyncio
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from ordermill import accounts, archive, aside, backup, postgres, whose
from ordermill.backup import Backup, Tell
from ordermill.errors import Exit, Failure
from ordermill.postgres import Postgres
from ordermill.process import Running
from ordermill.state import State

LATEST = "latest"
TELL_EACH = 10
_REACHED = "SELECT pg_last_xact_replay_timestamp(), pg_walfile_name(pg_current_wal_lsn())"
_TOO_SHORT = "recovery ended before configured recovery target was reached"
_FETCHED = re.compile(r'restored log file "([0-9A-F]{24})"')
_LAST = re.compile(r"last completed transaction was at log time (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Restored:
    """What became of a restore: the last transaction that is in it, and where the old data is now."""

    backup: Path
    last_transaction_at: datetime | None
    timeline: int
    data_aside: Path | None
    broker_aside: Path | None
    seconds: float

    def about(self) -> dict[str, Any]:
        """What a person or a program is told."""
        return asdict(self)


def restore(state: State, folder: Path, until: datetime | None, archived: Path | None, tell: Tell) -> Restored:
    """Put the shop back to a time, or to all that was committed. Safe to repeat, whenever it was ended.

    Raises Failure when a shop runs here, when no backup in the folder fits or it is damaged, or when the log does not
    reach that time.
    """
    began = time.monotonic()
    with state.lock():
        user = accounts.unprivileged()
        root = accounts.reachable_folder(state.root / "postgres", user)
        archived = archived or state.archive
        chosen = backup.choose(folder, until, lambda each: _is_past(each, until, _places(root, each, archived)))
        asyncio.run(_nobody_serves(root / "data", root / postgres.RESTORING))
        _same_version(chosen)
        backup.verify(postgres.find_binaries(), chosen.data, tell)
        with accounts.closed(root, user):
            draft = _draft(root, chosen, tell)
            accounts.hand_over(draft, user)
        log = _log(chosen, archived)
        if not log:
            tell("Its log was not archived: only what this checkout still has of it comes back.")
        settings = _settings(chosen, until, log, _places(root, chosen, archived))
        tell(f"replaying the log to {until or LATEST}")
        reached = asyncio.run(_replay(state, chosen, draft, settings, tell))
        before = _take_over(state, root, chosen)
    return Restored(chosen.folder, *reached, *before, round(time.monotonic() - began, 1))


async def _nobody_serves(*folders: Path) -> None:
    """A server outlives its killed `up` or `restore` for a moment, and still writes to the log that we want to read."""
    for data in folders:
        await postgres.await_orphans(data)
        if postgres.workers_in(data):
            cause = f"A PostgreSQL still runs in {data}."
            raise Failure(cause, "Wait until it has ended, then try again.", Exit.ALREADY_RUNNING)


def _same_version(chosen: Backup) -> None:
    program = postgres.find_binaries() / "postgres"
    found = re.search(r"\d+", postgres.run([str(program), "--version"]))
    wanted = (chosen.data / "PG_VERSION").read_text().strip()
    if not found or found[0] != wanted:
        cause = f"The backup is of PostgreSQL {wanted}, and {program} is {found[0] if found else 'unknown'}."
        raise Failure(cause, f"Install PostgreSQL {wanted}.", Exit.MISSING)


def _draft(root: Path, chosen: Backup, tell: Tell) -> Path:
    """A copy of the backup, with what this checkout still has of the log and the archive may not have yet."""
    _refuse_links(chosen.data)
    accounts.clear(root / postgres.RESTORED)
    draft = root / postgres.RESTORING
    accounts.clear(draft)
    tell(f"copying {chosen.folder}")
    shutil.copytree(chosen.data, draft, symlinks=True)
    for file in _kept_log(root, chosen):
        shutil.copy2(file, draft / "pg_wal" / file.name, follow_symlinks=False)
    (draft / "recovery.signal").touch()
    return draft


def _refuse_links(data: Path) -> None:
    """A backup is copied, and written into, as whoever restores it: a link in it would lead out of it."""
    for each in data.rglob("*"):
        if each.is_symlink() or not (each.is_file() or each.is_dir()):
            cause = f"{each} is no file and no folder; a backup has nothing else."
            raise Failure(cause, "Name a folder that `ordermill backup` has made.")


def _kept_log(root: Path, chosen: Backup) -> Iterator[Path]:
    """The log of this cluster in the data folders here, each segment last from where its timeline was lived on."""
    first = chosen.first_segment
    for folder in _clusters(root, chosen):
        yield from (file for file in archive.segments(folder) if archive.number(file.name) >= archive.number(first))
        yield from (file for _, _, file in archive.histories([folder]))


def _places(root: Path, chosen: Backup, archived: Path | None) -> list[Path]:
    """Where this cluster's log is: in the archive, and in the data folders here."""
    log = _log(chosen, archived)
    return [*([log] if log else []), *_clusters(root, chosen)]


def _log(chosen: Backup, archived: Path | None) -> Path | None:
    folder = archived or chosen.archive
    return archive.folder_of(whose.led(folder, backup.NO_RESTORE), chosen.data) if folder else None


def _clusters(root: Path, chosen: Backup) -> list[Path]:
    """Where this cluster's log is beside the archive: of the data folder, then of those put aside, the newest first."""
    folders = [root / "data", *aside.kept(root)]
    here = [folder for folder in folders if (folder / "global" / "pg_control").exists()]
    return [folder / "pg_wal" for folder in here if archive.identifier(folder) == archive.identifier(chosen.data)]


def _is_past(chosen: Backup, until: datetime | None, places: list[Path]) -> bool:
    """Whether the timeline to restore to has gone through all of a backup, which may lie behind a branch of it."""
    timeline = archive.live_at(until, places, chosen.timeline)
    history = next((file.read_text() for number, _, file in archive.histories(places) if number == timeline), "")
    return timeline == chosen.timeline or archive.goes_through(history, chosen.timeline, chosen.complete_at)


def _settings(chosen: Backup, until: datetime | None, log: Path | None, places: list[Path]) -> dict[str, str]:
    fetching = archive.fetching(log) | {"hot_standby": "off", "recovery_target_action": "'promote'"}
    if until is None:
        _no_gap(log, places, chosen)
        return fetching | {"recovery_target_timeline": "'latest'"}
    timeline = archive.live_at(until, places, chosen.timeline)
    return fetching | {"recovery_target_time": f"'{until.isoformat()}'", "recovery_target_timeline": f"'{timeline}'"}


def _no_gap(log: Path | None, places: list[Path], chosen: Backup) -> None:
    if not log:
        return
    archived = [file.name for file in archive.segments(log)]
    elsewhere = [file.name for folder in (chosen.data / "pg_wal", *places) for file in archive.segments(folder)]
    born = {number: file.read_text() for number, _, file in archive.histories(places)}
    latest = max([chosen.timeline, *born])
    if gap := archive.missing(archived, elsewhere, chosen.first_segment, (latest, born.get(latest, ""))):
        cause = f"The log in {log} has a gap: {gap} is missing."
        raise Failure(cause, "Put it back there, name a newer backup, or with --until a time before the gap.")


async def _replay(
    state: State, chosen: Backup, draft: Path, settings: dict[str, str], tell: Tell
) -> tuple[datetime | None, int]:
    """Run the server until it is through the log, and end it. The last transaction's time, and the new timeline."""
    log = state.log("restore")
    log.unlink(missing_ok=True)
    server = Postgres(draft.parent, log, state.sockets, chosen.secrets["postgres"])
    running = Running(server.replaying(draft, settings))
    await running.spawn()
    telling = asyncio.create_task(_tell_how_far(log, tell))
    try:
        if not await running.await_ready():
            raise _stopped(log)
        return await _reached(server.url)
    finally:
        telling.cancel()
        await running.stop()


async def _tell_how_far(log: Path, tell: Tell) -> None:
    while True:
        await asyncio.sleep(TELL_EACH)
        if found := _FETCHED.findall(_said(log)):
            tell(f"  {len(found)} segments read, the last is {found[-1]}")


async def _reached(url: str) -> tuple[datetime | None, int]:
    connection = await asyncpg.connect(url)
    try:
        last, segment = await connection.fetchrow(_REACHED)
    finally:
        await connection.close()
    return last, int(segment[:8], 16)


def _said(log: Path) -> str:
    return log.read_text(errors="replace")


def _stopped(log: Path) -> Failure:
    said = _said(log)
    if _TOO_SHORT in said:
        last = _LAST.findall(said)
        cause = f"The log ends before that time; its last transaction was at {last[-1] if last else 'an unknown time'}."
        return Failure(cause, "Take all that there is: --until latest")
    cause = f"PostgreSQL could not replay the log.\n{said.strip()[-1000:]}"
    return Failure(cause, f"Read {log}, or try an older backup.", Exit.STEP_FAILED)


def _take_over(state: State, root: Path, chosen: Backup) -> tuple[Path | None, Path | None]:
    """Make the restored data the shop's. The broker knows a future that never happened: its data is put aside, too.

    The next start declares an empty broker's topology anew and tells again what each service has not handled.
    """
    (root / postgres.RESTORING).rename(root / postgres.RESTORED)
    now = datetime.now(UTC)
    state.take_secrets(chosen.secrets)
    broker = aside.put(state.root / "rabbitmq" / "data", now)
    data = aside.put(root / "data", now)
    (root / postgres.RESTORED).rename(root / "data")
    return data, broker
