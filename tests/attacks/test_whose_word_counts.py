"""What the gateway of a split shop tells each service of who asks: good there, and worth nothing anywhere else."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from chassis.assertions import GATEWAY, HEADER, NAME, key_of
from chassis.caller import Caller
from chassis.forwarded import Forwarded
from chassis.ids import new_id, typeid
from chassis.keys import KeyPair
from chassis.tokens import issue
from contracts.types import Role
from gateway.main import app
from gateway.settings import Settings
from ordermill.needs import COMES_TO
from ordermill.services import SERVICES, load
from tests.attacks.test_forged_tokens import PLACES
from tests.support.false_words import false_words
from tests.support.gateway import served
from tests.support.guarded_shop import GuardedShop, reached
from tests.support.neighbours import EDGE_KEY, saying
from tests.support.people import PASSWORD, Person

ADMIN = Caller(new_id(), Role.ADMIN, new_id(), good_until=9_999_999_999)
FALSE = list(false_words(EDGE_KEY, "auth_service", "order_service", ADMIN))


@dataclass(eq=False)
class Split:
    """The services' edges as processes of their own have them, and a gateway that reaches them by sockets."""

    edges: dict[str, Any]
    shown: dict[str, list[dict[bytes, bytes]]] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    def edge(self, name: str) -> Any:
        """A service's, which keeps what it is shown."""

        async def edge(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"  # it lives already
            self.shown.setdefault(name, []).append(dict(scope["headers"]))
            await self.edges[name](scope, receive, send)

        return edge

    def door(self, **given: Any) -> Any:
        return app({}, settings=Settings(profile="local", rate_limits="off", peers=self.urls, **given))

    def kept(self, name: str) -> dict[bytes, bytes]:
        """What the service was shown last."""
        return self.shown[name][-1]


@pytest.fixture(scope="module")
async def split(shop: GuardedShop) -> AsyncIterator[Split]:
    parts = shop.lively.parts
    made = Split({name: Forwarded(edge, parts[name].assertions) for name, edge in shop.services.items()})
    async with AsyncExitStack() as stack:
        for name in made.edges:
            made.urls[name] = await stack.enter_async_context(served(made.edge(name)))
        yield made


@pytest.fixture(scope="module")
async def door(split: Split) -> AsyncIterator[httpx2.AsyncClient]:
    keys = {name: SecretStr(key_of(EDGE_KEY, GATEWAY, name)) for name in PLACES}
    async with served(split.door(peer_keys=keys)) as url, httpx2.AsyncClient(base_url=f"{url}/api/v1") as client:
        yield client


@pytest.fixture(scope="module")
async def administrator(shop: GuardedShop) -> Person:
    return await shop.somebody(Role.ADMIN)


async def test_no_service_is_shown_a_token_or_a_key(
    shop: GuardedShop, split: Split, door: httpx2.AsyncClient, administrator: Person
):
    async with shop.with_key(administrator, "orders:read", "payments:read") as program:
        shown = [(name, administrator) for name in PLACES]
        shown += [(name, program) for name in ("order_service", "payment_service")]
        for name, person in shown:
            answer = await door.get(PLACES[name], headers=person.authorized)
            assert answer.status_code == 200, (name, answer.text)
            assert b"authorization" not in split.kept(name)
            assert b"eyJ" not in b"".join(split.kept(name).values())


async def test_what_one_service_is_told_is_believed_nowhere_else(
    split: Split, door: httpx2.AsyncClient, administrator: Person
):
    for name, path in PLACES.items():
        await door.get(path, headers=administrator.authorized)
        told = {HEADER: split.kept(name)[NAME].decode()}
        answers = {"gateway": await door.get(PLACES["order_service"], headers=told)}
        for other, edge in split.edges.items():
            async with reached(edge) as client:
                answers[other] = await client.get(PLACES[other], headers=told)

        assert {other for other, answer in answers.items() if answer.status_code not in {401, 503}} == {name}
        assert answers[name].status_code == 200


@pytest.mark.parametrize("name", FALSE)
async def test_a_word_that_is_not_the_gateways_lets_nobody_in(
    shop: GuardedShop, split: Split, door: httpx2.AsyncClient, name: str
):
    for service, path in PLACES.items():
        elsewhere = "order_service" if service == "auth_service" else "auth_service"
        shown = [(NAME, false_words(EDGE_KEY, service, elsewhere, ADMIN)[name])]
        as_sent = [(NAME, value.strip()) for _, value in shown]
        answers = [await door.get(path, headers=as_sent), await shop.client.get(path, headers=shown)]
        for edge in (split.edges[service], shop.services[service]):
            async with reached(edge) as client:
                answers.append(await client.get(path, headers=shown))

        first, *others = [(answer.status_code, answer.json()["code"]) for answer in answers]
        assert first == (401, "token_missing")  # the door takes no notice of it
        assert {*others} <= {(401, "token_missing"), (503, "unavailable")}


async def test_the_same_word_unaltered_lets_in_who_is_meant_and_only_behind_the_door(
    split: Split, door: httpx2.AsyncClient
):
    told = saying(GATEWAY, "inventory_service", ADMIN)
    async with reached(split.edges["inventory_service"]) as client:
        behind = await client.get(PLACES["inventory_service"], headers=told)

    before = await door.get(PLACES["inventory_service"], headers=told)

    assert [behind.status_code, before.status_code] == [200, 401]


async def test_a_word_that_has_expired_says_so(split: Split):
    over = Caller(ADMIN.user_id, ADMIN.role, ADMIN.session_id, good_until=int(time.time()) - 1)
    for service, path in PLACES.items():
        async with reached(split.edges[service]) as client:
            answer = await client.get(path, headers=saying(GATEWAY, service, over))

        assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")


async def test_what_the_door_cannot_judge_is_judged_by_auth_service_alone(
    shop: GuardedShop, door: httpx2.AsyncClient, administrator: Person
):
    pair: KeyPair = await shop.lively.parts["auth_service"].own.keys.signer()
    issuer = shop.lively.parts["auth_service"].settings.issuer
    old = {"Authorization": f"Bearer {issue(pair, ADMIN, issuer=issuer, now=time.time() - 900)}"}

    answers = [await door.get("/auth/me", headers=headers) for headers in (old, {"Authorization": "Bearer x"}, {})]

    assert [answer.json()["code"] for answer in answers] == ["token_expired", "token_invalid", "token_missing"]


async def test_who_is_shut_out_is_refused_behind_the_door_as_soon_as_the_list_is_read(
    shop: GuardedShop, door: httpx2.AsyncClient
):
    bob = await shop.somebody()
    before = {name: await door.get("/orders", headers=bob.authorized) for name in ("first", "known")}
    (await door.post("/auth/logout", headers=bob.authorized)).raise_for_status()

    await shop.lively.parts["order_service"].verifier.revocations.read()
    after = await door.get("/orders", headers=bob.authorized)

    assert [answer.status_code for answer in before.values()] == [200, 200]
    assert (after.status_code, after.json()["code"]) == (401, "token_invalid")


async def test_a_gateway_of_the_release_before_and_one_without_keys_go_on_with_the_token(
    split: Split, administrator: Person
):
    async with served(split.door()) as url, httpx2.AsyncClient(base_url=f"{url}/api/v1") as client:
        answers = [await client.get(path, headers=administrator.authorized) for path in PLACES.values()]
        signed_in = await client.post("/auth/login", json={"email": administrator.email, "password": PASSWORD})

    assert [answer.status_code for answer in (*answers, signed_in)] == [200] * 6
    assert NAME not in split.kept("order_service")


async def test_each_internal_route_is_for_those_who_have_business_there(shop: GuardedShop):
    may: dict[tuple[str, str], set[str]] = {}
    for service, edge in shop.services.items():
        for method, path in _internal(service):
            async with reached(edge, "http://shop.example") as client:
                for by in (GATEWAY, *SERVICES):
                    body = {"json": {"skus": ["MUG-RED"]}} if method == "POST" else {}
                    answer = await client.request(method, path, headers=saying(by, service), **body)
                    assert answer.status_code in {200, 403, 404}
                    if answer.status_code != 403:
                        may.setdefault((service, path.split("/")[2]), set()).add(by)

    assert may == {
        ("auth_service", "contacts"): {"notification_service"},
        ("auth_service", "revocations"): {*SERVICES},
        ("inventory_service", "availability"): {"order_service"},
    }
    asking = {(by, service) for (service, _), names in may.items() for by in names}
    assert asking == {(by, at) for by, edges in COMES_TO.items() for at in edges if by != GATEWAY}


def _internal(service: str) -> set[tuple[str, str]]:
    routes: list[Any] = load(service).internal.routes
    return {(*route.methods, route.path.format(user_id=typeid("usr", new_id()))) for route in routes}
