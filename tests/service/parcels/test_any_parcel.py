"""Whatever somebody tells who holds one service: each listener is done with it, and with what comes behind it."""

import asyncio

from tests.support.forged_parcels import forgeries, parcel_of

AT_ONCE = 100
PATIENCE = 60.0  # s for a hundred parcels, which take one


async def test_no_value_of_a_parcel_keeps_a_listener_from_going_on(listener):
    told = [(parcel_of(topic), topic, *forged) for topic, *forged in forgeries(listener.work.decisions.topics)]

    for start in range(0, len(told), AT_ONCE):
        await _settled(listener, told[start : start + AT_ONCE])


async def _settled(listener, parcels):
    settling = {
        what: asyncio.ensure_future(listener.consumer.settle(parcel, topic, body, redelivered=False))
        for parcel, topic, what, body in parcels
    }
    _, stuck = await asyncio.wait(settling.values(), timeout=PATIENCE)

    assert [what for what, task in settling.items() if task in stuck] == []
    assert [(what, task.exception()) for what, task in settling.items() if task.exception()] == []
    assert await listener.unheard([parcel for parcel, *_ in parcels]) == set()
