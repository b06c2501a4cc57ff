"""A shop under load loses everything at once and is put back, to a moment or to the end, and all of it agrees."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from ordermill.audit import Kind, Question, Verdict, audit
from tests.support.crowd import Crowd, Request, ids
from tests.support.eventually import eventually
from tests.support.people import Person, a_customer, a_product, logged_in, visiting
from tests.support.running_shop import RunningShop, a_running_shop

DRAINS_WITHIN = 60.0
RESTS_AS = {"confirmed", "partially_shipped", "shipped", "delivered", "rejected", "cancelled"}


@pytest.fixture(scope="module")
def archive() -> Iterator[Path]:
    """A folder that PostgreSQL's user gets into; pytest's own are closed to him."""
    folder = Path(tempfile.mkdtemp(prefix="ordermill-archive-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
async def shop(run_folder: Path, archive: Path) -> AsyncIterator[RunningShop]:
    """A shop of its own that archives its log."""
    async with a_running_shop(run_folder / "restored", own_servers=True, ORDERMILL_ARCHIVE=str(archive)) as running:
        yield running


@asynccontextmanager
async def a_crowd(shop: RunningShop) -> AsyncIterator[Crowd]:
    async with visiting(shop) as client:
        staff = await logged_in(client, "staff@ordermill.example", shop.secret("demo.staff"))
        sku = await a_product(staff, stock=100_000)
        yield Crowd(await a_customer(client), staff, sku)


@asynccontextmanager
async def returned(crowd: Crowd, shop: RunningShop) -> AsyncIterator[Crowd]:
    """The same people with the same tokens, at the door of the shop that is back."""
    async with visiting(shop) as client:
        people = [Person(client, each.email, "") for each in (crowd.customer, crowd.staff)]
        for person, before in zip(people, (crowd.customer, crowd.staff), strict=True):
            person.authorized = before.authorized
        crowd.customer, crowd.staff = people
        yield crowd


async def test_put_back_to_a_moment_it_knows_all_that_was_told_before_and_what_came_later_can_be_asked_again(
    shop: RunningShop,
):
    # given
    async with a_crowd(shop) as crowd:
        async with crowd.busy():
            await _accepted(crowd, 60)
            made = json.loads(await shop.command("backup", "-o", "json"))
            await _accepted(crowd, 60)
            moment = datetime.now(UTC)
            await _accepted(crowd, 60)
            charged = await _charges(shop)
            await shop.die()
        before, after = crowd.accepted_before(moment), crowd.asked_after(moment)

    # when
    told = json.loads(await shop.command("restore", made["folder"], "--until", moment.isoformat(), "-o", "json"))
    await shop.up()

    # then
    assert datetime.fromisoformat(told["last_transaction_at"]) <= moment
    stored = await _stored(shop)
    assert ids(before) <= stored
    assert len(after) >= 50
    assert ids([request for request in after if request.order]) & stored == set()

    # and
    async with returned(crowd, shop):
        await asyncio.gather(*(crowd.ask(request) for request in before[-20:]))
        assert ids(before) <= await _stored(shop)
        await asyncio.gather(*(crowd.ask(request) for request in after))
        assert await _stored(shop) >= ids(before) | ids(after)
    await _all_agree(shop, [*before, *after], (moment, datetime.now(UTC)))

    # and
    charged_later = {order: key for order, (key, at) in charged.items() if at > moment and order in ids(before)}
    again = {order: key for order, (key, _) in (await _charges(shop)).items() if order in charged_later}
    assert len(again) > 0
    assert again.items() <= charged_later.items()


async def test_put_back_to_the_end_it_has_lost_nothing_that_was_told(shop: RunningShop):
    # given
    async with a_crowd(shop) as crowd, crowd.busy():
        await _accepted(crowd, 40)
        await shop.command("backup")
        await _accepted(crowd, 60)
        died_at = datetime.now(UTC)
        await shop.die()

    # when
    await shop.command("restore")
    await shop.up()

    # then
    assert ids(crowd.answered()) <= await _stored(shop)
    assert await _shipped(shop) >= len(crowd.shipped)
    await _all_agree(shop, crowd.answered(), (died_at, datetime.now(UTC)))


async def _accepted(crowd: Crowd, more: int) -> None:
    """Returns when so many more orders were accepted."""
    enough = len(crowd.answered()) + more
    await eventually(lambda: len(crowd.answered()) >= enough)


async def _stored(shop: RunningShop) -> set[UUID]:
    return {row["id"] for row in await shop.rows("SELECT id FROM order_service.orders")}


async def _charges(shop: RunningShop) -> dict[UUID, tuple[str, datetime]]:
    """The key under which the provider was asked to charge an order, and when it did."""
    rows = await shop.rows("SELECT order_id, key, created_at FROM provider.charges")
    return {row["order_id"]: (row["key"], row["created_at"]) for row in rows}


async def _shipped(shop: RunningShop) -> int:
    [(count,)] = await shop.rows("SELECT count(*) FROM order_service.orders WHERE status = 'shipped'")
    return int(count)


async def _all_agree(shop: RunningShop, requests: list[Request], outage: tuple[datetime, datetime]) -> None:
    """The shop drains, and then every promise holds, the provider's own books and what clients were told included."""
    question = Question(frozenset(Kind), told=[request.told for request in requests], outages=[outage])
    verdicts: list[Verdict] = []

    async def is_so() -> bool:
        verdicts[:] = await audit(shop.auditor_url, question)
        return not any(verdict.broken for verdict in verdicts)

    try:
        await eventually(is_so, within=DRAINS_WITHIN)
    except TimeoutError:
        broken = {verdict.invariant.id: (verdict.count, verdict.broken[:3]) for verdict in verdicts if verdict.broken}
        raise AssertionError(broken) from None
    assert len(verdicts) > 20
    twice = "SELECT order_id FROM provider.charges WHERE status = 'captured' GROUP BY order_id HAVING count(*) > 1"
    assert await shop.rows(twice) == []
    open_ = (
        "SELECT id, status FROM order_service.orders WHERE NOT status = ANY($1::text[]) AND payment_status <> 'failed'"
    )
    assert await shop.rows(open_, list(RESTS_AS)) == []
