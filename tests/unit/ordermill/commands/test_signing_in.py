"""Who asks the gateway, how tokens are renewed, and what is said when it does not work."""

import asyncio
import json
import re
from functools import partial

import httpx2
import pytest

from chassis.problems import CODES
from contracts.types import Role
from ordermill import client, refusals, seeds
from ordermill.errors import Exit, Failure
from tests.support.gateway import talking


def test_each_token_is_that_of_a_new_customer(shop, ordermill):
    first, second = ordermill("token"), ordermill("token")

    customers = [email for email, (_, role) in shop.accounts.items() if role == "customer"]
    assert len(customers) == 2
    assert first.out.count("\n") == 1
    assert [shop.sessions[said.out.strip()] for said in (first, second)] == customers
    assert (first.code, first.err) == (0, "")
    assert all(email.startswith("customer-") and email.endswith("@ordermill.example") for email in customers)


@pytest.mark.parametrize("role", ["staff", "admin"])
def test_a_token_of_staff_is_that_of_the_demo_account(shop, ordermill, role):
    said = ordermill("token", "--role", role)

    assert shop.sessions[said.out.strip()] == f"{role}@ordermill.example"


def test_the_demo_accounts_are_the_seeded_ones():
    assert client.demo_address("staff") == seeds.address(Role.STAFF)


def test_demo_accounts_are_only_in_a_local_shop(shop, ordermill, monkeypatch):
    monkeypatch.setenv("ORDERMILL_PROFILE", "production")
    production = ordermill("token")
    monkeypatch.delenv("ORDERMILL_PROFILE")
    elsewhere = ordermill("token", "--url", "https://shop.example")

    assert elsewhere == production._replace(err=production.err.replace("127.0.0.1", "shop.example"))
    assert production.code == Exit.FAILED
    assert production.err == (
        "Demo accounts are there only in a shop on this machine with the local profile, and 127.0.0.1 is none.\n"
        "→ Check the address: --url, or ORDERMILL_URL; or set ORDERMILL_TOKEN to an access token or an API key.\n"
    )
    assert not shop.asked


def test_a_shop_on_this_machine_is_local_and_one_elsewhere_is_not():
    assert client._is_local("127.0.0.1")
    assert not client._is_local("gateway")


async def test_no_proxy_is_told_what_is_for_this_machine(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")

    async with client.reach("http://127.0.0.1:2") as here, client.reach("http://shop.example") as there:
        assert not {pattern.pattern for pattern in here.http._mounts}
        assert {pattern.pattern for pattern in there.http._mounts}


def test_a_profile_decides_whatever_the_host(monkeypatch):
    monkeypatch.setenv("ORDERMILL_PROFILE", "local")

    assert client._is_local("gateway")


def test_without_an_address_the_gateway_of_this_checkout_is_asked(shop, state, ordermill, monkeypatch):
    monkeypatch.delenv("ORDERMILL_URL")
    stopped = ordermill("token")
    port = int(shop.url.rpartition(":")[2])
    (state.root / "ports.json").write_text(json.dumps({"gateway": port}))
    with state.lock():
        running = ordermill("token")

    assert stopped.code == Exit.NOT_RUNNING
    assert stopped.err.endswith("→ Start it with: make up\n")
    assert running.code == 0


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "http://[x]", "ftp://shop.example", "http:///"])
def test_what_is_no_address_is_refused(ordermill, address):
    said = ordermill("payments", "tokens", "--url", address)

    assert said.code == Exit.FAILED
    assert said.err == f"{address} is no address of a gateway.\n→ Write it like http://127.0.0.1:8000\n"


def test_a_gateway_that_does_not_answer_is_named(ordermill):
    said = ordermill("payments", "tokens", "--url", "http://127.0.0.1:1")

    assert said.code == Exit.NOT_RUNNING
    assert said.err.startswith("http://127.0.0.1:1/api/v1/ does not answer: ")
    assert said.err.endswith("→ Check the address: --url, or ORDERMILL_URL\n")


def test_the_shop_of_this_checkout_is_to_be_started_where_it_does_not_answer(state, ordermill, monkeypatch):
    (state.root / "ports.json").write_text(json.dumps({"gateway": 1}))
    with state.lock():
        said = ordermill("payments", "tokens")

    assert said.code == Exit.NOT_RUNNING
    assert said.err.endswith("→ Start the shop with: make up\n")


async def test_who_is_no_gateway_and_hangs_up_is_told_of_in_one_sentence():
    async def hang_up(_reader, writer):
        writer.close()

    async with talking(hang_up) as url, client.reach(url) as gateway:
        with pytest.raises(refusals.Trouble) as trouble:
            await gateway.nobody().get("/products")

    assert not trouble.value.message.endswith("..")


async def test_a_gateway_that_is_silent_is_given_up(monkeypatch):
    monkeypatch.setattr(client, "PATIENCE", 0.1)

    async def silent(reader, _writer):
        await reader.read()

    async with talking(silent) as url, client.reach(url) as gateway:
        with pytest.raises(refusals.Trouble, match="does not answer in time") as late:
            await gateway.nobody().get("/products")

    assert late.value.code == Exit.TIMED_OUT
    assert late.value.retryable


