"""The outermost layer: request ids, limits of bodies, the last resort for failures, one log line a request."""

import asyncio
import json
from uuid import UUID

import httpx2
import pytest
from loguru import logger
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from chassis import context
from chassis.boundary import BODY_LIMIT, FIELDS, Boundary
from chassis.logging import lines
from chassis.tokens import Caller
from contracts.types import Role


@pytest.fixture
def logged():
    told = []

    def keep(message):
        failure = {"exception": repr(message.record["exception"])} if message.record["exception"] else {}
        told.extend((text, {**fields, **failure}) for text, fields in lines(message.record))

    sink = logger.add(keep, level="DEBUG", format="")
    yield told
    logger.remove(sink)


async def echo(scope, receive, send):
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def asked(app, method="POST", headers=None, content=None, path="/orders"):
    transport = httpx2.ASGITransport(Boundary(app, "ledger_service"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
        return await client.request(method, path, headers=headers, content=content)


async def in_parts(*parts):
    for part in parts:
        yield part


JSON = {"content-type": "application/json"}


async def test_a_request_keeps_its_id_and_gets_one_when_it_has_none():
    kept = await asked(echo, headers={**JSON, "x-request-id": "shop-7"}, content=b"{}")
    made = await asked(echo, headers=JSON, content=b"{}")

    assert (kept.status_code, kept.text, kept.headers["x-request-id"]) == (200, "2", "shop-7")
    assert made.headers["x-request-id"].startswith("req_")


async def test_a_request_is_worked_on_in_its_context_and_leaves_none_behind():
    seen = []

    async def app(scope, receive, send):
        seen.append(context.current.get())
        await PlainTextResponse("")(scope, receive, send)

    await asked(app, "GET", {"x-request-id": "shop-7"})

    assert seen[0].request_id == "shop-7"
    assert context.current.get() is None


async def test_behind_the_door_a_request_keeps_the_doors_context_and_the_door_writes_its_ids():
    seen, sent, asked_by = [], [], context.start("shop-7")

    async def app(scope, receive, send):
        seen.append(context.current.get())
        await PlainTextResponse("")(scope, receive, send)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/orders", "headers": [(b"x-request-id", b"other")]}
    await Boundary(app, "ledger_service")({**scope, "asked": asked_by}, None, send)

    assert seen == [asked_by]
    assert b"x-request-id" not in dict(sent[0]["headers"])


async def test_of_a_header_that_comes_twice_the_first_one_counts():
    answer = await asked(echo, "GET", [("x-request-id", "one"), ("x-request-id", "two")])

    assert answer.headers["x-request-id"] == "one"


async def test_a_body_that_says_it_is_too_large_is_refused_unread():
    async def unread(scope, receive, send):
        raise AssertionError

    answer = await asked(unread, headers=JSON, content=b"x" * (BODY_LIMIT + 1))

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["content-type"] == "application/problem+json"


FORM = {"Content-Type": "Application/X-WWW-Form-URLEncoded; charset=utf-8"}


@pytest.mark.parametrize(("kind", "sign"), [(JSON, b'"a":1,'), (FORM, b"a=1&"), (FORM, b"%41")])
async def test_a_body_of_too_many_fields_is_refused(kind, sign):
    answers = [await asked(echo, headers=kind, content=in_parts(sign * (FIELDS - 1), sign * more)) for more in (1, 2)]

    assert [answer.status_code for answer in answers] == [200, 413]
    assert answers[1].json()["detail"] == "At most 64 KiB, and 1,000 fields."


async def test_a_text_may_have_as_many_colons_as_it_likes():
    many = {"lines": [{"sku": "A", "note": ":" * 100}] * 100}
    too_many = {"lines": [{f"f{n}": ":" for n in range(11)}] * 100}

    answers = [await asked(echo, headers=JSON, content=json.dumps(body).encode()) for body in (many, too_many)]

    assert [answer.status_code for answer in answers] == [200, 413]


async def test_a_body_in_parts_is_refused_as_soon_as_it_is_too_large():
    parts = in_parts(b"x" * BODY_LIMIT, b"x")

    answer = await asked(echo, headers=JSON, content=parts)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_a_body_of_64_kib_is_taken():
    assert (await asked(echo, headers=JSON, content=b"x" * BODY_LIMIT)).text == str(BODY_LIMIT)


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", ""])
async def test_a_body_that_is_no_json_is_refused(media_type):
    answer = await asked(echo, headers={"content-type": media_type}, content=b"x")

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_body_in_parts_without_media_type_is_refused():
    assert (await asked(echo, content=in_parts(b"x"))).status_code == 415


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/x-www-form-urlencoded",
        "application/merge-patch+json",
    ],
)
async def test_json_and_forms_are_taken(media_type):
    assert (await asked(echo, headers={"content-type": media_type}, content=b"x")).status_code == 200


