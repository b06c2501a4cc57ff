"""Signing keys change under load, and no request fails for it."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from auth_service import rotating
from auth_service.settings import Settings
from chassis.app import opened
from tests.service.auth_service.conftest import a_service, at_work
from tests.support.eventually import eventually
from tests.support.neighbours import EDGE_KEY


@pytest.fixture(autouse=True)
async def one_key(shop):
    await shop.sql("TRUNCATE auth_service.signing_keys")


@pytest.fixture
async def shops(shop, one_key, database):
    """Two processes that have read the one key there is."""
    async with at_work(database) as first, at_work(database) as second:
        yield first, second


async def turn(shop, every="P0D"):
    secrets = {"database_url": "postgresql://nowhere/none", "broker_url": "amqp://nowhere"}
    shop.parts.settings = Settings(**secrets, edge_key=EDGE_KEY, profile="local", keys_sign_for=every)
    assert await rotating.step(shop.parts) is False


async def pass_time(shops, minutes):
    """Keys become older, processes read them again, and edges ask for what is published."""
    age = "UPDATE auth_service.signing_keys SET created_at = created_at - $1::interval"
    await shops[0].sql(age, timedelta(minutes=minutes))
    for shop in shops:
        shop.parts.own.keys._read_at = float("-inf")
        await shop.parts.verifier._keys.refresh()


async def kids(shop):
    return [key["kid"] for key in (await shop.http.get("/.well-known/jwks.json")).json()["keys"]]


async def count(shop):
    [(count,)] = await shop.sql("SELECT count(*) FROM auth_service.signing_keys")
    return count


@asynccontextmanager
async def under_load(shops, signed_in):
    """Requests with fresh tokens at both processes, each with a token of the other one."""
    answers, ended = Counter(), asyncio.Event()

    async def ask(issuer, edge, tokens):
        while not ended.is_set():
            renewed = await issuer.refresh(tokens["refresh_token"])
            answers[renewed.status_code] += 1
            tokens = renewed.json()
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            answers[(await edge.http.get("/api/v1/auth/me", headers=headers)).status_code] += 1

    first, second = shops
    async with asyncio.TaskGroup() as clients:
        for issuer, edge, who in ((first, second, signed_in[0]), (second, first, signed_in[1])):
            clients.create_task(ask(issuer, edge, who.tokens))
        yield answers
        ended.set()


async def some(answers):
    """Enough requests for each client to have a token of the key that signs now."""
    seen = answers.total()
    await eventually(lambda: answers.total() >= seen + 12)


async def test_keys_change_under_load_without_a_failed_request(shops):
    signed_in = [await shops[0].customer(), await shops[1].customer("bob@shop.test")]
    [old] = await kids(shops[0])

    async with under_load(shops, signed_in) as answers:
        await turn(shops[0])
        await pass_time(shops, 1)
        new, *others = await kids(shops[0])
        assert (others, await kids(shops[1])) == ([old], [new, old])
        for minutes in (4, 1, 11):
            await turn(shops[0], "P1D")
            await pass_time(shops, minutes)
            await some(answers)
        await turn(shops[0], "P1D")
        await pass_time(shops, 0)

    assert set(answers) == {200}
    assert await kids(shops[0]) == await kids(shops[1]) == [new]


async def test_a_token_of_the_old_key_is_good_until_it_expires(shops):
    ann = await shops[0].customer()
    await turn(shops[0])
    await pass_time(shops, 6)
    await turn(shops[0], "P1D")

    assert (await shops[1].http.get("/api/v1/auth/me", headers=ann.headers)).status_code == 200
    assert await count(shops[0]) == 2


async def test_two_workers_make_one_key(shops):
    await asyncio.gather(*(turn(shop, "PT1S") for shop in shops))
    await shops[0].sql("UPDATE auth_service.signing_keys SET created_at = now() - interval '1 hour'")

    await asyncio.gather(*(turn(shop, "PT10M") for shop in shops))

    assert await count(shops[0]) == 2


async def test_while_the_database_is_away_the_known_keys_sign(shops):
    signer = await shops[0].parts.own.keys.signer()
    shops[0].parts.own.keys._read_at = float("-inf")
    await shops[0].parts.database.close()

    assert await shops[0].parts.own.keys.signer() == signer


async def test_a_process_starts_before_there_is_a_schema_and_reads_its_keys_once_there_is(postgres, shop):
    parts = a_service(postgres, {})

    async with opened(parts):
        with pytest.raises(asyncpg.UndefinedTableError):
            await parts.own.keys.signer()
        parts.own.keys._database = shop.parts.database
        signer = await parts.own.keys.signer()

    assert await shop.sql("SELECT count(*) FROM auth_service.signing_keys") == [(1,)]
    assert [signer] == list(await parts.own.keys.published())


async def test_a_lock_that_any_role_can_hold_keeps_no_key_from_being_made_or_read(shop, database):
    stranger = await asyncpg.connect(database)
    await stranger.fetchval("SELECT pg_advisory_lock(hashtext('auth_service.signing_keys'))")
    shop.parts.own.keys._read_at = float("-inf")

    assert len(await kids(shop)) == await count(shop) == 1
    await stranger.close()
