"""Finding RabbitMQ, the line that installs it, and the parts that it boots."""

import base64
import hashlib
import json
import os

import pytest

from contracts.envelope import MESSAGE_BYTES
from ordermill import erlang
from ordermill.erlang import Installation
from ordermill.errors import Exit, Failure
from ordermill.rabbitmq import RabbitMQ, administrator_only, password_hash


@pytest.fixture
def plugins(tmp_path):
    """A home of RabbitMQ with four plugins, of which the node boots three."""

    def add(name, *needs):
        folder = tmp_path / "plugins" / f"{name}-1.0" / "ebin"
        folder.mkdir(parents=True)
        (folder / f"{name}.app").write_text(
            f'{{application, {name}, [{{vsn, "1.0"}}, {{applications, [kernel, {", ".join(needs)}]}}]}}.'
        )

    add("rabbit", "ra", "rabbit_common")
    add("rabbit_common", "stdlib")
    add("rabbitmq_prelaunch", "stdlib")
    add("ra", "stdlib")
    add("rabbitmq_mqtt", "rabbit")
    (tmp_path / "sbin").mkdir()
    return tmp_path / "plugins"


def test_only_the_parts_that_the_node_boots_are_linked(plugins, tmp_path):
    installed = Installation(tmp_path / "sbin" / "rabbitmq-server", tmp_path / "epmd", tmp_path)

    told = erlang.trimmed_plugins(installed, tmp_path / "home")

    assert told == {"RABBITMQ_SCRIPTS_DIR": str(tmp_path / "home" / "sbin")}
    linked = sorted(path.name for path in (tmp_path / "home" / "plugins").iterdir())
    assert linked == ["ra-1.0", "rabbit-1.0", "rabbit_common-1.0", "rabbitmq_prelaunch-1.0"]
    assert (tmp_path / "home" / "sbin").resolve() == tmp_path / "sbin"
    assert not (tmp_path / "home" / "escript").exists()


def test_an_installation_that_looks_different_is_used_as_it_is(tmp_path):
    installed = Installation(tmp_path / "sbin" / "rabbitmq-server", tmp_path / "epmd", tmp_path)

    assert erlang.trimmed_plugins(installed, tmp_path / "home") == {}


def test_an_application_without_its_file_needs_nothing(tmp_path):
    assert erlang.dependencies(tmp_path / "nothing.app") == []


@pytest.mark.parametrize(
    ("manager", "line"),
    [
        ("dnf", "sudo dnf install -y rabbitmq-server"),
        ("brew", "brew install rabbitmq"),
        (None, "Install RabbitMQ 3.10 or newer: https://www.rabbitmq.com/docs/download"),
    ],
)
def test_the_line_to_run_fits_the_system(monkeypatch, manager, line):
    monkeypatch.setattr(erlang.shutil, "which", lambda name: name if name == manager else None)

    assert erlang.install_line() == line


def test_where_it_is_missing_and_may_not_be_installed_the_line_to_run_is_said(monkeypatch):
    monkeypatch.setattr(erlang, "SERVERS", ())
    monkeypatch.setattr(erlang.os, "geteuid", lambda: 1000)

    with pytest.raises(Failure, match="RabbitMQ is not installed") as refused:
        erlang.ensure_installation(print)

    assert refused.value.code == Exit.MISSING
    assert refused.value.mend.endswith("ORDERMILL_BROKER_URL=amqp://user:password@host/ make up")


def test_root_installs_it_after_an_update_of_the_package_lists(monkeypatch, tmp_path):
    calls = tmp_path / "calls"
    installed = tmp_path / "sbin" / "rabbitmq-server"
    installed.parent.mkdir()
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$1 $RUNLEVEL" >>{calls}\n'
        f'[ "$1" = update ] || {{ [ "$(wc -l <{calls})" -gt 1 ] && touch {installed}; }}\n'
    )
    apt.chmod(0o755)
    (tmp_path / "epmd").touch(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(erlang, "SERVERS", (str(installed),))
    monkeypatch.setattr(erlang.os, "geteuid", lambda: 0)
    notes = []

    found = erlang.ensure_installation(notes.append)

    assert found == Installation(installed, tmp_path / "epmd", tmp_path)
    assert calls.read_text().split("\n") == ["install 1", "update 1", "install 1", ""]
    assert notes == ["RabbitMQ is not installed, installing the system's package rabbitmq-server (once)"]


def test_an_installation_that_fails_says_why(monkeypatch, tmp_path):
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho 'no route to mirror' >&2; exit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(erlang, "SERVERS", ())
    monkeypatch.setattr(erlang.os, "geteuid", lambda: 0)

    with pytest.raises(Failure, match="no route to mirror"):
        erlang.ensure_installation(print)


def test_the_port_mapper_is_found_beside_erlang_when_it_is_not_on_the_path(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "erts" / "bin").mkdir(parents=True)
    (tmp_path / "bin" / "erl").touch(0o755)
    (tmp_path / "erts" / "bin" / "epmd").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert erlang.find_epmd() == tmp_path / "erts" / "bin" / "epmd"

    monkeypatch.setenv("PATH", str(tmp_path))
    assert erlang.find_epmd() is None


def test_a_password_is_hashed_as_rabbitmq_does_it():
    hashed = base64.b64decode(password_hash("secret", b"salt"))

    assert hashed == b"salt" + hashlib.sha256(b"saltsecret").digest()


def test_the_node_gets_ports_data_log_and_users_of_its_own(plugins, tmp_path):
    installed = Installation(tmp_path / "sbin" / "rabbitmq-server", tmp_path / "epmd", tmp_path)
    node = RabbitMQ(tmp_path / "node", tmp_path / "log", 10_001, 10_002, 10_003, "secret", "cookie")

    epmd, server = node.prepare(installed, {"PATH": "/bin", "RABBITMQ_NODENAME": "system"})

    assert epmd.argv == (str(tmp_path / "epmd"), "-port", "10003", "-address", "127.0.0.1")
    assert server.env["RABBITMQ_NODENAME"] == "ordermill@localhost"
    assert server.env["RABBITMQ_MNESIA_BASE"] == str(tmp_path / "node" / "data")
    assert "listeners.tcp.local = 127.0.0.1:10001" in (tmp_path / "node" / "etc" / "rabbitmq.conf").read_text()
    assert f"max_message_size = {MESSAGE_BYTES}\n" in (tmp_path / "node" / "etc" / "rabbitmq.conf").read_text()
    assert (tmp_path / "node").stat().st_mode & 0o077 == 0
    users = json.loads((tmp_path / "node" / "etc" / "definitions.json").read_text())["users"]
    assert [user["name"] for user in users] == ["ordermill"]
    assert administrator_only("x")["permissions"][0]["configure"] == ".*"
    assert node.url == "amqp://ordermill:secret@127.0.0.1:10001/"
