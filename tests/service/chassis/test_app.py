"""A service's parts as they are put together."""

import asyncio

import httpx2
import pytest
from starlette.responses import JSONResponse

from chassis.api import api
from chassis.app import opened, parts_of
from chassis.ids import new_id, typeid
from chassis.tokens import KeysUnavailable, Role
from tests.support import ledger_edge
from tests.support.ledger_edge import PAIR, Settings, bearer, service
from tests.support.neighbours import EDGE_KEY

ENDED = new_id()
TOLD = {"/.well-known/jwks.json": {"keys": [dict(PAIR.public_jwk)]}, "/internal/revocations": {"ended": [str(ENDED)]}}


async def keys(scope, receive, send):
    await JSONResponse(TOLD[scope["path"]])(scope, receive, send)


async def no_keys(scope, receive, send):
    await JSONResponse({}, 503)(scope, receive, send)


def the_parts(url, auth):
    peer = httpx2.AsyncClient(transport=httpx2.ASGITransport(auth), base_url="http://auth")
    settings = Settings(database_url=url, broker_url="amqp://nowhere", edge_key=EDGE_KEY)
    return parts_of(service, settings, {"auth_service": peer})


async def test_tokens_are_checked_against_the_keys_of_auth_service(service_url):
    parts = the_parts(service_url, keys)

    caller = await parts.verifier.verify(bearer(parts, Role.STAFF)["Authorization"].removeprefix("Bearer "))

    assert caller.role is Role.STAFF


async def test_what_has_ended_is_asked_from_auth_service(service_url):
    parts = the_parts(service_url, keys)

    assert await parts.verifier.revocations.has(ENDED)
    assert not await parts.verifier.revocations.has(new_id())


async def test_without_the_keys_nobody_is_let_in(service_url):
    parts = the_parts(service_url, no_keys)

    with pytest.raises(KeysUnavailable):
        await parts.verifier.verify(bearer(parts)["Authorization"].removeprefix("Bearer "))


async def test_parts_are_opened_and_closed(service_url):
    parts = ledger_edge.the_parts(service_url)

    async with opened(parts) as same:
        assert same is parts
        async with parts.database.transaction() as tx:
            assert [tuple(row) for row in await tx.sql("SELECT 1")] == [(1,)]

    assert parts.database._pool._pool is None


async def test_a_neighbour_that_asks_before_a_service_is_open_waits_for_it(service_url):
    parts = ledger_edge.the_parts(service_url)
    headers = bearer(parts)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(api(parts)), base_url="http://ledger") as neighbour:
        asked = asyncio.ensure_future(neighbour.get(f"/api/v1/accounts/{typeid('usr', new_id())}", headers=headers))
        early, _ = await asyncio.wait({asked}, timeout=0.1)
        async with opened(parts):
            answer = await asked

    assert early == set()
    assert answer.status_code == 404
