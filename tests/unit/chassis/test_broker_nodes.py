"""A broker of several nodes: their addresses, in which order they are tried, and who answers when one does not."""

import asyncio
from itertools import islice

import pytest

from chassis import broker

THREE = "amqp://u:a,b@one:1/,amqp://u:a,b@two:2/, amqps://u:a,b@three:3/x"


def test_one_address_is_one_node_even_if_its_password_has_a_comma():
    assert broker.nodes("amqp://u:a,b@one:1/") == ["amqp://u:a,b@one:1/"]


def test_the_nodes_of_a_cluster_are_separated_by_commas():
    assert broker.nodes(THREE) == ["amqp://u:a,b@one:1/", "amqp://u:a,b@two:2/", "amqps://u:a,b@three:3/x"]


def test_who_fails_at_one_node_is_at_each_other_one_before_it_comes_again():
    drawn = list(islice(broker.in_turn(THREE), 6))

    assert sorted(drawn[:3]) == sorted(broker.with_heartbeat(node) for node in broker.nodes(THREE))
    assert drawn[3:] == drawn[:3]


def test_not_everybody_begins_at_the_same_node():
    assert len({next(broker.in_turn(THREE)) for _ in range(100)}) == 3


@pytest.fixture
def tried(monkeypatch):
    """The addresses that were tried; the first node refuses, the second never answers, the third opens."""
    tried = []

    async def connect(url):
        tried.append(url)
        if "one" in url:
            raise ConnectionRefusedError
        if "two" in url:
            await asyncio.Event().wait()
        return "a connection"

    monkeypatch.setattr(broker.aio_pika, "connect", connect)
    monkeypatch.setattr(broker, "CONNECTS_WITHIN", 0.01)
    return tried


async def test_a_step_goes_from_node_to_node_until_one_opens(tried):
    assert await broker.connected(THREE) == "a connection"
    assert tried == broker.nodes(THREE)


async def test_where_no_node_opens_the_last_one_says_why(tried):
    with pytest.raises(TimeoutError):
        await broker.connected("amqp://one/,amqp://two/")

    assert tried == ["amqp://one/", "amqp://two/"]
