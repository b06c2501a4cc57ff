"""What an edge's document says of errors, of required headers and of streams."""

import json
from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import Depends, Header
from fastapi.security import HTTPBearer
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel

from chassis.http import IfNoneMatch
from chassis.openapi import DocumentedAPI, tell_problems
from chassis.problems import problems

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}


class Thing(BaseModel):
    name: str


@pytest.fixture
def document():
    app = DocumentedAPI()
    bearer = Depends(HTTPBearer())

    @app.get("/things/{number}", responses=problems("not_found"))
    async def get_thing(number: int, prefer: Annotated[str | None, Header()] = None) -> Thing: ...

    @app.post("/things", dependencies=[bearer], responses=problems("sku_taken", "token_missing"))
    async def create_thing(thing: Thing, idempotency_key: Annotated[str | None, Header()] = None) -> Thing: ...

    @app.patch("/things", dependencies=[bearer])
    async def update_thing(thing: Thing, if_match: Annotated[str | None, Header()] = None) -> Thing: ...

    @app.get("/stream", response_class=EventSourceResponse, responses=problems("not_found"))
    async def stream() -> AsyncIterator[str]:
        yield ""

    return app.openapi()


def codes_of(operation):
    return {status: response["description"] for status, response in operation["responses"].items()}


def test_every_error_is_a_problem_and_nothing_else_is(document):
    for item in document["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                assert (response["content"] == PROBLEM) is (status == "default" or status >= "400")


def test_frameworks_own_errors_are_not_in_the_document(document):
    assert document["components"]["schemas"].keys() == {"Fault", "ProblemDetails", "Thing"}
    assert "HTTPValidationError" not in json.dumps(document)


def test_a_read_tells_what_its_route_tells(document):
    assert codes_of(document["paths"]["/things/{number}"]["get"]) == {
        "200": "Successful Response",
        "404": "not_found",
        "422": "validation_failed",
        "default": "Any other error.",
    }


def test_an_operation_with_a_body_a_token_and_a_key_tells_what_these_may_be_refused_with(document):
    assert codes_of(document["paths"]["/things"]["post"]) == {
        "200": "Successful Response",
        "400": "idempotency_key_missing, idempotency_key_invalid, malformed_json",
        "401": "token_missing, token_invalid, token_expired",
        "403": "scope_missing",
        "409": "sku_taken, idempotency_key_in_use",
        "413": "body_too_large",
        "415": "unsupported_media_type",
        "422": "validation_failed, idempotency_key_reused, unknown_field",
        "default": "Any other error.",
    }


def test_a_change_of_a_version_tells_the_precondition(document):
    codes = codes_of(document["paths"]["/things"]["patch"])
    assert [codes["412"], codes["428"]] == ["version_mismatch", "precondition_required"]


def test_headers_that_the_edge_demands_are_required(document):
    def headers_of(operation):
        return [(each["name"], each["required"]) for each in operation["parameters"] if each["in"] == "header"]

    paths = document["paths"]
    assert headers_of(paths["/things"]["post"]) == [("Idempotency-Key", True)]
    assert headers_of(paths["/things"]["patch"]) == [("If-Match", True)]
    assert headers_of(paths["/things/{number}"]["get"]) == [("prefer", False)]


def test_a_stream_is_documented_in_words_that_openapi_3_1_knows(document):
    stream = document["paths"]["/stream"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert stream.keys() == {"schema", "x-event"}
    assert stream["schema"] == {"type": "string"}


def test_the_document_is_made_once():
    app = DocumentedAPI()
    assert app.openapi() is app.openapi()


def test_telling_twice_changes_nothing(document):
    before = json.dumps(document)
    tell_problems(document)
    assert json.dumps(document) == before


def test_a_summary_is_the_first_sentence_of_a_route_and_not_its_name():
    app = DocumentedAPI()

    @app.get("/orders")
    async def list_all() -> None:
        """List orders: the newest first. So it goes.

        Until there are none.
        """

    operation = app.openapi()["paths"]["/orders"]["get"]
    assert operation["summary"] == "List orders"
    assert operation["description"] == "List orders: the newest first. So it goes.\n\nUntil there are none."


@pytest.mark.parametrize(
    ("path", "added"),
    [("/orders", "An API key needs the scope `orders:read`."), ("/things", "No API key may do this.")],
)
def test_what_an_api_key_needs_is_told_where_a_token_is_needed(path, added):
    app = DocumentedAPI()

    @app.get(path, dependencies=[Depends(HTTPBearer())])
    async def list_all() -> None:
        """List all."""

    assert app.openapi()["paths"][path]["get"]["description"] == f"List all.\n\n{added}"


def test_what_may_be_had_already_is_told_with_its_304():
    app = DocumentedAPI()

    @app.get("/things")
    async def get_thing(_known: IfNoneMatch = None) -> None: ...

    assert codes_of(app.openapi()["paths"]["/things"]["get"])["304"] == "It is as you have it."
