"""The merged OpenAPI document: one name for one meaning, one operation for one id, and the truth about errors."""

import asyncio
import json

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from chassis.api import api
from chassis.app import parts_of
from chassis.problems import Problem
from gateway.documents import FRESH_FOR, Clash, Documents, merge
from gateway.routing import TABLE, Routes
from ordermill.services import SERVICES, load
from tests.support.gateway import a_client, a_service

ROUTES = Routes(TABLE)
NOUNS = {"order_service": "orders", "payment_service": "payments"}


def a_document(service, operation_id="list", **schemas):
    path = f"/api/v1/{NOUNS[service]}"
    operation = {"operationId": operation_id, "responses": {}}
    return {"paths": {path: {"get": operation}}, "components": {"schemas": schemas}}


def an_order_document(**schemas):
    return a_document("order_service", "listOrders", **schemas)


def a_payment_document(**schemas):
    return a_document("payment_service", "listPayments", **schemas)


def merged(order, payment):
    return merge({"order_service": order, "payment_service": payment}, ROUTES)


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def the_shop():
    """Every service's real document."""
    documents = {}
    for name in SERVICES:
        service = load(name)
        fields = service.settings.model_fields.items()
        given = {
            field: SecretStr("x") if info.annotation is SecretStr else "x"
            for field, info in fields
            if info.is_required()
        }
        urls = {"database_url": "postgresql://x@127.0.0.1:1/x", "broker_url": "amqp://x@127.0.0.1:1/"}
        settings = service.settings(**{**given, **urls, "profile": "local"})
        documents[name] = api(parts_of(service, settings, {})).openapi()
    return documents


@pytest.fixture(scope="module")
def shop():
    return the_shop()


def test_the_gateway_documents_and_routes_every_operation_of_every_service(shop):
    document = merge(shop, ROUTES)

    paths = {path for told in shop.values() for path in told["paths"]}
    assert document["paths"].keys() == paths
    assert {path: ROUTES.find(path) for path in paths} == {path: name for name in shop for path in shop[name]["paths"]}


def test_every_reference_of_the_merged_document_leads_somewhere(shop):
    document = merge(shop, ROUTES)

    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    wanted = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert wanted <= schemas.keys()
    assert "/internal" not in text


def test_the_document_says_what_it_is_and_how_to_sign_in(shop):
    document = merge(shop, ROUTES)

    assert [document["openapi"], document["info"]["title"]] == ["3.1.0", "Ordermill"]
    assert document["servers"] == [{"url": "/"}]
    assert document["components"]["securitySchemes"].keys() == {"bearer", "password"}
    assert document["paths"]["/api/v1/orders"]["post"]["security"] == [{"bearer": []}, {"password": []}]
    assert "security" not in document["paths"]["/api/v1/auth/login"]["post"]


def test_the_same_meaning_keeps_one_name():
    money = {"type": "object"}

    document = merged(an_order_document(Money=money), a_payment_document(Money=money))

    assert document["components"]["schemas"] == {"Money": money}


def test_different_meanings_of_a_name_are_told_apart_with_everything_that_mentions_them():
    page = {"items": ref("Status")}
    order = an_order_document(Status={"enum": ["paid"]}, Page=page, Own={"anyOf": [ref("Page")]})
    payment = a_payment_document(Status={"enum": ["captured"]}, Page=page)

    document = merged(order, payment)

    assert document["components"]["schemas"] == {
        "Own": {"anyOf": [ref("order_Page")]},
        "order_Page": {"items": ref("order_Status")},
        "order_Status": {"enum": ["paid"]},
        "payment_Page": {"items": ref("payment_Status")},
        "payment_Status": {"enum": ["captured"]},
    }


def test_names_do_not_depend_on_the_order_of_the_services():
    order, payment = an_order_document(Status={"enum": ["a"]}), a_payment_document(Status={"enum": ["b"]})

    one = merge({"order_service": order, "payment_service": payment}, ROUTES)
    other = merge({"payment_service": payment, "order_service": order}, ROUTES)

    assert one["components"] == other["components"]


def test_two_operations_of_one_id_are_refused_loudly():
    with pytest.raises(Clash, match=r"list is the operation id of GET /api/v1/orders of order_service and of GET"):
        merged(a_document("order_service"), a_document("payment_service"))


def test_an_operation_without_a_tag_gets_its_services_noun():
    document = merged(an_order_document(), a_payment_document())

    assert document["paths"]["/api/v1/orders"]["get"]["tags"] == ["order"]
    assert [tag["name"] for tag in document["tags"]] == ["order", "payment"]


def test_what_the_gateway_does_not_route_is_not_documented():
    document = an_order_document()
    document["paths"]["/api/v1/payments"] = {"get": {"operationId": "foreign"}}
    document["paths"]["/internal/contacts"] = {"get": {"operationId": "hidden"}}

    told = merge({"order_service": document}, ROUTES)

    assert told["paths"].keys() == {"/api/v1/orders"}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Fickle:
    """A service that can be taken down, or changed."""

    def __init__(self):
        self.app = a_service()
        self.asked = 0

    async def __call__(self, scope, receive, send):
        self.asked += 1
        await self.app(scope, receive, send)


def documents_of(clock, **services):
    return Documents({name: a_client(app) for name, app in services.items()}, ROUTES, clock)


async def test_a_service_that_never_told_its_document_is_named():
    documents = documents_of(Clock(), order_service=a_service(), payment_service=FastAPI(openapi_url=None))

    with pytest.raises(Problem) as refused:
        await documents.merged()

    assert refused.value.code == "unavailable"
    assert refused.value.detail == "No document yet: payment_service answers 404."


async def test_an_answer_that_is_no_json_is_named_too():
    async def nonsense(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{"})

    with pytest.raises(Problem, match="order_service answers wrongly"):
        await documents_of(Clock(), order_service=nonsense).merged()


async def test_a_silent_service_is_named_too(monkeypatch):
    async def silent(_scope, _receive, _send):
        raise TimeoutError

    with pytest.raises(Problem, match="order_service does not answer in time"):
        await documents_of(Clock(), order_service=silent).merged()


async def test_the_document_is_asked_for_again_after_a_minute_and_kept_when_nobody_answers():
    clock, service = Clock(), Fickle()
    documents = documents_of(clock, order_service=service)

    first = await documents.merged()
    clock.now = FRESH_FOR
    assert await documents.merged() == first
    assert service.asked == 1

    clock.now = FRESH_FOR + 1
    service.app = FastAPI(openapi_url=None)
    assert await documents.merged() == first
    assert service.asked == 2


async def test_all_who_come_while_the_document_is_made_get_the_same():
    clock, service = Clock(), Fickle()
    documents = documents_of(clock, order_service=service)

    made = await asyncio.gather(*(documents.merged() for _ in range(20)))

    assert (len(set(made)), service.asked) == (1, 1)


async def test_the_gateway_serves_the_document_as_json():
    documents = documents_of(Clock(), order_service=a_service())

    assert json.loads(await documents.merged())["paths"].keys() == {"/api/v1/orders"}
