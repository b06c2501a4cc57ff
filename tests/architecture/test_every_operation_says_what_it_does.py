"""No operation of the API without a sentence for whoever calls it: in the document that /docs shows."""

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from chassis.api import PREFIX
from chassis.http import Admin, IdempotencyKey, IfMatch, Staff
from chassis.openapi import DocumentedAPI, operations
from chassis.paging import Paging, TimelessPaging
from ordermill.services import SERVICES, load

LONGEST_SUMMARY, LONGEST_DESCRIPTION = 90, 500


class Operation(NamedTuple):
    """A route's function, and what the document says of it."""

    endpoint: Any
    told: dict[str, Any]

    @property
    def asked(self) -> list[Any]:
        return list(inspect.get_annotations(self.endpoint).values())


def a_service(name: str) -> FastAPI:
    app = DocumentedAPI()
    service = load(name)
    app.include_router(service.router, prefix=PREFIX)
    app.include_router(service.unversioned)
    return app


def documented() -> dict[str, Operation]:
    found = {}
    for app in map(a_service, SERVICES):
        told = {operation["operationId"]: operation for _, _, operation in operations(app.openapi())}
        for route in _routes(app):
            name = str(route.operation_id)
            found[name] = Operation(route.endpoint, told[name])
    return found


def _routes(router: Any) -> Iterator[APIRoute]:
    """Those of a router, and of those that it includes."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from _routes(included)


OPERATIONS = documented()
EACH = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def test_all_of_them_are_looked_at():
    assert len(OPERATIONS) > 60
    assert {"createOrder", "getJwks", "receiveProviderWebhook"} <= OPERATIONS.keys()


@EACH
def test_an_operation_has_a_description_and_a_short_summary_of_its_own(operation: Operation):
    said, summary = operation.told.get("description", ""), operation.told["summary"]

    assert inspect.getdoc(operation.endpoint)
    assert said.startswith(summary)
    assert len(summary) <= LONGEST_SUMMARY
    assert len(said) <= LONGEST_DESCRIPTION
    assert "`" not in summary, "the page shows it as it is"


@EACH
def test_an_operation_says_who_may_ask(operation: Operation):
    said = operation.told["description"].lower()

    assert ("for staff" in said) == (Staff in operation.asked)
    assert ("for administrators" in said) == (Admin in operation.asked)


@EACH
def test_headers_and_pages_are_explained_where_they_are_asked_for(operation: Operation):
    parameters = {each["name"]: each.get("description") for each in operation.told.get("parameters", ())}
    explained = {name for name, said in parameters.items() if said}

    assert ("Idempotency-Key" in explained) == (IdempotencyKey in operation.asked)
    assert ("If-Match" in explained) == (IfMatch in operation.asked)
    assert ({"limit", "cursor"} <= explained) == bool({Paging, TimelessPaging} & {*map(_hashable, operation.asked)})


def _hashable(kind: Any) -> Any:
    return kind if kind in (Paging, TimelessPaging) else None


def test_no_two_summaries_are_the_same():
    summaries = [operation.told["summary"] for operation in OPERATIONS.values()]

    assert sorted(summaries) == sorted(set(summaries))


def test_an_operation_without_a_sentence_is_found():
    app = DocumentedAPI()

    @app.get("/things")
    async def list_things() -> None: ...

    [(_, _, told)] = operations(app.openapi())
    assert "description" not in told


def test_placing_an_order_says_what_201_means_and_how_long_one_may_wait():
    said = OPERATIONS["createOrder"].told["description"]

    assert {"rejected", "Prefer: wait", "30"} <= {part for part in ("rejected", "Prefer: wait", "30") if part in said}
    assert "/orders/{order_id}/payments" in OPERATIONS["createPayment"].told["description"]
    assert "POST /payments" in OPERATIONS["payOrder"].told["description"]
