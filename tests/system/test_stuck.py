"""What is stuck is ended and comes back; what only waits for a server that is away, or frozen, is left alone."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from ordermill.services import SERVICES
from tests.support.eventually import eventually
from tests.support.outcomes import confirmed_once
from tests.support.people import a_customer, a_product, logged_in, visiting
from tests.support.replica import Replica, a_replica
from tests.support.running_shop import RunningShop, a_running_shop

HURTING = Path(__file__).parents[1] / "support" / "hurting"
_LOOP = re.compile(r'^ordermill_loop_seconds\{loop="(.+)"\} (.+)$', re.MULTILINE)


@pytest.fixture(scope="module")
async def hurt(run_folder: Path) -> AsyncIterator[RunningShop]:
    home = run_folder / "hurt"
    async with a_running_shop(home, PYTHONPATH=str(HURTING), ORDERMILL_TEST_HARM=str(home / "harm")) as running:
        yield running


@pytest.mark.parametrize("harm", ["relay", "event loop"])
async def test_a_process_in_which_something_is_stuck_is_ended_and_comes_back(hurt: RunningShop, harm: str):
    # given
    async with visiting(hurt) as client:
        staff = await logged_in(client, "staff@ordermill.example", hurt.secret("demo.staff"))
        customer, sku = await a_customer(client), await a_product(staff, stock=100)
        before = (await hurt.processes())["shop.worker"]

        # when
        (hurt.home / "harm").write_text(harm)

        # then
        orders = [await customer.ordered(sku) for _ in range(5)]
        await hurt.back("shop.worker", before["pid"], within=60)
        assert (await hurt.processes())["shop.worker"]["restarts"] == before["restarts"] + 1
        await confirmed_once(hurt, customer, orders, sku)


async def _ages(replica: Replica) -> dict[str, float]:
    """For how many seconds each loop has not come round."""
    async with httpx2.AsyncClient(base_url=replica.url, timeout=10, trust_env=False) as client:
        return {name: float(age) for name, age in _LOOP.findall((await client.get("/metrics")).text)}


@pytest.mark.parametrize("how", ["frozen", "down"])
async def test_while_broker_and_database_are_away_every_loop_comes_round_and_the_process_is_alive(
    shop: RunningShop, how: str
):
    # given
    async with a_replica(shop, *SERVICES, "--role", "worker") as replica:
        await replica.ready()
        for cable in (replica.broker, replica.database):
            (cable.freeze if how == "frozen" else cable.unplug)()
        last, rounds = await _ages(replica), defaultdict[str, int](int)

        # when
        async def each_has_come_round() -> bool:
            ages = await _ages(replica)
            for name, age in ages.items():
                rounds[name] += age < last.get(name, 0.0) or age == 0.0
            last.update(ages)
            return all(rounds[name] for name in last)

        await eventually(each_has_come_round)

        # then
        assert {name for name in last if name.endswith((" relay", " consumer"))} == {
            f"{service} {loop}" for service in SERVICES for loop in ("relay", "consumer")
        }
        assert await replica.is_alive()
        assert not await replica.is_ready()

        # and
        for cable in (replica.broker, replica.database):
            (cable.thaw if how == "frozen" else cable.plug)()
        await eventually(replica.is_ready)
