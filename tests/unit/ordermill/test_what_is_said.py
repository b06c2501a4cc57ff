"""What commands say can be copied as it stands: whole paths, commands as they can be typed, addresses."""

import asyncio
import io
import json
import os
import re
import sys
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
import typer

from ordermill import aside, cli, control, host, output, plan
from ordermill.backup import Backup
from ordermill.called import as_called, called
from ordermill.commands import backup
from ordermill.errors import Exit, Failure
from ordermill.state import GATEWAY_PORT, State, checkout

FAR = "/var/lib/" + "a-long-name/" * 30


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path))
    return State.open(tmp_path)


def said(capsys, *words):
    with pytest.raises(SystemExit) as end:
        cli.main(list(words))
    return end.value.code or 0, *capsys.readouterr()


def test_a_path_in_a_table_is_whole_however_long(capsys):
    output.as_table(("what", "value"), [{"what": "folder", "value": f"{FAR}[1]"}, {"what": "none", "value": None}])

    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["what", "value"],
        ["folder", f"{FAR}[1]"],
        ["none"],
    ]


def test_a_command_is_named_as_a_shell_finds_it(tmp_path, monkeypatch):
    script = tmp_path / "bin/ordermill"
    script.parent.mkdir()
    script.touch(0o755)
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    monkeypatch.setenv("PATH", "/nowhere")

    monkeypatch.chdir(tmp_path)
    near = as_called(
        "See it with: ordermill ps, or `ordermill logs`; not .ordermill/log, bin/ordermill x, ordermill_ps"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    far = called()
    monkeypatch.setenv("PATH", str(script.parent))

    assert near == (
        "See it with: bin/ordermill ps, or `bin/ordermill logs`; not .ordermill/log, bin/ordermill x, ordermill_ps"
    )
    assert (far, called()) == (str(script), "ordermill")
    script.unlink()
    assert called() == "ordermill"


def test_a_mend_is_told_as_it_can_be_typed(state, capsys, monkeypatch):
    def ask(*_words: object) -> None:
        cause = "Something is wrong."
        raise Failure(cause, "See it with: ordermill logs")

    monkeypatch.setattr("ordermill.control.ask", ask)
    monkeypatch.setattr("ordermill.cli.as_called", lambda text: text.replace("ordermill", "/here/ordermill"))

    assert said(capsys, "ps") == (1, "", "Something is wrong.\n→ See it with: /here/ordermill logs\n")


def test_the_version_is_said(capsys):
    code, out, _ = said(capsys, "--version")

    assert (code, out.split()[0], out.split()[1][0].isdigit()) == (0, "ordermill", True)


@pytest.mark.parametrize(
    ("names", "role", "name"),
    [
        (("order_service",), "api", "order_service.api"),
        (("order_service", "inventory_service"), "worker", "shop.worker"),
        (("payment_service", "notification_service", "auth_service"), "worker", "shop2.worker"),
        (("gateway", "order_service"), "api", "shop.api"),
    ],
)
def test_a_process_is_called_in_its_log_as_by_ps(names, role, name):
    assert host.called(names, role) == name


@pytest.mark.parametrize("layout", ["packed", "split"])
def test_every_process_of_ours_has_its_address(tmp_path, layout):
    specs = plan.edges_and_workers(State.open(tmp_path, layout), {})

    assert [spec.name for spec in specs if spec.url != f"http://127.0.0.1:{spec.listens}"] == []


def test_the_port_of_the_running_shop_is_not_taken_by_somebody_else(state, capsys):
    (state.root / "ports.json").write_text(json.dumps({"gateway": GATEWAY_PORT}))

    with state.lock():
        _, out, _ = said(capsys, "doctor", "-o", "json")

    found = {finding["check"]: finding["found"] for finding in json.loads(out)}
    assert found["port 8000"] == "the gateway of this shop"


@pytest.mark.parametrize(
    ("processes", "found"),
    [
        ({"shop.api": "ready", "shop.worker": "ready"}, "running"),
        ({"shop.api": "ready", "shop.worker": "silent"}, "running, shop.worker is silent"),
        (None, "running, and does not say how it is"),
    ],
)
def test_a_doctor_says_which_process_of_the_running_shop_is_not_ready(state, capsys, processes, found):
    async def ps():
        return {"processes": [{"name": name, "status": status} for name, status in processes.items()]}

    async def ask(state):
        async with control.serving(state, {"ps": ps}) if processes else nullcontext():
            return await asyncio.to_thread(said, capsys, "doctor", "-o", "json")

    with state.lock():
        _, out, _ = asyncio.run(ask(state))

    assert [each["found"] for each in json.loads(out) if each["check"] == "shop"] == [found]


TYPES = re.compile(r"<(?:bool|str|int|float|path|list|file|UUID|datetime)|\.\.\.\]\.\.\.")


def every_command():
    program = typer.main.get_command(cli.build(cli.modules()))
    for name, command in program.commands.items():
        yield from ([name, each] for each in getattr(command, "commands", {}))
        yield [name]


def test_help_has_the_commands_in_the_order_of_the_document(capsys):
    _, out, _ = said(capsys, "--help")

    shown = [match[1] for match in re.finditer(r"^│ ([a-z]+) {2,}\S", out, re.MULTILINE) if match[1] != "stays"]
    commands, _, _ = (checkout() / "docs/operations.md").read_text().partition("## Exit codes")
    rows = re.findall(r"^\| `([a-z]+)", commands, re.MULTILINE)
    assert shown == list(dict.fromkeys(rows))
    assert "2 wrong usage, 3 not running" in out


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["orders", "list", "-o", "yaml"], "'yaml' is not one of 'table', 'json'."),
        (["orders", "list", "-n", "0"], "must be 1 or more"),
        (["wait", "--timeout", "soon"], "must be a number"),
        (["up", "--port", "x"], "must be a whole number"),
        (["bench", "--rate", "x"], "'x' is no rate; write orders a second"),
    ],
)
def test_what_an_option_wants_is_said_in_our_words(capsys, words, wanted):
    code, _, err = said(capsys, *words)

    assert code == 2
    assert wanted in " ".join(err.replace("│", " ").split())
    assert not re.search(r"Value error|Input should", err)


