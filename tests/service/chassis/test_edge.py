"""A service's HTTP edge, from every layer: what it answers, and that errors are problem details."""

import json
from uuid import UUID, uuid4

import httpx2
import pytest

from chassis.api import api
from chassis.idempotency import Claim
from chassis.ids import typeid
from chassis.tokens import Role
from tests.support import ledger_edge
from tests.support.ledger_edge import bearer
from tests.support.neighbours import saying

USER = uuid4()
ACCOUNT = UUID("019a0000-0000-7000-8000-000000000001")
PATH = f"/api/v1/accounts/{typeid('usr', ACCOUNT)}"


@pytest.fixture
async def parts(ledger_url, service_url):
    return ledger_edge.the_parts(service_url)


@pytest.fixture
async def http(parts):
    app = api(parts)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://ledger") as client,
    ):
        yield client


@pytest.fixture
def customer(parts):
    return bearer(parts, user=USER)


@pytest.fixture
def credit(http, customer):
    async def credit(amount=5, key="k", **more):
        headers = {**customer, "Idempotency-Key": key}
        return await http.post(f"{PATH}/credits", json={"amount": amount}, headers=headers, **more)

    return credit


def is_problem(response, status, code):
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["instance"] == response.request.url.path
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def test_a_command_is_committed_before_it_is_answered(credit, rows):
    response = await credit(5)

    assert response.status_code == 201
    assert response.json() == {"id": typeid("usr", ACCOUNT), "balance": 5}
    assert response.headers["etag"] == '"1"'
    assert await rows("SELECT balance FROM $S.accounts") == [(5,)]


async def test_a_repeated_request_is_answered_again_and_has_no_second_effect(credit, rows):
    first, again = await credit(5), await credit(5)

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["etag"] == '"1"'
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert await rows("SELECT balance FROM $S.accounts") == [(5,)]


async def test_a_key_that_was_used_for_another_request_is_refused(credit):
    await credit(5)

    is_problem(await credit(6), 422, "idempotency_key_reused")


async def test_a_key_belongs_to_its_user(credit, http, parts, rows):
    await credit(5)
    headers = {**bearer(parts), "Idempotency-Key": "k"}

    other = await http.post(f"{PATH}/credits", json={"amount": 6}, headers=headers)

    assert other.json()["balance"] == 11


async def test_a_refusal_is_answered_with_its_code_and_its_words(http, customer):
    headers = {**customer, "If-Match": '"1"'}

    body = is_problem(await http.post(f"{PATH}/debits", json={"amount": 1}, headers=headers), 409, "insufficient_stock")

    assert body["detail"] == "There is not enough on the account."
    assert body["retryable"] is False


async def test_a_thing_has_an_etag_and_is_not_sent_to_who_has_it(credit, http, customer):
    await credit(5)

    full = await http.get(PATH, headers=customer)
    known = await http.get(PATH, headers={**customer, "If-None-Match": 'W/"1", "7"'})
    older = await http.get(PATH, headers={**customer, "If-None-Match": '"0"'})

    assert (full.status_code, full.json()["balance"], full.headers["etag"]) == (200, 5, '"1"')
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"1"')
    assert older.status_code == 200


