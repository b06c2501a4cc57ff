"""The promise of the shop: who orders and pays is confirmed and told, once, however often they ask."""

import time

import httpx2

from tests.support.eventually import eventually
from tests.support.people import Person, a_customer, a_key, an_order_for, uuid_of
from tests.support.running_shop import RunningShop


async def test_a_new_customer_orders_and_has_the_confirmation_in_the_mailbox(shop: RunningShop, client):
    # given
    customer = await a_customer(client)
    products = (await client.get("/products")).json()["data"]
    product = next(product for product in products if product["sku"].startswith("MUG"))

    # when
    began = time.monotonic()
    response = await customer.order(an_order_for(product["sku"], quantity=2), wait=10)
    took = time.monotonic() - began

    # then
    assert response.status_code == 201
    order = response.json()
    assert (order["status"], order["payment_status"]) == ("confirmed", "paid")
    assert order["total"] == {"amount": 2 * product["price"]["amount"], "currency": product["price"]["currency"]}
    assert response.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert response.headers["Preference-Applied"] == "wait=10"
    assert took < 5

    # and
    await eventually(lambda: _has_mail(shop, customer))
    [mail] = await shop.mails(customer.email)
    assert order["number"] in mail["subject"] + mail["text"]
    assert product["name"] in mail["text"]
    assert await shop.charged(uuid_of(order)) == [order["total"]["amount"]]


async def test_mails_are_shown_to_nobody_without_the_key(shop: RunningShop, customer: Person, sku: str):
    # given
    await customer.ordered(sku, wait=10)
    await eventually(lambda: _has_mail(shop, customer))

    # when
    async with httpx2.AsyncClient(base_url=shop.mailbox, trust_env=False) as stranger:
        answers = [await stranger.get(path) for path in ("/", "/messages", f"/messages?to={customer.email}")]
        answers.append(await stranger.delete("/messages"))

    # then
    assert [answer.status_code for answer in answers] == [401] * 4
    assert len(await shop.mails(customer.email)) == 1


async def test_the_same_post_again_answers_the_same_and_orders_nothing_more(customer: Person, sku: str):
    # given
    key, body = a_key(), an_order_for(sku)
    first = await customer.order(body, key, wait=10)

    # when
    again = await customer.order(body, key, wait=10)

    # then
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len((await customer.get("/orders"))["data"]) == 1


async def test_the_same_key_with_another_body_is_refused(customer: Person, sku: str):
    # given
    key = a_key()
    await customer.order(an_order_for(sku), key)

    # when
    refused = await customer.order(an_order_for(sku, quantity=2), key)

    # then
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert len((await customer.get("/orders"))["data"]) == 1


async def test_an_order_is_seen_by_its_customer_and_by_staff_alone(
    client: httpx2.AsyncClient, customer: Person, staff: Person, sku: str
):
    # given
    order = await customer.ordered(sku, wait=10)
    stranger = await a_customer(client)

    # when
    seen_by_stranger = await client.get(f"/orders/{order['id']}", headers=stranger.authorized)
    seen_by_nobody = await client.get(f"/orders/{order['id']}")

    # then
    assert (seen_by_stranger.status_code, seen_by_stranger.json()["code"]) == (404, "not_found")
    assert (seen_by_nobody.status_code, seen_by_nobody.json()["code"]) == (401, "token_missing")
    assert (await staff.seen(order))["id"] == order["id"]
    steps = (await customer.get(f"/orders/{order['id']}/events"))["data"]
    assert [step["to"] for step in steps] == ["pending", "awaiting_payment", "confirmed"]


async def _has_mail(shop: RunningShop, customer: Person) -> bool:
    return bool(await shop.mails(customer.email))