def test_what_a_restore_has_none_of_is_said(capsys):
    backup._show({"last_transaction_at": None, "timeline": 2}, output.Form.TABLE)
    backup._show({"last_transaction_at": None}, output.Form.JSON)

    table, _, data = capsys.readouterr().out.partition("{")
    assert [line.split() for line in table.splitlines()[1:]] == [["last_transaction_at", "none"], ["timeline", "2"]]
    assert json.loads("{" + data) == {"last_transaction_at": None}


def test_help_names_no_type_of_python(capsys):
    helps = {" ".join(words): said(capsys, *words, "--help") for words in every_command()}

    assert len(helps) > 45
    assert {code for code, _, _ in helps.values()} == {0}
    assert [words for words, (_, out, _) in helps.items() if TYPES.search(out)] == []


def test_the_audit_names_the_document_of_the_promises(capsys):
    assert "docs/promises.md" in said(capsys, "audit", "--help")[1]


@pytest.mark.parametrize(("command", "is_kept"), [("up", True), ("bench", False), ("prove", False)])
def test_only_up_keeps_the_number_of_nodes(capsys, command, is_kept):
    assert ("from now on" in said(capsys, command, "--help")[1]) is is_kept


def test_what_a_backup_without_an_archive_is_good_for_is_said(state, capsys, monkeypatch, tmp_path):
    made = Backup(tmp_path, datetime(2026, 1, 31, 9, 30, 0, 5, tzinfo=UTC), 1.0, 7, None)
    monkeypatch.setattr("ordermill.backup.take", lambda *_args: made)

    with state.lock():
        code, out, err = said(capsys, "backup")

    assert code == 0
    assert "2026-01-31T09:30:00.000005Z" in out
    assert "can be restored only while this checkout's data is there" in err
    assert "ordermill up --archive FOLDER" in err


def test_a_doctor_who_finds_nothing_wrong_has_no_mends(state, capsys):
    _, out, _ = said(capsys, "doctor")

    assert out.splitlines()[0].split() == ["check", "ok", "found"]
    assert [line for line in out.splitlines() if line.endswith(" ")] == []


def test_what_earlier_data_takes_is_said_with_the_way_to_be_rid_of_it(state, capsys):
    for server in ("postgres", "rabbitmq"):
        (state.root / server / "data").mkdir(parents=True)
        (state.root / server / "data/file").write_bytes(bytes(1 << 20))
        aside.put(state.root / server / "data")

    _, out, _ = said(capsys, "doctor", "-o", "json")

    [found] = [finding["found"] for finding in json.loads(out) if finding["check"] == "earlier data"]
    assert found == f"2 folders, 2 MiB; once nobody needs them: rm -r {state.root}/*/data.before-*"