async def test_lists_come_in_pages(http, rows):
    ids = sorted(uuid4() for _ in range(3))
    for each in ids:
        await rows("INSERT INTO $S.accounts VALUES ($1, 1, 1) RETURNING 1", each)

    first = (await http.get("/api/v1/accounts", params={"limit": 2})).json()
    second = (await http.get("/api/v1/accounts", params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [row["id"] for row in first["data"] + second["data"]] == [typeid("usr", each) for each in ids]
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)


@pytest.mark.parametrize("cursor", ["x", "WzFd", "é"])
async def test_a_cursor_that_was_made_up_is_refused(http, cursor):
    is_problem(await http.get("/api/v1/accounts", params={"cursor": cursor}), 400, "cursor_invalid")


async def test_an_unknown_route_is_a_problem(http):
    is_problem(await http.get("/api/v1/nowhere"), 404, "route_not_found")
    is_problem(await http.get("/api/v1/accounts/"), 404, "route_not_found")


async def test_an_unknown_thing_is_a_problem(http, customer):
    is_problem(await http.get(PATH, headers=customer), 404, "not_found")


async def test_a_method_that_is_not_there_says_which_are(http):
    response = await http.delete(PATH)

    is_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET"
    assert response.json()["detail"] == "This path takes GET."


@pytest.mark.parametrize(
    ("path", "unknown"),
    [("/accounts?siez=m&limit=5&colour=red", ["query:colour", "query:siez"]), (f"{PATH[7:]}?x", ["query:x"])],
)
async def test_a_parameter_that_a_route_does_not_have_is_refused_by_its_name(http, customer, path, unknown):
    told = is_problem(await http.get(f"/api/v1{path}", headers=customer), 422, "unknown_field")

    assert [fault["pointer"] for fault in told["errors"]] == unknown
    assert told["detail"] == f"{unknown[0].removeprefix('query:')}: is unknown"


async def test_the_parameters_of_every_list_are_taken(http):
    answer = await http.get("/api/v1/accounts", params={"limit": "5", "created_after": "2026-01-01T00:00:00Z"})

    assert answer.status_code == 200


async def test_an_id_of_another_kind_is_refused(http, customer):
    is_problem(await http.get("/api/v1/accounts/ord_1", headers=customer), 422, "validation_failed")


async def test_a_media_type_that_is_no_json_is_refused(http):
    response = await http.post(f"{PATH}/credits", content=b"<x/>", headers={"Content-Type": "text/xml"})

    is_problem(response, 415, "unsupported_media_type")


async def test_json_that_comes_as_a_form_is_told_how_to_come(http, customer):
    headers = {**customer, "Idempotency-Key": "k", "Content-Type": "application/x-www-form-urlencoded"}

    told = is_problem(
        await http.post(f"{PATH}/credits", content=b'{"amount": 1}', headers=headers), 415, "unsupported_media_type"
    )

    assert told["detail"] == "Send the body as JSON, with the header Content-Type: application/json."


async def in_parts(*parts):
    for part in parts:
        yield part


@pytest.mark.parametrize("content", [lambda: b"x" * 65_537, lambda: in_parts(b"[", b"1," * 32_768, b"1]")])
async def test_a_body_above_64_kib_is_refused_whether_it_says_so_or_not(http, customer, content):
    headers = {**customer, "Content-Type": "application/json", "Idempotency-Key": "k"}

    is_problem(await http.post(f"{PATH}/credits", content=content(), headers=headers), 413, "body_too_large")


@pytest.mark.parametrize("content", [b"{", b'{"amount": }', b"\xff", b'"\xff"', b"[" * 60_000])
async def test_malformed_json_is_refused(http, customer, content):
    headers = {**customer, "Content-Type": "application/json", "Idempotency-Key": "k"}

    is_problem(await http.post(f"{PATH}/credits", content=content, headers=headers), 400, "malformed_json")


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "validation_failed", "#/amount"),
        ({"amount": "x"}, "validation_failed", "#/amount"),
        ({"amount": 1, "prise": 2}, "unknown_field", "#/prise"),
        ({"amount": 1, "note": "a\0b"}, "validation_failed", "#/note"),
        ({"amount": 1, "tags": {"k": ["a\0b"]}}, "validation_failed", "#/tags"),
        ([], "validation_failed", "#"),
    ],
)
async def test_a_body_that_the_schema_refuses_is_told_where(http, customer, body, code, pointer):
    headers = {**customer, "Idempotency-Key": "k"}

    told = is_problem(await http.post(f"{PATH}/credits", json=body, headers=headers), 422, code)

    assert [fault["pointer"] for fault in told["errors"]] == [pointer]


async def test_a_value_that_no_column_can_hold_is_refused(http):
    is_problem(await http.get("/api/v1/notes/a%00b"), 422, "validation_failed")


async def test_an_amount_that_no_column_can_hold_is_refused_and_its_key_is_free(credit):
    is_problem(await credit(10**30), 422, "validation_failed")

    assert (await credit(1)).status_code == 201


