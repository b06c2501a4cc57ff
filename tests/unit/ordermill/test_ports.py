"""A port that is held stays ours while nobody listens there."""

import socket

import pytest

from ordermill.errors import Failure
from ordermill.ports import HOST, find_free, held, is_free, is_holdable, listen
from tests.support import strangers

EVERYWHERE = ".".join("0000")
TAKES = """
import socket, sys
for options in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):
    with socket.socket() as one:
        for option in options:
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            one.bind((sys.argv[1], int(sys.argv[2])))
            one.listen()
        except OSError:
            continue
        sys.exit(0)
sys.exit("Refused: each time")
"""


@pytest.fixture
def port():
    return find_free(None, 24_000, set(), is_holdable)


def test_a_server_of_ours_listens_at_a_port_that_is_held_and_comes_back_to_it(port):
    with held([port]):
        for _ in "12":
            with listen(port) as server, socket.create_connection((HOST, port)):
                server.accept()[0].close()


def test_a_port_is_held_again_though_our_own_connections_there_are_not_forgotten_yet(port):
    with held([port]), listen(port) as server, socket.create_connection((HOST, port)) as client:
        server.accept()[0].close()
        client.recv(1)

    assert is_holdable(port)


def test_nobody_is_kept_waiting_at_a_port_that_is_held(port):
    with held([port]), pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_a_port_that_is_held_is_free_for_nobody_else(port):
    with held([port]):
        taken = not is_free(port)
        told = strangers.tries(*((TAKES, address, port) for address in (HOST, EVERYWHERE)))

    assert taken
    assert told <= {"Refused"}
    assert is_free(port)
    assert strangers.tries((TAKES, HOST, port)) <= {"done"}


def test_a_port_that_another_servers_connections_have_just_left_is_not_chosen_to_be_held(port):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, port))
        other.listen()
        with socket.create_connection((HOST, port)) as client:
            other.accept()[0].close()
            client.recv(1)

    assert is_free(port)
    assert not is_holdable(port)
    assert is_holdable(find_free(port, port, set(), is_holdable))


def test_a_port_that_somebody_took_before_it_was_held_is_said():
    with socket.socket() as other:
        other.bind((HOST, 0))
        port = other.getsockname()[1]

        with pytest.raises(Failure, match=f"Port {port} was taken"), held([port]):
            pass