async def test_without_a_body_no_media_type_is_needed():
    assert (await asked(echo)).status_code == 200
    assert (await asked(echo, "GET")).status_code == 200


async def test_a_failure_is_answered_without_its_text_and_logged_with_it(logged):
    async def fail(scope, receive, send):
        raise RuntimeError("password: hunter2")

    answer = await asked(fail, "GET")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "hunter2" not in answer.text
    assert any(text == "a request failed" and "hunter2" in fields["exception"] for text, fields in logged)


async def test_a_failure_after_the_answer_has_begun_adds_nothing_to_it(logged):
    async def fail_late(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    sent = []

    async def send(message):
        sent.append(message["type"])

    scope = {"type": "http", "method": "GET", "path": "/orders", "headers": []}
    await Boundary(fail_late, "ledger_service")(scope, None, send)

    assert sent == ["http.response.start"]


async def test_each_request_is_one_line(logged):
    await asked(echo, headers=JSON, content=b"{}", path="/orders?secret=1")

    await asyncio.sleep(0)
    [(message, told)] = logged
    assert (message, told["method"], told["path"], told["status"]) == ("request", "POST", "/orders", 200)
    assert told["request_id"].startswith("req_")
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("path", "status", "address"),
    [
        ("/orders", 200, None),
        ("/orders", 404, None),
        ("/orders", 401, "127.0.0.1"),
        ("/orders", 403, "127.0.0.1"),
        ("/orders", 429, "127.0.0.1"),
        ("/api/v1/auth/login", 200, "127.0.0.1"),
    ],
)
async def test_where_somebody_was_is_logged_of_refusals_and_sign_ins_alone(logged, path, status, address):
    async def app(scope, receive, send):
        await PlainTextResponse("", status)(scope, receive, send)

    await asked(app, headers=JSON, content=b"{}", path=path)

    await asyncio.sleep(0)
    [(_, told)] = logged
    assert told.get("address") == address
    assert "user" not in told


async def test_a_long_path_is_logged_in_part(logged):
    await asked(echo, path=f"/{'a' * 30_000}")

    await asyncio.sleep(0)
    [(_, told)] = logged
    assert told["path"] == f"/{'a' * 199}"


async def test_who_asked_is_logged(logged):
    caller = Caller(UUID(int=7), Role.CUSTOMER, UUID(int=8))

    async def app(scope, receive, send):
        scope["caller"] = caller
        await PlainTextResponse("")(scope, receive, send)

    await asked(app, headers=JSON, content=b"{}")

    await asyncio.sleep(0)
    [(_, told)] = logged
    assert told["user"] == caller.actor


async def test_requests_that_are_answered_in_one_go_are_logged_in_one_go(logged):
    calls = []
    sink = logger.add(calls.append, format="")
    app = Boundary(echo, "ledger_service")
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
        await asyncio.gather(*(client.post("/orders", headers=JSON, content=b"{}") for _ in range(20)))
    await asyncio.sleep(0)
    logger.remove(sink)

    assert len(logged) == 20
    assert len(calls) < 20


@pytest.mark.parametrize("path", ["/livez", "/health", "/metrics", "/.well-known/jwks.json", "/internal/revocations"])
async def test_probes_are_not_logged(logged, path):
    await asked(echo, "GET", path=path)

    assert logged == []


async def test_what_is_no_http_passes_through():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    await Boundary(app, "ledger_service")({"type": "lifespan"}, None, None)

    assert seen == ["lifespan"]


async def test_problems_are_json():
    answer = await asked(echo, content=b"x")

    assert json.loads(answer.content)["instance"] == "/orders"


async def test_who_waits_when_the_process_ends_is_told_to_ask_again():
    sent, begun = [], asyncio.Event()

    async def app(scope, receive, send):
        begun.set()
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/orders", "headers": []}
    asking = asyncio.create_task(Boundary(app, "ledger_service")(scope, None, send))
    await begun.wait()
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    assert sent[0]["status"] == 503
    assert dict(sent[0]["headers"])[b"retry-after"] == b"1"
    assert json.loads(sent[1]["body"])["code"] == "unavailable"
