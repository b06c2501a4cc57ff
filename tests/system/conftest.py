"""A whole shop, packed, for all tests of this folder; those that need another one start their own."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from tests.support.people import Person, a_customer, a_product, logged_in, visiting
from tests.support.running_shop import RunningShop, a_running_shop


@pytest.fixture(scope="session")
async def shop(run_folder: Path) -> AsyncIterator[RunningShop]:
    async with a_running_shop(run_folder / os.environ.get("PYTEST_XDIST_WORKER", "packed")) as running:
        yield running


@pytest.fixture
async def client(shop: RunningShop) -> AsyncIterator[httpx2.AsyncClient]:
    async with visiting(shop) as opened:
        yield opened


@pytest.fixture
async def customer(client: httpx2.AsyncClient) -> Person:
    return await a_customer(client)


@pytest.fixture
async def staff(shop: RunningShop, client: httpx2.AsyncClient) -> Person:
    return await logged_in(client, "staff@ordermill.example", shop.secret("demo.staff"))


@pytest.fixture
async def sku(staff: Person) -> str:
    """A product of which ten are on hand, at 10.00 EUR."""
    return await a_product(staff)