@pytest.mark.parametrize(
    ("header", "status", "code"), [(None, 428, "precondition_required"), ("x", 400, "header_invalid")]
)
async def test_a_precondition_is_checked(http, header, status, code):
    headers = {"If-Match": header} if header else {}

    is_problem(await http.post(f"{PATH}/debits", json={"amount": 1}, headers=headers), status, code)


@pytest.mark.parametrize(("key", "code"), [(None, "idempotency_key_missing"), ("a b", "idempotency_key_invalid")])
async def test_an_idempotency_key_is_checked(http, customer, key, code):
    headers = {**customer, **({"Idempotency-Key": key} if key else {})}

    is_problem(await http.post(f"{PATH}/credits", json={"amount": 1}, headers=headers), 400, code)


async def test_a_key_that_another_process_holds_is_in_use(credit, database):
    async with database.transaction() as tx:
        await tx.sql("SELECT pg_advisory_xact_lock($1)", Claim(USER, "creditAccount", "k", b"").lock)
        response = await credit(5)

    assert is_problem(response, 409, "idempotency_key_in_use")["retryable"] is True
    assert response.headers["retry-after"] == "1"


async def test_a_token_is_required_and_checked(http, parts):
    missing = await http.get(PATH)
    malformed = await http.get(PATH, headers={"Authorization": "Bearer x"})
    basic = await http.get(PATH, headers={"Authorization": "Basic eDp5"})
    expired = await http.get(PATH, headers=bearer(parts, now=1_700_000_000.0))

    is_problem(missing, 401, "token_missing")
    is_problem(basic, 401, "token_missing")
    is_problem(malformed, 401, "token_invalid")
    is_problem(expired, 401, "token_expired")
    assert missing.headers["www-authenticate"] == "Bearer"


async def test_roles_are_checked(http, parts):
    roles = {
        (path, role): (await http.get(f"/api/v1/{path}", headers=bearer(parts, role))).status_code
        for path in ("for-staff", "for-admins")
        for role in Role
    }

    assert roles == {
        ("for-staff", Role.CUSTOMER): 403,
        ("for-staff", Role.STAFF): 200,
        ("for-staff", Role.ADMIN): 200,
        ("for-admins", Role.CUSTOMER): 403,
        ("for-admins", Role.STAFF): 403,
        ("for-admins", Role.ADMIN): 200,
    }


async def test_internal_routes_are_for_the_neighbours_that_they_name_and_have_no_prefix(http, customer):
    for name in ("the_one", "the_other"):
        right = await http.get("/internal/ping", headers=saying(name, "ledger_service"))
        assert (right.status_code, right.json()) == (200, "pong")

    is_problem(await http.get("/internal/ping", headers=saying("a_third", "ledger_service")), 403, "forbidden")
    for headers in ({}, customer, saying("the_one", "elsewhere"), {"X-Assertion": b"\xe9 the_one 9999999999"}):
        is_problem(await http.get("/internal/ping", headers=headers), 401, "token_invalid")
    assert (await http.get("/api/v1/internal/ping")).status_code == 404


async def test_a_failure_of_ours_is_answered_without_its_text(http):
    response = await http.get("/api/v1/broken")

    assert is_problem(response, 500, "internal_error")["retryable"] is True
    assert "hunter2" not in response.text


async def test_while_the_database_is_away_reads_and_writes_are_answered_503(credit, http, customer, parts):
    await parts.database.close()

    for response in (await http.get(PATH, headers=customer), await credit(5), await credit(5)):
        assert is_problem(response, 503, "unavailable")["retryable"] is True
        assert response.headers["retry-after"] == "1"


async def test_the_document_names_every_route_but_the_internal_ones(http):
    document = (await http.get("/openapi.json")).json()

    assert sorted(path for path in document["paths"] if "accounts" in path) == [
        "/api/v1/accounts",
        "/api/v1/accounts/{account}",
        "/api/v1/accounts/{account}/credits",
        "/api/v1/accounts/{account}/debits",
    ]
    assert not any("internal" in path or "livez" in path for path in document["paths"])


async def test_events_and_rows_know_who_asked(credit, rows):
    response = await credit(5)

    [(events,)] = await rows("SELECT events FROM $S.outbox")
    [event] = json.loads(events)
    assert event["correlationid"] == response.headers["x-request-id"]
