"""Every route with every identity, with requests that would succeed if they were allowed, through the real door."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
import pytest

from chassis.openapi import operations
from ordermill.services import SERVICES, load
from tests.attacks import asking_of_accounts, asking_of_orders
from tests.attacks.ask import Ask
from tests.attacks.policy import EVERYBODY, POLICY
from tests.attacks.stage import Stage, a_stage
from tests.support.guarded_shop import GuardedShop

ASKING = {**asking_of_accounts.ASKING, **asking_of_orders.ASKING}


class Route(NamedTuple):
    method: str
    path: str
    needs_token: bool


@pytest.fixture(scope="module")
async def routes(shop: GuardedShop) -> dict[str, Route]:
    """The operations of the merged document, by id."""
    return {
        operation["operationId"]: Route(method.upper(), path, bool(operation.get("security")))
        for path, method, operation in operations(await shop.document())
    }


@pytest.fixture(scope="module")
async def stage(shop: GuardedShop) -> Stage:
    return await a_stage(shop)


def test_every_route_has_a_policy_and_every_policy_a_route(routes: dict[str, Route]):
    assert routes.keys() == POLICY.keys()
    assert routes.keys() == ASKING.keys()


def test_the_document_says_of_each_route_whether_it_needs_a_token(routes: dict[str, Route]):
    assert {name: not route.needs_token for name, route in routes.items()} == {
        name: policy.is_public for name, policy in POLICY.items()
    }


def test_no_route_of_a_service_is_hidden_from_the_document(routes: dict[str, Route]):
    shown = {(route.method, route.path) for route in routes.values()}
    served = {
        (method, prefix + path)
        for name in SERVICES
        for prefix, router in (("/api/v1", load(name).router), ("", load(name).unversioned))
        for method, path in _served(router)
    }

    assert served == shown


def _served(router: Any) -> Iterator[tuple[str, str]]:
    for route in router.routes:
        if inner := getattr(route, "original_router", None):
            yield from _served(inner)
        else:
            yield from ((method, route.path) for method in route.methods - {"HEAD"})


@pytest.mark.parametrize("operation", POLICY)
async def test_everybody_may_do_what_the_policy_says_and_nothing_else(
    stage: Stage, routes: dict[str, Route], operation: str
):
    policy = POLICY[operation]
    answers = {name: await _answer(stage, routes[operation], operation, name) for name in EVERYBODY}

    wrong = {
        name: (answer.status_code, answer.text[:300])
        for name, answer in answers.items()
        if answer.status_code != policy.statuses[name]
    }
    assert wrong == {}
    for name in ("anonymous", "another customer"):
        if answers[name].is_success:
            assert stage.owner_id not in answers[name].text
            assert stage.people["owner"].email not in answers[name].text


async def _answer(stage: Stage, route: Route, operation: str, identity: str) -> httpx2.Response:
    ask: Ask = await ASKING[operation](stage, identity)
    async with stage.identity(identity, POLICY[operation].scope) as person:
        return await stage.shop.client.request(
            route.method,
            f"http://shop.example{route.path.format(**ask.path)}",
            json=ask.json,
            data=ask.form,
            headers={**ask.headers, **(ask.person or person).authorized},
        )
