"""What the provider holds under our key answers our call only where it is the money that we asked for."""

import httpx2
import pytest
from loguru import logger

from chassis.ids import new_id
from payment_service import charging, simulator
from payment_service.simulator import Reply
from payment_service.simulator_books import REUSED, Charge, Return
from tests.service.payment_service.conftest import at_work, comes_to, patient

SHOWN = {"Authorization": "Bearer shown to the provider"}


@pytest.fixture
def errors():
    told = []
    sink = logger.add(told.append, level="ERROR", format="{message}")
    yield told
    logger.remove(sink)


@pytest.fixture
async def payments(settings):
    """The service without its loops, and time enough for its provider."""
    async with at_work(patient(settings), loops=False) as payments:
        yield payments


@pytest.fixture
def books(payments):
    return payments.parts.own.provider.simulator.books


@pytest.fixture
async def http(settings):
    """The provider's process, over HTTP."""
    app = simulator.app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://provider") as http:
            yield http


def a_charge(key="pay:x:1", **changes):
    return Charge(**{"key": key, "order_id": new_id(), "token": "tok_ok", "amount": 100, "currency": "EUR"} | changes)


async def key_of(payments, order_id):
    [(key,)] = await payments.rows(
        "SELECT key FROM payment_service.payment_attempts WHERE order_id = $1 AND attempt = 1", order_id
    )
    return key


DUE_NOW = {
    "charge": "UPDATE payment_service.payment_attempts SET due_at = now() RETURNING tries",
    "refund": "UPDATE payment_service.refunds SET due_at = now() RETURNING tries",
}
TRIES = {
    "charge": "SELECT tries FROM payment_service.payment_attempts",
    "refund": "SELECT tries FROM payment_service.refunds",
}


async def asked_again(payments, kind="charge"):
    """One more try of the call that is in doubt."""
    [(tries,)] = await payments.rows(DUE_NOW[kind])
    await charging.step(payments.parts)

    async def tried():
        return await payments.rows(TRIES[kind])

    await comes_to(tried, [(tries + 1,)])


@pytest.mark.parametrize("theirs", [{"amount": 1}, {"currency": "USD"}])
@pytest.mark.parametrize("token", ["tok_ok", "tok_declined"])
async def test_a_charge_of_other_money_under_our_key_neither_pays_nor_fails_an_order(
    payments, books, errors, theirs, token
):
    order_id = await payments.asked("tok_ok")
    key = await key_of(payments, order_id)
    booked = {"amount": 2598, "order_id": order_id, "token": token} | theirs
    await books.charge([a_charge(key, **booked)])

    for _ in range(3):
        await asked_again(payments)

    payment = await payments.of_order(order_id)
    assert (payment["status"], await payments.told(order_id)) == ("unknown", [])
    held = f"{booked['amount']} {booked.get('currency', 'EUR')}"
    assert errors == [f"under {key} we asked for 2598 EUR, and the provider holds {held}\n"]


async def test_it_is_paid_once_the_books_are_set_right(payments, books):
    order_id = await payments.asked("tok_ok")
    await books.charge([a_charge(await key_of(payments, order_id), amount=1, order_id=order_id)])
    await asked_again(payments)

    await payments.booked("UPDATE provider.charges SET amount = 2598 RETURNING 1")
    await payments.rows(DUE_NOW["charge"])
    await charging.step(payments.parts)

    await payments.reaches(order_id, "captured")
    assert payments.parts.own.strange == set()


async def test_a_refund_of_other_money_under_our_key_is_no_answer(payments, books, errors):
    order_id = await payments.asked("tok_ok")
    await charging.step(payments.parts)
    await payments.reaches(order_id, "captured")
    refund_id = await payments.give_back(order_id, 500)
    charge_key = await key_of(payments, order_id)
    await books.refund([Return(key=f"ref:{refund_id}", charge_key=charge_key, amount=1)])

    for _ in range(2):
        await asked_again(payments, "refund")

    assert await payments.rows("SELECT status FROM payment_service.refunds") == [("unknown",)]
    assert len(errors) == 1


