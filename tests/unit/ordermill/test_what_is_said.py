"""What commands say can be copied as it stands: whole paths, commands as they can be typed, addresses."""

import io
import json
import os
import sys

import pytest

from ordermill import cli, host, output, plan
from ordermill.called import as_called, called
from ordermill.errors import Failure
from ordermill.state import GATEWAY_PORT, State

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


def test_what_a_reset_keeps_is_said(state, tmp_path, capsys):
    state.keep_archive(tmp_path / "far")

    code, _, err = said(capsys, "reset", "--yes")

    assert code == 0
    assert state.archive == tmp_path / "far"
    assert f"it goes on archiving its log in {tmp_path / 'far'}" in err


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
