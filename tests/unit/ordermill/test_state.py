"""The state folder: secrets, ports, the lock."""

import errno
import json
import os
import socket
import stat
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest

from ordermill.errors import Exit, Failure
from ordermill.ours import locked
from ordermill.plan import choose_ports, held_ports
from ordermill.ports import HIGHEST, HOST, LOWEST, find_free, is_free, start_of
from ordermill.state import SOCKET_PATH_LIMIT, State, default_root
from tests.support import strangers

WIDEST = 0o711 if os.geteuid() == 0 else 0o700
LOCKS = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)"
LISTS = "import os, sys; os.listdir(sys.argv[1])"


@pytest.fixture
def state(tmp_path):
    return State.open(tmp_path)


def test_a_secret_is_made_once_and_only_its_owner_may_read_it(state):
    first = state.secret("postgres")

    again = State.open(state.root).secret("postgres")

    assert again == first
    assert state.secret("rabbitmq") != first
    assert stat.S_IMODE((state.root / "secrets.json").stat().st_mode) == 0o600


def test_a_secret_that_somebody_else_made_is_kept_unless_there_is_one(state):
    assert state.keep_secret("key", "made elsewhere") == "made elsewhere"
    assert state.keep_secret("key", "made later") == "made elsewhere"


def test_a_port_stays_the_same_in_the_next_run(state):
    port = state.port("gateway")

    then = State.open(state.root)
    assert (then.port("gateway"), then.moved) == (port, {})
    assert LOWEST <= port < HIGHEST


def test_a_port_that_another_program_has_taken_meanwhile_is_replaced(state):
    port, next_one = state.port("gateway"), state.port("postgres")
    with socket.socket() as other:
        other.bind((HOST, port))
        other.listen()

        then = State.open(state.root)
        next_run = then.port("gateway")

        assert next_run != port
        assert then.port("postgres") == next_one
        assert then.moved == {"gateway": port}
        assert not is_free(port)


def test_a_port_that_is_preferred_and_taken_is_replaced_by_the_same_one_each_time(state):
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        taken = other.getsockname()[1]

        ports = {State.open(state.root).port("gateway", taken) for _ in "12"}

    assert len(ports) == 1
    assert taken not in ports


def test_a_port_that_was_asked_for_and_is_taken_is_refused_and_not_replaced(state):
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        taken = other.getsockname()[1]

        with pytest.raises(Failure, match=f"Port {taken} is taken") as refused:
            choose_ports(state, taken)

    assert "--port" in refused.value.mend


@pytest.mark.parametrize("layout", ["packed", "split"])
def test_every_port_of_a_shop_is_held_but_those_that_erlang_takes_for_itself(tmp_path, layout):
    state = State.open(tmp_path, layout)
    choose_ports(state, find_free(None, 26_000, set()))

    chosen = json.loads((tmp_path / "ports.json").read_text())

    assert {port for name, port in chosen.items() if name != "epmd" and "distribution" not in name} == {
        *held_ports(state)
    }


def test_two_names_never_share_a_port(state):
    assert len({state.port(name) for name in "abcdef"}) == 6


def test_the_preferred_port_is_used_when_it_is_free():
    wanted = find_free(None, 12_000, set())

    assert find_free(wanted, 20_000, set()) == wanted
    assert find_free(wanted, 20_000, {wanted}) != wanted


def test_checkouts_begin_to_look_for_ports_at_different_places():
    assert start_of(Path("/a")) != start_of(Path("/b"))


def test_a_second_up_is_refused_while_the_first_one_runs(state):
    with state.lock():
        assert state.is_running()
        with pytest.raises(Failure, match="already running") as refused, State.open(state.root).lock():
            pass

    assert refused.value.code == Exit.ALREADY_RUNNING
    assert not state.is_running()


def test_a_command_from_another_terminal_sees_the_ports_and_the_layout_of_the_running_shop(tmp_path):
    state = State.open(tmp_path, layout="split")
    port = state.port("postgres")
    state.keep_layout()
    with state.lock(), socket.socket() as server:
        server.bind((HOST, port))
        server.listen()

        attached = State.attach(tmp_path)

        assert attached.port("postgres") == port
        assert attached.layout == "split"


def test_attaching_to_nothing_is_refused(state):
    with pytest.raises(Failure, match="No shop") as refused:
        State.attach(state.root)

    assert refused.value.code == Exit.NOT_RUNNING


