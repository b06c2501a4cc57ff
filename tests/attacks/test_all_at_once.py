"""A hundred of the same at once, through the door: one of them counts."""

import asyncio
from collections import Counter

from contracts.types import Role
from tests.support.guarded_shop import GuardedShop
from tests.support.people import PASSWORD, a_key, an_order_for, uuid_of

MANY = 100


async def test_of_a_hundred_refreshes_of_one_token_one_leaves_a_session_that_goes_on(shop: GuardedShop):
    # given
    ann = await shop.somebody()
    tokens = (await ann.post("/auth/login", {"email": ann.email, "password": PASSWORD})).json()

    # when
    stolen = {"refresh_token": tokens["refresh_token"]}
    answers = await asyncio.gather(*(shop.client.post("/auth/refresh", json=stolen) for _ in range(MANY)))

    # then
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: MANY - 1}
    [token] = [answer.json()["refresh_token"] for answer in answers if answer.status_code == 200]
    active = """
        SELECT t.session_id FROM auth_service.refresh_tokens t
        JOIN auth_service.sessions s ON s.id = t.session_id JOIN auth_service.users u ON u.id = s.user_id
        WHERE u.email = $1 AND t.state = 'active'
    """
    assert len(await shop.lively.sql(active, ann.email)) == 2  # the one that was refreshed, and the first sign-in
    again = await shop.client.post("/auth/refresh", json={"refresh_token": token})
    assert again.status_code == 200

    # and when one of the losers comes back later, it is a theft, and the whole chain ends
    assert (await shop.client.post("/auth/refresh", json=stolen)).json()["code"] == "refresh_reused"
    ended = await shop.client.post("/auth/refresh", json={"refresh_token": again.json()["refresh_token"]})
    assert ended.status_code == 401
    assert len(await shop.lively.sql(active, ann.email)) == 1


async def test_of_a_hundred_orders_with_one_key_one_is_made_and_charged(shop: GuardedShop):
    # given
    sku = await shop.product(await shop.somebody(Role.STAFF))
    ann, key, body = await shop.somebody(), a_key(), an_order_for(sku)

    # when
    answers = await asyncio.gather(*(ann.order(body, key) for _ in range(MANY)))
    await shop.lively.settle()

    # then
    assert {answer.status_code for answer in answers} <= {201, 409}
    made = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.json()["id"] for answer in made}) == 1
    assert [answer.headers.get("Idempotent-Replayed") for answer in made].count(None) == 1
    assert [order["id"] for order in (await ann.get("/orders"))["data"]] == [made[0].json()["id"]]
    charges = "SELECT amount FROM provider.charges WHERE order_id = $1"
    assert len(await shop.lively.sql(charges, uuid_of(made[0].json()))) == 1


async def test_the_key_of_another_customer_is_no_key_of_mine(shop: GuardedShop):
    sku = await shop.product(await shop.somebody(Role.STAFF))
    people, key = [await shop.somebody() for _ in range(2)], a_key()

    answers = await asyncio.gather(*(person.order(an_order_for(sku), key) for person in people))

    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["id"] for answer in answers}) == 2
    assert not any("Idempotent-Replayed" in answer.headers for answer in answers)


async def test_of_a_hundred_refunds_of_all_that_was_paid_one_is_made(shop: GuardedShop):
    # given
    staff, ann = await shop.somebody(Role.STAFF), await shop.somebody()
    order = await ann.ordered(await shop.product(staff))
    await shop.lively.settle()

    # when
    body = {"amount": order["total"], "reason": "goodwill"}
    path = f"/orders/{order['id']}/refunds"
    answers = await asyncio.gather(*(staff.post(path, body, **{"Idempotency-Key": a_key()}) for _ in range(MANY)))
    await shop.lively.settle()

    # then
    assert Counter(answer.status_code for answer in answers) == {202: 1, 409: MANY - 1}
    refunds = "SELECT amount FROM provider.refunds WHERE order_id = $1 AND status = 'succeeded'"
    assert [row["amount"] for row in await shop.lively.sql(refunds, uuid_of(order))] == [order["total"]["amount"]]


async def test_of_a_hundred_ways_to_pay_an_order_one_is_charged(shop: GuardedShop):
    # given
    ann = await shop.somebody()
    sku = await shop.product(await shop.somebody(Role.STAFF))
    declined, unpaid = await ann.ordered(sku, token="tok_declined"), await ann.ordered(sku, token=None)
    await shop.lively.settle()

    # when
    given = {"order_id": unpaid["id"], "token": "tok_ok"}
    answers = await asyncio.gather(
        *(ann.pay(declined, "tok_ok") for _ in range(MANY)),
        *(ann.post("/payments", given, **{"Idempotency-Key": a_key()}) for _ in range(MANY)),
    )
    await shop.lively.settle()

    # then
    assert Counter(answer.status_code for answer in answers) == {202: 1, 201: 1, 409: 2 * (MANY - 1)}
    charges = "SELECT order_id FROM provider.charges WHERE status = 'captured' AND order_id = ANY($1)"
    paid = {uuid_of(declined), uuid_of(unpaid)}
    assert sorted(row["order_id"] for row in await shop.lively.sql(charges, list(paid))) == sorted(paid)