async def test_a_provider_that_does_not_say_how_much_says_nothing(payments, books, errors, monkeypatch):
    async def charge(asked, _hidden_for=None):
        return {one.key: Reply("captured", None, "ch_1") for one in asked}

    monkeypatch.setattr(books, "charge", charge)
    order_id = await payments.asked("tok_ok")

    await asked_again(payments)

    assert (await payments.of_order(order_id))["status"] == "unknown"
    assert len(errors) == 1


@pytest.mark.parametrize("other", [{"amount": 99}, {"currency": "USD"}, {"token": "tok_declined"}, {"order_id": 1}])
async def test_a_key_that_was_used_for_another_charge_is_an_error_and_books_nothing(payments, books, other):
    first = a_charge()
    told = {name: getattr(first, name) for name in first.__slots__}
    if "order_id" in other:
        other = {"order_id": new_id()}
    await books.charge([first])

    assert await books.charge([Charge(**told | other)]) == {first.key: REUSED}
    assert await books.charge([first]) == await books.find([first.key])
    assert await payments.booked("SELECT amount, currency FROM provider.charges") == [(100, "EUR")]


async def test_a_key_that_was_used_for_another_refund_is_an_error_and_returns_nothing(payments, books):
    await books.charge([a_charge("pay:x:1"), a_charge("pay:x:2")])
    first = Return(key="ref:1", charge_key="pay:x:1", amount=60)
    said = await books.refund([first])

    for other in (
        Return(key="ref:1", charge_key="pay:x:2", amount=60),
        Return(key="ref:1", charge_key="pay:x:1", amount=40),
    ):
        assert await books.refund([other]) == {"ref:1": REUSED}
    assert await books.refund([first]) == said == await books.find_refunds(["ref:1"])
    assert await payments.booked("SELECT refunded::int FROM provider.charges ORDER BY key") == [(60,), (0,)]


@pytest.mark.parametrize("token", ["tok_slow", "tok_timeout"])
async def test_a_card_that_misbehaves_has_the_same_rule(payments, token):
    simulated = payments.parts.own.provider.simulator
    for amount, expected in ((100, None), (1, {"pay:x:1": REUSED})):
        [work] = simulated.charge([a_charge(token=token, amount=amount, order_id=new_id())])
        assert expected in (None, await work.replies)


@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer guessed"}, {"Authorization": "shown to the provider"}])
@pytest.mark.parametrize(
    "asked",
    [
        ("POST", "/charges", {"order_id": str(new_id()), "token": "tok_ok", "amount": 1, "currency": "EUR"}),
        ("POST", "/charges", {}),
        ("GET", "/charges/pay:x:1", None),
        ("POST", "/refunds", {"charge_key": "pay:x:1", "amount": 1}),
        ("GET", "/refunds/ref:1", None),
        ("GET", "/openapi.json", None),
        ("GET", "/anything", None),
    ],
)
async def test_the_providers_process_answers_nobody_who_does_not_show_its_key(http, payments, asked, given):
    method, path, json = asked
    answer = await http.request(method, path, json=json, headers={"Idempotency-Key": "pay:x:1", **given})

    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.json()["code"] == ("token_invalid" if given else "token_missing")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await payments.booked("SELECT * FROM provider.charges") == []


async def test_over_http_answers_say_how_much_and_a_key_used_for_something_else_is_an_error(http):
    body = {"order_id": str(new_id()), "token": "tok_ok", "amount": 100, "currency": "EUR"}
    headers = SHOWN | {"Idempotency-Key": "pay:x:1"}

    first = await http.post("/charges", json=body, headers=headers)
    other = await http.post("/charges", json=body | {"amount": 99}, headers=headers)

    assert (first.status_code, first.json()["amount"], first.json()["currency"]) == (200, 100, "EUR")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await http.get("/charges/pay:x:1", headers=SHOWN)).json() == first.json()
