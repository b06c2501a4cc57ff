"""Errors as problem details: every code, every layer, and never what the client sent."""

import json

import pytest

from chassis.problems import CODES, RETRYABLE, Fault, Problem, of_refusal, of_status, of_validation, problems


class AlreadyShipped(Exception):
    """The order has left the warehouse."""


class TooFew(Exception):
    errors = (("#/lines/0/quantity", "insufficient_stock", "1 available"),)


def answered(problem):
    response = problem.answer("/api/v1/orders", "req_1")
    return json.loads(response.body), response.headers


def test_a_problem_says_what_where_and_whether_to_try_again():
    fault = Fault(pointer="#/lines/0/quantity", code="insufficient_stock", detail="1 available")

    body, headers = answered(Problem("insufficient_stock", "MUG: 2 asked, 1 available.", [fault]))

    assert headers["content-type"] == "application/problem+json"
    assert body == {
        "type": "/docs/errors/insufficient_stock",
        "title": "Not enough stock",
        "status": 409,
        "code": "insufficient_stock",
        "detail": "MUG: 2 asked, 1 available.",
        "instance": "/api/v1/orders",
        "request_id": "req_1",
        "retryable": False,
        "errors": [{"pointer": "#/lines/0/quantity", "code": "insufficient_stock", "detail": "1 available"}],
    }


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_can_be_answered_with_its_status(code):
    body, _ = answered(Problem(code))

    assert (body["code"], body["status"], body["retryable"]) == (code, CODES[code][0], code in RETRYABLE)
    assert "detail" not in body
    assert body["errors"] == []


@pytest.mark.parametrize(
    ("code", "header", "value"),
    [
        ("unavailable", "retry-after", "1"),
        ("idempotency_key_in_use", "retry-after", "1"),
        ("token_missing", "www-authenticate", "Bearer"),
        ("token_expired", "www-authenticate", 'Bearer error="invalid_token", error_description="expired"'),
        ("credentials_wrong", "www-authenticate", "Bearer"),
    ],
)
def test_a_code_brings_its_headers(code, header, value):
    assert answered(Problem(code))[1][header] == value


def test_a_problems_own_headers_come_first():
    assert answered(Problem("unavailable", headers={"Retry-After": "7"}))[1]["retry-after"] == "7"


def test_a_refusal_without_words_speaks_by_its_docstring():
    assert of_refusal(AlreadyShipped(), "order_not_cancellable").detail == "The order has left the warehouse."
    assert of_refusal(AlreadyShipped("Parcel 7 left."), "order_not_cancellable").detail == "Parcel 7 left."


def test_a_refusal_names_the_places_that_are_wrong():
    problem = of_refusal(TooFew(), "insufficient_stock")

    assert problem.detail == ""
    assert problem.errors == [Fault(pointer="#/lines/0/quantity", code="insufficient_stock", detail="1 available")]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "malformed_json"),
        (404, "route_not_found"),
        (405, "method_not_allowed"),
        (406, "not_acceptable"),
        (413, "body_too_large"),
        (415, "unsupported_media_type"),
        (500, "internal_error"),
        (503, "internal_error"),
    ],
)
def test_a_status_of_the_framework_has_a_code(status, code):
    problem = of_status(status)

    assert (problem.code, problem.headers) == (code, {})
    assert problem.detail


def test_of_a_method_that_is_not_there_those_that_are_are_told():
    problem = of_status(405, {"Allow": "GET, POST"})

    assert (problem.detail, problem.headers) == ("This path takes GET, POST.", {"Allow": "GET, POST"})


def an_error(kind="missing", loc=("body", "lines"), msg="Field required", **more):
    return {"type": kind, "loc": loc, "msg": msg, "input": "4111111111111111", **more}


def test_what_the_schema_refuses_is_told_by_json_pointer_and_never_echoed():
    body, _ = answered(of_validation([an_error(loc=("body", "a/b", "~c", 0)), an_error(loc=("query", "limit"))]))

    assert body["code"] == "validation_failed"
    assert body["detail"] == "a~1b/~0c/0: is required"
    assert [fault["pointer"] for fault in body["errors"]] == ["#/a~1b/~0c/0", "query:limit"]
    assert [fault["code"] for fault in body["errors"]] == ["invalid", "invalid"]
    assert "4111111111111111" not in json.dumps(body)


def test_a_validator_of_ours_is_told_without_what_pydantic_puts_before_it():
    problem = of_validation([an_error("value_error", ("query", "delta"), "Value error, must not be 0")])

    assert (problem.detail, problem.errors[0].detail) == ("delta: must not be 0", "must not be 0")


def test_the_whole_body_has_the_pointer_of_the_whole():
    problem = of_validation([an_error(loc=("body",))])

    assert (problem.errors[0].pointer, problem.detail) == ("#", "the body: is required")


def test_unknown_fields_have_a_code_of_their_own_unless_more_is_wrong():
    unknown = an_error("extra_forbidden", ("body", "prise"))

    assert of_validation([unknown]).code == "unknown_field"
    assert of_validation([unknown, an_error()]).code == "validation_failed"
    assert of_validation([unknown, an_error()]).errors[0].code == "unknown_field"


def test_what_is_no_json_is_malformed():
    assert of_validation([an_error("json_invalid", ("body", 3))]).code == "malformed_json"


def test_a_route_documents_its_codes_by_status():
    documented = problems("not_found", "price_changed", "sku_taken")

    assert {status: told["description"] for status, told in documented.items()} == {
        404: "not_found",
        409: "price_changed, sku_taken",
    }
