"""`backup` and `restore`: a copy of the running shop's data, and the shop as it was at one point in time."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ordermill import output
from ordermill.output import Form, Output

LATEST = "latest"


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


def backup(
    to: Annotated[Path | None, typer.Option(help="Where backups are kept; .ordermill/backups by default.")] = None,
    keep: Annotated[int | None, typer.Option(min=1, help="How many to keep there; all by default.")] = None,
    form: Output = Form.TABLE,
) -> None:
    """Copy the running shop's database, while it works, into a new folder; verified before it gets its name."""
    from ordermill import backup
    from ordermill.called import as_called
    from ordermill.state import State

    backup.ours_only()
    state = State.attach()
    made = backup.take(state, to.absolute() if to else backup.default_folder(state), _tell)
    if keep:
        backup.keep(keep, made, _tell)
    if not made.archive:
        _tell("Its log is not archived: what comes after it can be restored only while this checkout's data is there.")
        _tell(as_called("To keep it elsewhere: ordermill up --archive FOLDER"))
    elif stuck := asyncio.run(backup.archiving_trouble(state.database_url)):
        _tell(f"Segment {stuck} cannot be archived in {made.archive}: see `ordermill logs postgres`.")
    _show(made.about(), form)


def restore(
    folder: Annotated[
        Path | None, typer.Argument(help="A backup, or the folder of many; .ordermill/backups by default.")
    ] = None,
    until: Annotated[str, typer.Option(help="A time, in UTC unless it says otherwise, or latest.")] = LATEST,
    archive: Annotated[
        Path | None, typer.Option(help="Where the log is archived, if not where the backup says.")
    ] = None,
    form: Output = Form.TABLE,
) -> None:
    """Put the shop, which must not run, back to a point in time; the data that is there is put aside."""
    from ordermill import aside, backup
    from ordermill.called import called
    from ordermill.restore import restore as put_back
    from ordermill.state import State

    backup.ours_only()
    state = State.open()
    where = folder.absolute() if folder else backup.default_folder(state)
    done = put_back(state, where, _moment(until), archive.absolute() if archive else None, _tell)
    _show(done.about(), form)
    if kept := aside.told(state.root):
        _tell(f"Of earlier data is kept: {kept}")
    _tell(f"Start it with: {called()} up")
    if not state.archive:
        _tell("From then on its log is archived nowhere, as is right for a rehearsal. Else add: --archive FOLDER")


def _moment(text: str) -> datetime | None:
    if text == LATEST:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time; write for example 2026-11-26T21:30:00Z, or latest."
        raise typer.BadParameter(message, param_hint="--until") from None
    moment = given if given.tzinfo else given.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        message = f"{moment:%F %T %Z} is yet to come; write a time that is past, or latest."
        raise typer.BadParameter(message, param_hint="--until")
    return moment


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _show(about: dict[str, Any], form: Form) -> None:
    if form is Form.JSON:
        return output.as_json(about)
    rows = [{"what": what, "value": "none" if value is None else value} for what, value in about.items()]
    return output.as_table(("what", "value"), rows)
