"""`doctor` and `reset`: is this machine fit for the shop, and begin with an empty one."""

import sys
from typing import Annotated

import typer

from ordermill import consent, output
from ordermill.called import as_called
from ordermill.errors import Exit, Failure
from ordermill.output import Form, Output
from ordermill.state import State


def register(app: typer.Typer) -> None:
    app.command()(doctor)
    app.command()(reset)


def doctor(form: Output = Form.TABLE) -> None:
    """Check what the shop needs on this machine; exit code 8 when something is missing."""
    from ordermill.diagnosis import findings

    found = findings(State.open())
    if form is Form.JSON:
        output.as_json(found)
    else:
        output.as_table(("check", "ok", "found", *(["mend"] if any(each["mend"] for each in found) else [])), found)
    if not all(finding["ok"] for finding in found):
        cause = "This machine is not fit yet."
        raise Failure(cause, "Follow the last column above.", Exit.UNHEALTHY)


def reset(*, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Remove the shop's data, mails, logs and secrets from this checkout; backups and archives stay."""
    from ordermill.launch import forget

    state = State.open()
    with state.lock():
        consent.to_empty(state.root, yes=yes)
        forget(state)
    sys.stderr.write(as_called("empty; the next `ordermill up` begins anew\n"))
    if state.archive:
        off = as_called("ordermill up --archive off")
        sys.stderr.write(
            f"it goes on archiving its log in {state.archive}, in a folder of its own; end that with: {off}\n"
        )
