"""Where the services of the shop that is hurt find its servers."""

from ordermill.prove.stage import ends_of, through_lines
from ordermill.setup import auditor_url
from ordermill.sockets import socket_in
from ordermill.state import State


def test_every_address_of_a_server_leads_through_its_line(tmp_path):
    state = State.open(tmp_path)

    told = through_lines(state, {"D": state.database_url, "A": auditor_url(state), "B": state.broker_url})

    assert [told[name].rpartition("@")[2].rpartition(":")[2] for name in "DA"] == ["5433/ordermill"] * 2
    assert told["B"].endswith(f":{state.port('rabbitmq.line')}/")
    assert ends_of(state, "postgres") == (socket_in(state.sockets, 5433), socket_in(state.sockets))
