"""The private broker as one node or several: how many, what each is told, and what another number changes."""

import base64
import json
import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer

from chassis.broker import nodes
from ordermill import cli, plan
from ordermill.cluster import Cluster, settle
from ordermill.erlang import Installation
from ordermill.errors import Exit, Failure
from ordermill.options import broker_nodes
from ordermill.rabbitmq import COOKIE, keep_cookie
from ordermill.setup import secret_settings
from ordermill.state import State

INSTALLED = Installation(Path("/rabbitmq/sbin/rabbitmq-server"), Path("/erlang/epmd"), Path("/rabbitmq"))


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.delenv("ORDERMILL_BROKER_URL", raising=False)
    return State.open(tmp_path)


@pytest.fixture
def of_three(state):
    state.keep_broker_nodes(3)
    return state


async def declare():
    """The topology, which no node here becomes ready for."""


def prepared(state):
    return Cluster(state).prepare(INSTALLED, {"PATH": "/bin", "HOME": "/root"}, {"users": []}, declare)


def told(state, name):
    """The lines of a node's configuration."""
    return set((state.root / "rabbitmq" / "etc" / f"{name}.conf").read_text().splitlines())


def test_without_a_word_the_broker_is_one_node_that_looks_for_no_other(state):
    settle(state, None, print)
    epmd, [node] = prepared(state)

    assert (epmd.name, node.name, node.env["RABBITMQ_NODENAME"]) == ("epmd", "rabbitmq", "ordermill@localhost")
    assert "queue_leader_locator = client-local" in told(state, "rabbitmq")
    assert not any(line.startswith("cluster") for line in told(state, "rabbitmq"))
    assert len(nodes(state.broker_url)) == 1


def test_what_a_node_is_configured_with_is_its_owners_alone(of_three):
    prepared(of_three)

    files = [each for each in (of_three.root / "rabbitmq").rglob("*") if each.is_file()]
    assert len(files) > 5
    assert not [each.name for each in files if each.stat().st_mode & 0o077]


def test_three_nodes_have_names_ports_and_logs_of_their_own_and_one_cookie_and_port_mapper(of_three):
    epmd, specs = prepared(of_three)

    assert [spec.name for spec in specs] == ["rabbitmq", "rabbitmq2", "rabbitmq3"]
    names = [f"ordermill{number}@localhost" for number in ("", 2, 3)]
    assert [spec.env["RABBITMQ_NODENAME"] for spec in specs] == names
    for own in ("RABBITMQ_NODE_PORT", "RABBITMQ_DIST_PORT", "RABBITMQ_PID_FILE", "RABBITMQ_CONFIG_FILE"):
        assert len({spec.env[own] for spec in specs}) == 3
    assert len({spec.log for spec in specs}) == 3
    for shared in ("HOME", "ERL_EPMD_PORT", "RABBITMQ_MNESIA_BASE"):
        assert len({spec.env[shared] for spec in (epmd, *specs)}) == 1


def cookie_of(state):
    return (state.root / "rabbitmq" / COOKIE).read_text()


def test_the_cookie_is_a_secret_of_the_shops_that_no_process_is_told_in_words(of_three):
    epmd, specs = prepared(of_three)

    cookie = json.loads((of_three.root / "secrets.json").read_text())["rabbitmq.cookie"]
    assert cookie_of(of_three) == cookie
    assert len(base64.urlsafe_b64decode(f"{cookie}=")) == 32
    assert {(Path(spec.env["HOME"]) / COOKIE).read_text() for spec in specs} == {cookie}
    assert not any(cookie in word for spec in (epmd, *specs) for word in (*spec.argv, *spec.env.values()))


def test_another_shop_has_another_cookie_and_the_next_start_the_same(state, tmp_path):
    prepared(state)
    first = cookie_of(state)
    other = State.open(tmp_path / "other")

    prepared(State.open(state.root))
    prepared(other)

    assert cookie_of(state) == first != cookie_of(other)


def test_a_cookie_that_erlang_made_is_replaced_before_the_node_starts(state):
    (state.root / "rabbitmq").mkdir()
    old = state.root / "rabbitmq" / COOKIE
    old.write_text("UEOFFDTNRKIQRBDLCVSK")
    old.chmod(0o400)

    prepared(state)

    assert cookie_of(state) == state.erlang_cookie
    assert [file.name for file in old.parent.glob(f"{COOKIE}*")] == [COOKIE]


@pytest.mark.parametrize("left", [False, True], ids=["", "beside what a start that was cut off has left"])
def test_nobody_but_its_owner_may_read_a_cookie_at_any_time(tmp_path, monkeypatch, left):
    seen, replace = [], Path.replace
    if left:
        (tmp_path / f"{COOKIE}.new").touch(0o666)

    def replaced(draft, target):
        seen.append((stat.S_IMODE(draft.stat().st_mode), draft.read_text(), target.exists()))
        replace(draft, target)

    monkeypatch.setattr(Path, "replace", replaced)
    before = os.umask(0)
    try:
        keep_cookie(tmp_path, "a cookie")
    finally:
        os.umask(before)

    assert seen == [(0o400, "a cookie", False)]
    assert stat.S_IMODE((tmp_path / COOKIE).stat().st_mode) == 0o400


