"""Who is let in, through the door of a whole shop: keys, accounts that are disabled, and users who are erased."""

import httpx2
import pytest

from tests.support.eventually import eventually
from tests.support.people import Person, a_customer, a_key, an_order_for, logged_in
from tests.support.running_shop import RunningShop

WITHIN = 60.0
NAMELESS = dict.fromkeys(("name", "line1", "city", "postal_code"), "erased")
ERASED = NAMELESS | {"line2": None, "region": None, "country": "NL"}


@pytest.fixture
async def admin(shop: RunningShop, client: httpx2.AsyncClient) -> Person:
    return await logged_in(client, "admin@ordermill.example", shop.secret("demo.admin"))


async def made(person: Person, *scopes: str) -> dict[str, str]:
    return (await person.post("/auth/api-keys", {"name": "till", "scopes": list(scopes)})).raise_for_status().json()


def holding(key: dict[str, str], person: Person) -> Person:
    """A program with the key."""
    return Person(person.client, person.email, key["api_key"])


async def status(person: Person, path: str = "/orders") -> int:
    return (await person.client.get(path, headers=person.authorized)).status_code


async def me(person: Person) -> str:
    user: str = (await person.get("/auth/me"))["id"]
    return user


async def test_a_program_orders_with_a_key_and_does_nothing_else_with_it(customer: Person, sku: str):
    # given
    program = holding(await made(customer, "orders:write", "orders:read"), customer)

    # when
    order = await program.ordered(sku)

    # then
    assert (await customer.seen(order))["customer_id"] == await me(customer)
    assert await status(program) == 200
    assert [await status(program, path) for path in ("/payments", "/auth/me", "/auth/api-keys", "/stock")] == [403] * 4
    assert (await program.cancel(order)).status_code == 202
    assert (await program.pay(order, "tok_ok")).json()["code"] == "scope_missing"


async def test_a_key_that_is_made_up_is_refused_at_the_door(client: httpx2.AsyncClient, sku: str):
    # given
    stranger = Person(client, "", f"sk_{'A' * 43}")

    # when
    answer = await stranger.order(an_order_for(sku), a_key())

    # then
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


async def test_whoever_is_shut_out_is_refused_by_every_service_within_a_minute(
    client: httpx2.AsyncClient, admin: Person, customer: Person, sku: str
):
    # given
    disabled = await a_customer(client)
    key = await made(customer, "orders:read")
    program = holding(key, customer)
    assert [await status(person) for person in (disabled, program, customer)] == [200] * 3

    # when
    user_id = await me(disabled)
    await client.patch(f"/users/{user_id}", json={"disabled": True}, headers=admin.authorized)
    await client.delete(f"/auth/api-keys/{key['id']}", headers=customer.authorized)

    # then
    async def is_shut_out() -> bool:
        asked = [await status(disabled), await status(disabled, "/payments"), await status(disabled, "/notifications")]
        return [*asked, await status(program)] == [401] * 4

    await eventually(is_shut_out, within=WITHIN)
    assert (await disabled.order(an_order_for(sku))).status_code == 401
    assert await status(customer) == 200


async def test_a_user_gets_everything_and_after_that_nothing_of_it_is_kept(
    client: httpx2.AsyncClient, admin: Person, customer: Person, staff: Person, sku: str
):
    # given
    order = await customer.ordered(sku, wait=10)
    user_id = await me(customer)

    # when
    export = await customer.get("/auth/me/export")
    answer = await client.delete(f"/users/{user_id}", headers=admin.authorized)

    # then
    assert [kept["id"] for kept in export["orders"]] == [order["id"]]
    assert [payment["order_id"] for payment in export["payments"]] == [order["id"]]
    assert (export["user"]["email"], answer.status_code) == (customer.email, 204)
    kept = await staff.reaches(order, shipping_address=ERASED)
    assert (kept["customer_id"], kept["status"], kept["total"]) == (user_id, order["status"], order["total"])
    users = await admin.get("/users", email=customer.email)
    assert users["data"] == []
