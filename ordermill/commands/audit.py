"""`audit`: the promises of the shop, held against its database; one line each, exit code 9 when one is broken."""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ordermill.errors import Exit, Failure
from ordermill.options import seconds
from ordermill.output import Form, Output

if TYPE_CHECKING:
    from ordermill.audit import Kind, Question, Told, Verdict

ROWS = 5
RECENT = "5m"


def register(app: typer.Typer) -> None:
    app.command()(audit)


Always = Annotated[bool, typer.Option("--always", help="Only what holds at any instant, in a busy shop too.")]
Recent = Annotated[bool, typer.Option("--recent", help="Only orders that changed in the last 5 minutes.")]
Rest = Annotated[str, typer.Option(help="What changed in this time may be under way, and is left out: 10m.")]
Said = Annotated[
    Path | None, typer.Option(help="What clients were told: order_id, customer_id and key, a JSON object a line.")
]
Only = Annotated[list[str] | None, typer.Option(help="Only this promise; may be repeated.")]


def audit(  # noqa: PLR0913  each option is a parameter
    *,
    always: Always = False,
    recent: Recent = False,
    rest: Rest = "",
    told: Said = None,
    only: Only = None,
    form: Output = Form.TABLE,
) -> None:
    """Hold the promises of docs/promises.md against the database; without --always or --rest of a shop at rest."""
    from ordermill import inside
    from ordermill.audit import Kind, Question

    kinds = frozenset({Kind.ALWAYS}) if always else frozenset(Kind)
    question = Question(
        kinds=kinds,
        recent=timedelta(seconds=seconds(RECENT)) if recent else None,
        rest=timedelta(seconds=seconds(rest)) if rest else None,
        told=_told(told) if told else (),
        only=_known(only or (), kinds),
    )
    _judge(asyncio.run(_audit(inside.auditor_url(), question)), form)


def _judge(verdicts: "Sequence[Verdict]", form: Form) -> None:
    _show(form, verdicts)
    unasked = [verdict.invariant.id for verdict in verdicts if verdict.unasked]
    broken = [verdict.invariant.id for verdict in verdicts if verdict.count and not verdict.unasked]
    said = {"broken": broken, "cannot be asked": unasked}
    if message := " ".join(f"{', '.join(ids)}: {how}." for how, ids in said.items() if ids):
        mend = "See what became of an order: ordermill orders trace ORDER"
        value = "Look in the services' tables for the value that is named above."
        raise Failure(message, mend if broken else value, Exit.AUDIT_BROKEN)


def _known(ids: Sequence[str], kinds: "frozenset[Kind]") -> Sequence[str]:
    from ordermill.audit import INVARIANTS

    asked = [each.id for each in INVARIANTS.values() if each.kind in kinds]
    if unknown := sorted(set(ids) - {*asked}):
        message = f"There is no promise named {', '.join(unknown)} to ask for. Choose from: {', '.join(asked)}."
        raise typer.BadParameter(message, param_hint="--only")
    return ids


async def _audit(url: str, question: "Question") -> "list[Verdict]":
    import asyncpg

    from chassis.database import OUTAGE
    from ordermill.audit import audit as ask

    try:
        return await ask(url, question)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError):
        message = "The database knows no role `auditor` with this password, or has not shown it everything."
        raise Failure(message, "Make it with: ordermill initdb", Exit.STEP_FAILED) from None
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError) as missing:
        message = f"The schemas are not those of this release: {missing}."
        raise Failure(message, "Bring them there with: ordermill upgrade", Exit.STEP_FAILED) from None
    except OUTAGE:
        message = "PostgreSQL does not answer."
        raise Failure(message, "Start the shop with: make up", Exit.NOT_RUNNING) from None


def _told(file: Path) -> "list[Told]":
    from chassis.ids import parse_typeid
    from ordermill.audit import Told

    def read(line: str) -> Told:
        said = json.loads(line)
        order, customer, key = (str(said[name]) for name in Told._fields)
        return Told(parse_typeid("ord", order), parse_typeid("usr", customer), key)

    try:
        return [read(line) for line in file.read_text().splitlines() if line.strip()]
    except OSError as failure:
        message = f"{file} cannot be read: {failure.strerror}."
        raise Failure(message, "Name a file with what clients were told, a JSON object a line.") from None
    except (ValueError, KeyError, TypeError) as failure:
        message = f"{file} holds a line that says nothing of an order: {failure}."
        mend = 'Write each like {"order_id": "ord_…", "customer_id": "usr_…", "key": "…"}'
        raise Failure(message, mend) from None


def _show(form: Form, verdicts: "Sequence[Verdict]") -> None:
    from ordermill import output

    if form is Form.JSON:
        return output.as_json([_as_data(verdict) for verdict in verdicts])
    lines = [(v.invariant.id, _state(v), f"{v.seconds * 1000:.0f}", v.invariant.promise) for v in verdicts]
    output.rows((("id", "state", "ms", "promise"), *lines))
    for verdict in verdicts:
        for row in () if verdict.unasked else verdict.broken[:ROWS]:
            sys.stdout.write(f"{verdict.invariant.id}  {output.in_json(row)}\n")
        if verdict.count > ROWS:
            sys.stdout.write(f"{verdict.invariant.id}  … {verdict.count - ROWS} more\n")
    return None


def _state(verdict: "Verdict") -> str:
    if verdict.unasked:
        return f"cannot be asked: {verdict.unasked}"
    return f"broken by {verdict.count}" if verdict.count else "ok"


def _as_data(verdict: "Verdict") -> dict[str, Any]:
    return {
        "id": verdict.invariant.id,
        "kind": verdict.invariant.kind,
        "promise": verdict.invariant.promise,
        "ok": not verdict.count,
        "unasked": verdict.unasked or None,
        "count": verdict.count,
        "broken": verdict.broken,
        "ms": round(verdict.seconds * 1000, 1),
    }
