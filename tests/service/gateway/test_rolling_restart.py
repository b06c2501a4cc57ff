"""Two instances of a service, restarted one after the other under load: nobody's request fails."""

import asyncio
import sys
from collections import Counter
from contextlib import suppress
from itertools import count

import httpx2
import pytest

from chassis.boundary import Boundary
from gateway.app import gateway
from gateway.proxy import Proxy
from ordermill.ports import find_free
from tests.support.eventually import eventually
from tests.support.gateway import served

CLIENTS = 12


class Instance:
    """A process, and those that came before it at its address."""

    def __init__(self, port):
        self.port = port
        self.ended = []

    async def start(self):
        argv = (sys.executable, "-m", "tests.support.restarted", str(self.port))
        self.process = await asyncio.create_subprocess_exec(*argv)
        await eventually(self._accepts)

    async def stop(self):
        if self.process.returncode is None:
            self.process.terminate()
            self.ended.append(await self.process.wait())

    async def _accepts(self):
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        return False


@pytest.fixture
async def instances():
    one = find_free(None, 23_000, set())
    both = [Instance(port) for port in (one, find_free(None, 23_000, {one}))]
    await asyncio.gather(*(instance.start() for instance in both))
    yield both
    await asyncio.gather(*(instance.stop() for instance in both))


class Load:
    """Clients that ask one request after the other, and what they were answered."""

    def __init__(self, address):
        self._address = address
        self._numbers = count()
        self.statuses = Counter()
        self.answered_by = Counter()
        self.goes_on = True

    async def client(self, number):
        async with httpx2.AsyncClient(base_url=self._address, timeout=30) as client:
            while self.goes_on:
                answer = await (self._read(client) if number % 2 else self._order(client))
                self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    self.answered_by[answer.json()["pid"]] += 1

    async def _read(self, client):
        return await client.get("/api/v1/orders")

    async def _order(self, client):
        key = {"Idempotency-Key": f"order-{next(self._numbers)}"}
        return await client.post("/api/v1/orders", json={"lines": []}, headers=key)


async def test_a_rolling_restart_fails_nobody(instances):
    # given
    proxy = Proxy(*(f"http://127.0.0.1:{instance.port}" for instance in instances))
    pids = []

    async with (
        served(gateway({"order_service": Boundary(proxy, "gateway")})) as address,
        asyncio.TaskGroup() as clients,
    ):
        load = Load(address)
        for number in range(CLIENTS):
            clients.create_task(load.client(number))

        # when
        for instance in instances:
            pids.append(instance.process.pid)
            await eventually(lambda: load.answered_by[pids[-1]] > 50)
            await instance.stop()
            await instance.start()
            pids.append(instance.process.pid)
            await eventually(lambda: load.answered_by[pids[-1]] > 50)
        load.goes_on = False
    await proxy.aclose()

    # then
    assert load.statuses.keys() == {200}
    assert len(set(pids)) == 4
    assert [instance.ended for instance in instances] == [[0], [0]]
