"""POST /orders without FastAPI's machinery: taken where nothing is unusual, and answered as FastAPI's route answers."""

import json
import time

import pytest

from chassis.hot import HotRoute
from chassis.ids import new_id, typeid
from chassis.tokens import Caller, Role, issue
from tests.service.order_service.conftest import BODY, PAIR

PATH = "/api/v1/orders"
MADE = {"id", "number", "trace_id", "created_at", "updated_at"}


@pytest.fixture
def taken(monkeypatch):
    """The requests that FastAPI did not see."""
    seen, answer = [], HotRoute._answer

    async def counted(self, scope, given):
        seen.append(scope["path"])
        return await answer(self, scope, given)

    monkeypatch.setattr(HotRoute, "_answer", counted)
    return seen


@pytest.fixture
def ask(orders):
    """A request with the headers of a customer whose token was seen before, but for those that are given."""
    known = {name.lower(): value for name, value in orders.headers().items()}

    async def ask(content=None, **headers):
        given = {"content-type": "application/json", **known, "idempotency-key": str(new_id())}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = [(name, value) for name, value in given.items() if value is not None]
        return await orders.http.post(PATH, content=json.dumps(BODY) if content is None else content, headers=sent)

    return ask


def without_what_is_made(answer):
    return {name: value for name, value in answer.json().items() if name not in MADE}


async def test_an_order_is_the_same_on_both_ways(ask, taken):
    by_fastapi = await ask()
    assert taken == []

    hot = await ask()

    assert taken == [PATH]
    assert (hot.status_code, by_fastapi.status_code) == (201, 201)
    assert without_what_is_made(hot) == without_what_is_made(by_fastapi)
    assert hot.headers.keys() == by_fastapi.headers.keys()


async def test_a_key_is_one_key_on_both_ways(ask, taken):
    key = str(new_id())
    first = await ask(idempotency_key=key)

    again = await ask(idempotency_key=key)
    other = await ask(json.dumps({**BODY, "note": "other"}), idempotency_key=key)

    assert len(taken) == 2
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_parameter_of_the_query_goes_fastapis_way_and_is_refused(ask, orders, taken, monkeypatch):
    await ask()
    monkeypatch.setattr(f"{__name__}.PATH", f"{PATH}?wait=5")

    refused = await ask()

    assert taken == []
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_field")


async def test_the_domains_refusal_is_a_problem_as_ever(ask, taken):
    await ask()

    refused = await ask(json.dumps({**BODY, "lines": [{"sku": "NOPE", "quantity": 1}]}))

    assert len(taken) == 1
    assert (refused.status_code, refused.json()["code"]) == (422, "sku_unknown")


async def test_a_failure_of_ours_is_told_to_nobody(ask, orders, monkeypatch):
    await ask()

    async def fail(*_args, **_named):
        raise RuntimeError("internals")

    monkeypatch.setattr(orders.parts.pipeline, "submit", fail)
    failed = await ask()

    assert (failed.status_code, failed.json()["code"]) == (500, "internal_error")
    assert "internals" not in failed.text


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        ("{", {}, "malformed_json"),
        ("[]", {}, "validation_failed"),
        (json.dumps({**BODY, "colour": "red"}), {}, "unknown_field"),
        (json.dumps({**BODY, "note": "\0"}), {}, "validation_failed"),
        (json.dumps({**BODY, "note": "\ud800"}), {}, "validation_failed"),
        (json.dumps({**BODY, "lines": []}), {}, "validation_failed"),
        (None, {"idempotency_key": None}, "idempotency_key_missing"),
        (None, {"idempotency_key": "a b"}, "idempotency_key_invalid"),
        (None, {"authorization": None}, "token_missing"),
        (None, {"authorization": "Bearer x.y.z"}, "token_invalid"),
        (None, {"content_type": "text/plain"}, "unsupported_media_type"),
    ],
)
async def test_what_is_wrong_is_refused_by_fastapi(ask, taken, content, headers, code):
    await ask()

    refused = await ask(content, **headers)

    assert taken == []
    assert refused.json()["code"] == code


@pytest.mark.parametrize("headers", [{"content_type": "application/json; charset=utf-8"}, {"prefer": "wait=0"}])
async def test_what_is_said_otherwise_is_served_all_the_same(ask, headers):
    await ask()

    assert (await ask(**headers)).status_code == 201


async def test_a_header_that_comes_twice_is_left_to_fastapi(ask, orders, taken):
    headers = [*orders.headers().items(), ("content-type", "application/json"), ("prefer", "a"), ("prefer", "b")]
    await orders.http.post(PATH, content=json.dumps(BODY), headers=headers)

    answer = await orders.http.post(PATH, content=json.dumps(BODY), headers=headers)

    assert (answer.status_code, taken) == (201, [])


async def test_who_leaves_before_the_request_is_whole_orders_nothing(orders, taken):
    """Though what came of it is valid JSON: more was announced."""
    headers = {**orders.headers(), "content-type": "application/json"}
    first = await orders.http.post(PATH, json=BODY, headers=headers)
    came = iter([{"type": "http.request", "body": json.dumps(BODY).encode(), "more_body": True}])

    async def receive():
        return next(came, {"type": "http.disconnect"})

    async def send(_message):
        pass

    raw = [(name.lower().encode(), value.encode()) for name, value in {**headers, "Idempotency-Key": "k"}.items()]
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": raw, "scheme": "http"}
    await orders.http._transport.app(scope, receive, send)

    assert (first.status_code, taken) == (201, [])
    assert len(await orders.rows("SELECT 1 FROM order_service.orders")) == 1


# --- API keys


def a_keys_token(orders, *scopes):
    caller = Caller(orders.customer, Role.CUSTOMER, new_id(), frozenset(scopes))
    return f"Bearer {issue(PAIR, caller, issuer=orders.parts.settings.issuer, now=time.time())}"


async def test_a_key_with_the_scope_places_orders_on_both_ways(ask, taken, orders):
    token = a_keys_token(orders, "orders:write")

    answers = [await ask(authorization=token) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert taken == [PATH]


async def test_a_key_without_the_scope_is_refused_however_often_it_asks(ask, taken, orders):
    token = a_keys_token(orders, "orders:read", "payments:write")

    answers = [await ask(authorization=token) for _ in range(2)]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "scope_missing")] * 2
    assert answers[0].json()["detail"] == "The API key needs the scope orders:write."
    assert taken == []
    seen = await orders.http.get(PATH, headers={"Authorization": token})
    assert (seen.status_code, seen.json()["data"]) == (200, [])


async def test_the_key_of_a_customer_does_not_do_what_only_staff_may(orders):
    token = a_keys_token(orders, "payments:write", "orders:write")
    order_id = typeid("ord", new_id())

    answer = await orders.http.post(
        f"{PATH}/{order_id}/refunds",
        json={"reason": "goodwill"},
        headers={"Authorization": token, "Idempotency-Key": "1"},
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
