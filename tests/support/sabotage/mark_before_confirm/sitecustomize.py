"""A bug for every process that has this folder on its PYTHONPATH: a parcel is marked as published before it is."""

from chassis.relay import Relay


async def step(self, connection, publisher):
    rows = await connection.fetch(self._due)
    if rows:
        await connection.execute(self._mark, [row["id"] for row in rows], [row["not_before"] for row in rows])
        await publisher.publish(rows)
    return bool(rows)


Relay.step = step