def test_a_given_token_is_used_instead_of_a_demo_account(shop, ordermill, monkeypatch):
    monkeypatch.setenv("ORDERMILL_TOKEN", ordermill("token", "--role", "staff").out.strip())
    shop.asked.clear()

    listed = ordermill("stock", "list")
    monkeypatch.setenv("ORDERMILL_TOKEN", ordermill("token").out.strip())
    forbidden = ordermill("stock", "list")
    monkeypatch.setenv("ORDERMILL_TOKEN", "old")
    expired = ordermill("stock", "list")

    assert listed.code == 0
    assert forbidden.err == (
        "Not allowed: forbidden\n→ Set ORDERMILL_TOKEN to a token of staff or an admin; on this machine leave it out.\n"
    )
    assert expired.err == (
        "The token has expired: token_expired\n"
        "→ Set ORDERMILL_TOKEN to an access token or an API key; on this machine leave it out.\n"
    )
    assert shop.asked["POST /auth/login"] == 1
    assert shop.asked["POST /auth/refresh"] == 0


def test_a_cause_that_is_its_own_detail_is_said_once(shop, ordermill):
    del shop.accounts["staff@ordermill.example"]
    shop.detail = f"{CODES['credentials_wrong'][1]}."

    said = ordermill("stock", "list")

    assert said.err.startswith("E-mail address or password is wrong\n→ ")


def test_a_demo_account_that_is_missing_is_made_by_seed(shop, ordermill):
    del shop.accounts["staff@ordermill.example"]

    said = ordermill("stock", "list")

    assert said.code == Exit.FAILED
    assert "→ Make the demo accounts with: ordermill seed, or wait until `up` has" in said.err


async def test_an_expired_token_is_refreshed_once_for_all_who_share_it(shop):
    async with client.reach(shop.url) as gateway:
        staff = await gateway.as_("staff")
        await staff.get("/stock")
        shop.expire()

        answers = await asyncio.gather(*(staff.get("/stock") for _ in range(5)))

    assert len(answers) == 5
    assert shop.asked["POST /auth/login"] == 1
    assert shop.asked["POST /auth/refresh"] == 1


async def test_a_session_that_has_ended_is_begun_anew(shop):
    async with client.reach(shop.url) as gateway:
        staff = await gateway.as_("staff")
        await staff.get("/stock")
        shop.expire()
        shop.refreshable.clear()

        await staff.get("/stock")

    assert shop.asked["POST /auth/login"] == 2
    assert shop.asked["POST /auth/refresh"] == 1


def test_an_answer_of_somebody_else_is_told(shop, ordermill):
    said = ordermill("payments", "tokens", "--url", f"{shop.url}/elsewhere")

    assert said.code == Exit.FAILED
    assert said.err == (
        f"{shop.url}/elsewhere/api/v1/payments/test-tokens answers 404, not as a gateway of ours does.\n"
        "→ Check the address: --url, or ORDERMILL_URL\n"
    )


@pytest.mark.parametrize("status", [200, 302, 404])
async def test_so_is_one_that_is_no_json(status):
    page = httpx2.Response(status, text="<html>It works!</html>", headers={"content-type": "text/html"})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: page), base_url="http://else") as http:
        with pytest.raises(Failure, match=f"http://else/orders answers {status}, not as a gateway of ours does"):
            await client.Caller(http).get("/orders")


A_PAGE = {"access_token": "a", "refresh_token": "r", "data": [{}], "has_more": False, "next_cursor": None}
READING = [
    "stock list", "stock adjust MUG-RED 5", "orders list", "orders show ord_1", "orders cancel ord_1",
    "orders create --sku MUG-RED:1", "orders trace ord_1", "payments list", "payments tokens", "users list",
    "demo --for 1s",
]  # fmt: skip


ANSWERS = [(line, A_PAGE) for line in READING] + [
    (line, answer) for line in ("token --role staff", *READING) for answer in ({}, [], "text", None)
]


@pytest.mark.parametrize(("line", "answer"), ANSWERS)
def test_an_answer_that_lacks_what_a_command_asks_for_is_told_in_a_line(state, ordermill, monkeypatch, line, answer):
    transport = httpx2.MockTransport(lambda _request: httpx2.Response(200, json=answer))
    monkeypatch.setattr(httpx2, "AsyncClient", partial(httpx2.AsyncClient, transport=transport))

    said = ordermill(*line.split(), "--url", "http://127.0.0.1:1")

    assert said.code == Exit.FAILED
    cause, mend = said.err.splitlines()[-2:]
    assert re.fullmatch(r"http://127\.0\.0\.1:1/api/v1/\S+ answers 200, not as a gateway of ours does\.", cause)
    assert mend == "→ Check the address: --url, or ORDERMILL_URL"
    assert "Traceback" not in said.err
