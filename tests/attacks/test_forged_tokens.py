"""Tokens that are not to be believed, shown at the door and at every service's own edge, which believes no door."""

import json
import time
from base64 import urlsafe_b64decode
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from chassis.keys import KeyPair
from contracts.types import Role
from gateway.main import app
from gateway.settings import Settings
from tests.support.forgeries import OTHER, forgeries, signed
from tests.support.guarded_shop import GuardedShop, reached
from tests.support.lively_shop import SECRET
from tests.support.neighbours import EDGE_KEY
from tests.support.people import PASSWORD, Person

PLACES = {
    "auth_service": "/auth/me",
    "order_service": "/orders",
    "inventory_service": "/stock",
    "payment_service": "/payments",
    "notification_service": "/notifications",
}
NAMES = [name for name, _ in forgeries(OTHER, {"iss": "", "iat": 0})]  # the same ones, whatever key and claims


class Edges:
    """Every place where a token is shown: the services' edges, the door, and the door before a service that trusts."""

    def __init__(self, shop: GuardedShop) -> None:
        self._apps = {**shop.services, "gateway": shop.door}
        self._apps["gateway before who trusts it"] = app(
            {**shop.services, "order_service": _trusting}, settings=Settings(profile="local", rate_limits="off")
        )

    async def answers(self, *authorizations: bytes) -> dict[str, httpx2.Response]:
        """What each says to a request with these headers Authorization."""
        told = {}
        for name, edge in self._apps.items():
            async with reached(edge) as client:
                headers = [(b"authorization", value) for value in authorizations]
                told[name] = await client.get(PLACES.get(name, "/orders"), headers=headers)
        return told


async def _trusting(scope: Any, receive: Any, send: Any) -> None:
    """A service that would let everybody in."""
    assert Request(scope).url.path == "/api/v1/orders"
    await JSONResponse({})(scope, receive, send)


@pytest.fixture(scope="module")
async def edges(shop: GuardedShop) -> Edges:
    return Edges(shop)


@pytest.fixture(scope="module")
async def administrator(shop: GuardedShop) -> Person:
    """Who may enter everywhere, so that nothing but the token is refused."""
    return await shop.somebody(Role.ADMIN)


@pytest.fixture(scope="module")
async def pair(shop: GuardedShop) -> KeyPair:
    """The key that the shop signs with."""
    return await shop.lively.parts["auth_service"].own.keys.signer()


@pytest.fixture(scope="module")
async def claims(administrator: Person) -> dict[str, Any]:
    _, body, _ = _token(administrator).split(".")
    return dict(json.loads(urlsafe_b64decode(body + "==")))


@pytest.fixture(scope="module")
async def forged(pair: KeyPair, claims: dict[str, Any]) -> dict[str, str]:
    return dict(forgeries(pair, claims))


def _token(person: Person) -> str:
    return person.authorized["Authorization"].removeprefix("Bearer ")


def _bearer(token: str) -> bytes:
    return b"Bearer " + token.encode("latin-1", "replace")


async def _refused(edges: Edges, *authorizations: bytes) -> dict[str, tuple[int, str]]:
    """Who has not said 401, and what instead."""
    answers = await edges.answers(*authorizations)
    return {
        name: (answer.status_code, answer.text)
        for name, answer in answers.items()
        if answer.status_code != 401 or answer.json()["code"] not in {"token_invalid", "token_missing", "token_expired"}
    }


async def test_the_good_token_is_let_in_everywhere(edges: Edges, administrator: Person):
    for scheme in (b"Bearer ", b"bearer ", b"BEARER ", b"Bearer   "):
        answers = await edges.answers(scheme + _token(administrator).encode())
        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 200)


@pytest.mark.parametrize("name", NAMES)
async def test_a_forged_token_is_let_in_nowhere(edges: Edges, forged: dict[str, str], name: str):
    assert await _refused(edges, _bearer(forged[name])) == {}


async def test_what_was_refused_was_refused_for_what_was_forged(edges: Edges, pair: KeyPair, claims: dict[str, Any]):
    answers = await edges.answers(_bearer(signed({**claims, "jti": "another"}, pair)))

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(answers, 200)


async def test_a_token_that_was_good_is_let_in_nowhere(edges: Edges, pair: KeyPair, claims: dict[str, Any]):
    expired = signed({**claims, "iat": int(time.time()) - 601, "exp": int(time.time()) - 1}, pair)

    assert await _refused(edges, _bearer(expired)) == {}


async def test_no_other_secret_of_the_shop_is_an_access_token(shop: GuardedShop, edges: Edges, administrator: Person):
    body = {"email": administrator.email, "password": PASSWORD}
    tokens = (await shop.client.post("/auth/login", json=body)).raise_for_status().json()
    for secret in (tokens["refresh_token"], PASSWORD, EDGE_KEY, SECRET, "sk_" + "A" * 43, "sk_", "null", "undefined"):
        assert await _refused(edges, _bearer(secret)) == {}


async def test_a_service_knows_no_api_keys(shop: GuardedShop, edges: Edges, administrator: Person):
    async with shop.with_key(administrator, "orders:read") as program:
        answers = await edges.answers(program.authorized["Authorization"].encode())

    doors = {name for name, answer in answers.items() if answer.status_code == 200}
    assert doors == {"gateway", "gateway before who trusts it"}
    assert {answer.status_code for answer in answers.values()} == {200, 401}


@pytest.mark.parametrize(
    "scheme", [b"", b"Basic ", b"Token ", b"Bearer:", b"Bearer,", b"Bearer\t", b"JWT ", b"Digest "]
)
async def test_a_good_token_that_is_shown_in_another_way_is_none(edges: Edges, administrator: Person, scheme: bytes):
    answers = await edges.answers(scheme + _token(administrator).encode())

    del answers["gateway before who trusts it"]  # whoever shows nothing passes there: some routes need no token
    assert {answer.status_code for answer in answers.values()} == {401}


async def test_of_two_tokens_the_first_one_counts(edges: Edges, administrator: Person, forged: dict[str, str]):
    good, bad = _bearer(_token(administrator)), _bearer(forged["another body"])

    assert await _refused(edges, bad, good) == {}
    assert {answer.status_code for answer in (await edges.answers(good, bad)).values()} == {200}
    assert await _refused(edges, bad + b", " + good) == {}