def test_the_addresses_are_ours_unless_the_environment_names_others(state, monkeypatch):
    assert state.database_url.endswith(f"@{quote(str(state.sockets), safe='')}:5432/ordermill")
    assert state.broker_url.endswith(f"@127.0.0.1:{state.port('rabbitmq')}/")

    monkeypatch.setenv("ORDERMILL_DATABASE_URL", "postgresql://elsewhere/db")
    monkeypatch.setenv("ORDERMILL_BROKER_URL", "amqp://elsewhere/")

    assert state.database_url == "postgresql://elsewhere/db"
    assert state.broker_url == "amqp://elsewhere/"
    assert state.url("gateway") == f"http://127.0.0.1:{state.port('gateway')}"


def test_the_control_socket_fits_into_a_socket_address_however_deep_the_checkout_lies(tmp_path):
    shallow, deep = State(Path("/srv/shop/.ordermill")), State(tmp_path / ("d" * 120))

    assert shallow.control_socket == Path("/srv/shop/.ordermill/control.sock")
    assert len(os.fsencode(deep.control_socket)) <= SOCKET_PATH_LIMIT
    assert deep.control_socket.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("taken", ["by a link", "by a file", "by a folder that others get into"])
def test_a_socket_is_put_nowhere_where_somebody_else_was_first_since_secrets_go_through_it(
    tmp_path, monkeypatch, taken
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ours = tmp_path / f"ordermill-{os.getuid()}"
    match taken:
        case "by a link":
            ours.symlink_to(tmp_path)
        case "by a file":
            ours.touch()
        case _:
            ours.mkdir()
            ours.chmod(0o755)

    with pytest.raises(Failure, match="is not ours alone"):
        State(tmp_path / ("d" * 120)).control_socket  # noqa: B018 -- asking for it is the attempt


def test_the_folder_is_in_the_checkout_unless_the_environment_names_another(monkeypatch, tmp_path):
    monkeypatch.delenv("ORDERMILL_HOME", raising=False)
    assert default_root().name == ".ordermill"

    monkeypatch.setenv("ORDERMILL_HOME", str(tmp_path))
    assert default_root() == tmp_path


def test_what_processes_write_is_its_owners_to_read(state):
    assert (state.root / "log").stat().st_mode & 0o077 == 0


def test_nobody_else_looks_into_the_folder_or_opens_what_is_in_it(tmp_path):
    state = State.open(tmp_path / "home")
    state.port("gateway")
    state.secret("postgres")
    state.keep_layout()
    state.keep_archive(Path("/somewhere"))
    state.keep_broker_nodes(1)

    with state.lock():
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in state.root.iterdir()}

    files = ("archive.json", "broker.json", "layout.json", "lock", "ports.json", "secrets.json")
    assert modes == {**dict.fromkeys(files, 0o600), "log": 0o700}
    assert stat.S_IMODE(state.root.stat().st_mode) == WIDEST


def test_a_folder_that_was_made_wide_by_an_earlier_release_is_narrowed(tmp_path):
    tmp_path.chmod(0o777)
    wide = [tmp_path / name for name in ("lock", "ports.json", "told.jsonl")]
    for file in wide:
        file.write_text("{}")
        file.chmod(0o644)

    State.open(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == WIDEST
    assert [stat.S_IMODE(file.stat().st_mode) for file in wide] == [0o600] * 3


def test_a_folder_that_is_narrower_than_it_has_to_be_stays_so(tmp_path):
    tmp_path.chmod(0o700)

    State.open(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_nothing_is_kept_in_a_folder_that_is_everybodys_nor_is_that_narrowed(tmp_path):
    tmp_path.chmod(0o1777)

    with pytest.raises(Failure, match="is everybody's"):
        State.open(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_a_folder_that_we_may_not_look_into_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ordermill.accounts.os.open", _forbidden)

    with pytest.raises(Failure, match=r"/[^:]*: permission denied"):
        State.open(tmp_path)


def _forbidden(*_words, **_more):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_another_user_of_the_machine_cannot_lock_what_the_shop_locks():
    with strangers.a_place_of_all() as place:
        state, backups = State.open(place), place / "backups"
        backups.mkdir()
        with state.lock(), locked(backups / ".lock", Failure("busy", "")):
            pass
        told = strangers.tries((LOCKS, state.root / "lock"), (LOCKS, backups / ".lock"), (LISTS, place))

        assert not state.is_running()

    assert told <= {"PermissionError"}


def test_what_a_link_in_the_place_of_the_lock_leads_to_is_not_touched(tmp_path):
    lock, elsewhere = tmp_path / "lock", tmp_path / "elsewhere"
    lock.symlink_to(elsewhere)

    with pytest.raises(Failure, match="is a link, and none of ours"), locked(lock, Failure("busy", "")):
        pass

    assert not elsewhere.exists()
