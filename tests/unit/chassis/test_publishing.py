"""What the relay makes of a broker's answers, and of those that do not come."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiormq import spec
from aiormq.exceptions import DeliveryError

from chassis import relay
from chassis.ids import new_id
from chassis.relay import BrokerPublisher


class Channel:
    """A broker that says to each topic what the test wants it to say."""

    def __init__(self, **says: Callable[[], Awaitable[object]]) -> None:
        self._says = says

    async def basic_publish(self, _body, *, routing_key, **_properties):
        return await self._says[routing_key]()


async def acknowledged():
    return spec.Basic.Ack()


async def refused():
    raise DeliveryError(None, spec.Basic.Nack())


async def lost():
    raise ConnectionError


async def silent():
    await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(relay, "CONFIRM_TIMEOUT", 0.05)


def publisher(**says) -> BrokerPublisher:
    return BrokerPublisher("order_service", Channel(**says))


def parcels(*topics: str) -> list[dict[str, object]]:
    return [{"id": new_id(), "topic": topic, "events": "[]"} for topic in topics]


async def test_what_is_not_answered_in_time_is_in_the_way_of_nothing_that_is():
    # given
    ours = publisher(first=acknowledged, second=silent, third=acknowledged, fourth=refused)

    # when
    confirmed = await ours.publish(parcels("first", "second", "third", "fourth"))

    # then
    assert confirmed == [True, False, True, False]


async def test_a_broker_that_answers_nothing_is_a_failure():
    with pytest.raises(TimeoutError):
        await publisher(first=silent, second=silent).publish(parcels("first", "second"))


async def test_a_lost_connection_is_a_failure_at_once_and_nothing_is_known_of_any():
    with pytest.raises(ConnectionError):
        await publisher(first=acknowledged, second=silent, third=lost).publish(parcels("first", "second", "third"))