def test_a_minority_pauses_leaders_spread_and_the_others_join_the_first(of_three):
    _, specs = prepared(of_three)

    for spec in specs:
        assert told(of_three, spec.name) >= {
            "cluster_partition_handling = pause_minority",
            "queue_leader_locator = balanced",
        }
    joining = {
        f"cluster_formation.classic_config.nodes.{at} = ordermill{who}@localhost" for at, who in ((1, ""), (2, 3))
    }
    assert joining <= told(of_three, "rabbitmq3")
    assert not any("cluster_formation" in line for line in told(of_three, "rabbitmq"))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_queue_has_a_member_on_each_node(state, count):
    state.keep_broker_nodes(count)

    _, specs = prepared(state)

    arguments = {spec.env["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"].partition(" -rabbit ")[2] for spec in specs}
    assert arguments == {f"quorum_cluster_size {count}"}
    assert len(specs) == count


@pytest.fixture
def data(of_three):
    """The data of three nodes that have formed a cluster."""
    data = of_three.root / "rabbitmq" / "data"
    for number in ("", 2, 3):
        (data / f"ordermill{number}@localhost").mkdir(parents=True)
    (data / "formed").touch()
    return data


def test_a_cluster_that_was_complete_is_kept(of_three, data):
    prepared(of_three)

    assert len(list(data.iterdir())) == 4


def test_a_cluster_that_was_never_complete_begins_anew(of_three, data):
    (data / "formed").unlink()

    prepared(of_three)

    assert list(data.iterdir()) == []
    assert not list(data.parent.glob("data.*"))


def test_a_cluster_of_which_a_node_has_lost_its_data_begins_anew_and_the_rest_is_put_aside(of_three, data):
    (data / "ordermill3@localhost").rmdir()

    prepared(of_three)

    assert list(data.iterdir()) == []
    [aside] = data.parent.glob("data.before-*")
    assert len(list(aside.iterdir())) == 3


def test_every_process_is_told_all_nodes_as_its_own_user(of_three):
    told = secret_settings(of_three, "postgresql://o:p@h/d", of_three.broker_url)

    urls = [urlsplit(url) for url in nodes(told["ORDERMILL_ORDER_SERVICE_BROKER_URL"])]
    assert {(url.username, url.password) for url in urls} == {
        ("order_service", of_three.secret("order_service.broker"))
    }
    assert [url.port for url in urls] == [of_three.port(name) for name in ("rabbitmq", "rabbitmq2", "rabbitmq3")]


def test_every_port_of_a_cluster_is_chosen_before_anybody_is_told_one(of_three):
    plan.choose_ports(of_three)

    kept = (of_three.root / "ports.json").read_text()
    assert all(f'"{name}{what}"' in kept for name in ("rabbitmq2", "rabbitmq3") for what in ("", ".distribution"))


def test_the_number_is_kept_until_another_one_is_asked_for(state):
    settle(state, 3, print)
    settle(state, None, print)

    assert State.open(state.root).broker_nodes == 3


def test_another_number_puts_the_old_data_aside_and_the_same_one_does_not(of_three, data):
    notes = []

    settle(of_three, 3, notes.append)
    assert (notes, data.exists()) == ([], True)
    settle(of_three, 1, notes.append)

    [aside] = data.parent.glob("data.before-*")
    assert (aside / "ordermill@localhost").exists()
    assert notes == [f"the broker begins anew as 1; what it held is told again, its old data is in {aside}"]
    assert not data.exists()
    assert of_three.broker_nodes == 1


def test_a_broker_of_somebody_elses_has_the_nodes_that_it_has(state, monkeypatch):
    monkeypatch.setenv("ORDERMILL_BROKER_URL", "amqp://elsewhere/")

    with pytest.raises(Failure, match="is the one that ORDERMILL_BROKER_URL names") as refused:
        settle(state, 3, print)

    assert refused.value.mend.startswith("Leave out --broker-nodes")
    assert state.broker_nodes == 1


@pytest.mark.parametrize("text", ["0", "2", "4", "6", "-1", "3.0", "three", ""])
def test_a_number_that_no_majority_gains_from_is_refused(text):
    with pytest.raises(typer.BadParameter, match="write 1, 3 or 5"):
        broker_nodes(text)


def test_doctor_says_how_many_nodes_there_are(of_three, monkeypatch, capsys):
    monkeypatch.setenv("ORDERMILL_HOME", str(of_three.root))
    monkeypatch.setattr("ordermill.erlang.find_installation", lambda: INSTALLED)

    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", "-o", "json"])

    assert ended.value.code in {0, Exit.UNHEALTHY}
    assert f'"{INSTALLED.server}, 3 nodes"' in capsys.readouterr().out