def test_what_a_reset_keeps_is_said(state, tmp_path, capsys):
    state.keep_archive(tmp_path / "far")

    code, _, err = said(capsys, "reset", "--yes")

    assert code == 0
    assert state.archive == tmp_path / "far"
    assert f"it goes on archiving its log in {tmp_path / 'far'}" in err


def test_nobody_is_asked_about_a_reset_that_cannot_be(state, capsys):
    with state.lock():
        code, _, err = said(capsys, "reset")

    assert code == Exit.ALREADY_RUNNING
    assert "Remove" not in err


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ORDERMILL_DATABASE_URL", "nonsense-s3cret"),
        ("ORDERMILL_DATABASE_URL", "mysql://me:s3cret@here/x"),
        ("ORDERMILL_BROKER_URL", "s3cret"),
        ("ORDERMILL_BROKER_URL", "amqp:///s3cret"),
    ],
)
def test_a_setting_that_names_no_server_is_named_before_anything_is_started(state, capsys, monkeypatch, setting, value):
    monkeypatch.setenv(setting, value)

    code, _, err = said(capsys, "up")

    assert code == Exit.STEP_FAILED
    assert err.splitlines()[0] == f"{setting} is no address of a server."
    assert "ql://USER" in err if "DATABASE" in setting else "amqp://USER" in err
    assert "s3cret" not in err
    assert "reset" not in err


def test_a_reset_that_nobody_can_be_asked_about_says_how_to_have_it(state, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    code, _, err = said(capsys, "reset")

    assert code == 1
    assert err.splitlines()[0].endswith("Nobody is here to be asked.")
    assert "--yes" in err


@pytest.fixture
def starts(state, monkeypatch):
    """What each start found in the folder, in the place of the starts themselves."""
    found = []

    def begin(*_given, **_named):
        found.append(sorted(path.name for path in state.root.rglob("*") if path.is_file()))
        state.log("up").write_text("said")

    monkeypatch.setattr("ordermill.launch._follow_until_ready", begin)
    monkeypatch.setattr("ordermill.launch.up", begin)
    monkeypatch.setattr("ordermill.launch.subprocess.Popen", lambda *_args, **_named: None)
    monkeypatch.setattr("asyncio.run", lambda _nothing: None)
    return found


@pytest.mark.parametrize("way", [[], ["--detach"]])
def test_nobody_begins_anew_who_did_not_say_that_they_mean_it(state, starts, capsys, monkeypatch, way):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    state.secret("kept")

    code, _, err = said(capsys, "up", "--fresh", *way)

    assert code == 1
    assert err.startswith(f"Remove all orders, stock and mails in {state.root}? Nobody is here to be asked.")
    assert (starts, (state.root / "secrets.json").exists()) == ([], True)


@pytest.mark.parametrize("way", [[], ["--detach"]])
def test_who_means_it_begins_anew_is_told_and_keeps_the_log_of_the_start(state, starts, capsys, way):
    state.secret("gone")
    state.log("shop.api").write_text("gone")

    code, _, err = said(capsys, "up", "--fresh", "--yes", *way)

    assert code == 0
    assert [set(found) - {"lock", "up.log"} for found in starts] == [set()]
    assert "removed all orders, stock and mails" in err
    assert state.log("up").read_text() == "said"


def test_a_start_that_is_to_begin_anew_asks_nothing_while_the_shop_runs(state, capsys):
    with state.lock():
        code, _, err = said(capsys, "up", "--fresh", "--yes")

    assert code == Exit.ALREADY_RUNNING
    assert "removed" not in err


def test_without_a_password_in_the_pipe_the_way_to_give_one_is_said(state, capsys, monkeypatch):
    monkeypatch.setattr("ordermill.inside.settings", dict)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    code, _, err = said(capsys, "users", "create-admin", "ann@example.com")

    assert code == 1
    assert err.splitlines()[0] == "No password came, and nobody is here to be asked."
    assert "| ordermill users create-admin EMAIL" in err


def test_the_folder_around_secrets_is_its_owners_alone(state, tmp_path, capsys):
    said(capsys, "secrets", "--into", str(tmp_path / "out"))

    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert os.access(tmp_path / "out/postgres/POSTGRES_PASSWORD", os.R_OK)
