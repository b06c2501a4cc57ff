"""What a command prints of what others chose moves no cursor, and writes no line of its own, on a person's terminal."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from ordermill import cli, launch, output, tables, tail
from ordermill.audit import INVARIANTS, Verdict
from ordermill.commands import audit, dead, events, orders
from ordermill.errors import Failure
from ordermill.output import Form
from ordermill.state import State
from ordermill.trace import Step

# The title of a window and a colour, backspaces, what erases a line, and what else ends one for Python.
EVIL = "a\x1b]0;PWN\x07\x1b[31m\x08\r\x7f\x9b2J\x85\x0bFAKE\x0c\x1cFAKE\u2028z"
DANGEROUS = {*map(chr, (*range(32), *range(127, 160), 0x2028, 0x2029))} - {"\n", "\t"}
ONE = {"time": EVIL, "source": EVIL, "type": EVIL, "subject": EVIL, "data": {"name": EVIL}}


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path))
    return State.open(tmp_path)


def log_of_a_server(state) -> None:
    state.log("postgres").write_text(f"one\t{EVIL}\nthree\n", newline="")
    tail.show(state, None, 10, follow=False)


def letter() -> None:
    for event in (EVIL, {"name": EVIL}):
        names = dict.fromkeys((*dead.ITEM, "cause"), EVIL)
        dead._show_story(Form.TABLE, {"items": [{**names, "event": event}], "acts": [dict.fromkeys(dead.ACTS, EVIL)]})


def order() -> dict:
    money = {"amount": 1, "currency": "EUR"}
    return {
        **dict.fromkeys((*(field for field in orders.ORDER.values() if isinstance(field, str)), "pay_by"), EVIL),
        "total": money, "refunded_total": money, "lines": [{"sku": EVIL, "quantity": 1}],
        "failure": {"code": EVIL, "message": EVIL}, "created_at": "2026-11-28T10:00:00Z",
    }  # fmt: skip


def story() -> None:
    at = "2026-11-28T10:00:00Z"
    orders._show_story(Form.TABLE, order(), [Step(at, EVIL, EVIL, EVIL)])


def verdicts() -> None:
    broken = Verdict(INVARIANTS["S1"], [{"sku": EVIL}], 0.0, 1)
    audit._show(Form.TABLE, [broken, Verdict(INVARIANTS["P1"], [], 0.0, 1, EVIL)])


WAYS: dict[str, Callable[[], object]] = {
    "a letter": letter,
    "an event": lambda: events._line(Form.TABLE, ONE),
    "a story": story,
    "verdicts": verdicts,
    "a table": lambda: output.rows((("name",), (EVIL,))),
    "an item": lambda: tables.show_one(Form.TABLE, {"name": EVIL}, {"name": "name"}),
    "data": lambda: output.as_json([ONE]),
    "an event as data": lambda: events._line(Form.JSON, ONE),
    "progress": lambda: launch.tell(EVIL),
}


@pytest.mark.parametrize("way", WAYS)
def test_control_characters_are_spelled_out(way, capsys):
    WAYS[way]()

    said = "".join(capsys.readouterr())
    assert "FAKE" in said
    assert not DANGEROUS & {*said}


def test_a_line_of_a_log_stays_one_with_its_tabs(state, capsys):
    log_of_a_server(state)

    said = capsys.readouterr().out
    assert not DANGEROUS & {*said}
    first, last = said.splitlines()
    assert (first.startswith("one\ta\\x1b]0;PWN"), last) == (True, "three")


def test_what_a_log_is_told_later_is_read_by_its_own_lines(state):
    log = state.log("postgres")
    log.write_text("", newline="")
    places = {log: 0}
    log.write_text(f"{EVIL}\nnext\nhalf", newline="")

    assert list(tail.new_lines(log, places)) == [EVIL, "next"]
    assert tail.last_lines(log, 2) == ["next", "half"]


@pytest.mark.parametrize("where", [lambda: output.as_json(ONE), lambda: events._line(Form.JSON, ONE)])
def test_data_for_a_program_is_what_it_was(where, capsys):
    where()

    assert json.loads(capsys.readouterr().out) == ONE


def test_a_failure_says_what_a_server_said_in_its_lines(monkeypatch, capsys):
    def fails(*_: object, **__: object) -> None:
        cause = f"PostgreSQL could not:\n{EVIL}"
        raise Failure(cause, EVIL)

    monkeypatch.setattr(cli, "build", lambda _: fails)

    with pytest.raises(SystemExit):
        cli.main(["ps"])

    said = capsys.readouterr().err
    assert len(said.splitlines()) == 3
    assert not DANGEROUS & {*said}


def test_a_shop_in_the_background_is_heard_as_one_in_the_foreground(tmp_path, capsys):
    log = tmp_path / "up.log"
    log.write_text(f"{EVIL}\n{launch.SAID_WHEN_READY}", newline="")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        launch._follow_until_ready(log, child)
        child.communicate(b"\n")

    assert not DANGEROUS & {*capsys.readouterr().err}
