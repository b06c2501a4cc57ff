"""What customers do: order, order again, cancel, pay; once, twice, at the same time, and over a lost connection."""

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from chassis.ids import parse_typeid
from payment_service.cards import CARDS
from tests.stateful.machine import ADDRESS, Machine, Placed, either, seldom, which
from tests.stateful.shop import PRICES

MOST_ORDERS = 8
CANCELLABLE = {"pending", "awaiting_payment", "confirmed", "cancelling", "cancelled"}

baskets = st.lists(st.tuples(st.sampled_from(sorted(PRICES)), st.integers(1, 2)), min_size=1, max_size=3)
cards = st.one_of(st.just("tok_ok"), st.sampled_from([None, "tok_nobody", *CARDS]))

orders = st.tuples(baskets, cards, either, either)


def order_of(basket, card):
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in basket]
    payment = {"payment": {"token": card}} if card else {}
    return {"lines": lines, "shipping_address": ADDRESS, **payment}


class Customers(Machine):
    """Two of them, each behind a client that repeats what was not answered."""

    def _place(self, customer, key, body, **given):
        return self.ask("order_service", "POST", "/orders", customer=customer, key=key, json=body, **given)

    def _keep(self, asked, customer, key, body):
        shown = asked.response.json()
        assert shown["status"] == "pending"
        assert shown["total"]["amount"] == sum(PRICES[line["sku"]] * line["quantity"] for line in body["lines"])
        assert asked.response.headers["location"] == f"/api/v1/orders/{shown['id']}"
        self.placed.append(Placed(parse_typeid("ord", shown["id"]), customer, key, body, asked.response.content))

    def _orders(self) -> int:
        return self.one("SELECT count(*) FROM order_service.orders")["count"]

    @precondition(lambda self: len(self.placed) < MOST_ORDERS)
    @rule(basket=baskets, card=cards, customer=either, at=either, fault=seldom)
    def order(self, basket, card, customer, at, fault):
        """One order, however often its client had to ask."""
        self.place_one(basket, card, customer, at, fault)

    def place_one(self, basket, card, customer, at, fault):
        key, body, before = self.new_key(), order_of(basket, card), self._orders()

        asked = self._place(customer, key, body, at=at, fault=fault)

        assert asked.status == 201, asked.response.text
        assert self._orders() == before + 1
        if not asked.interrupted:
            assert not asked.replayed
        self.note("an answer was lost, and given again" if asked.replayed else "an order was placed")
        self._keep(asked, customer, key, body)

    @precondition(lambda self: self.placed)
    @rule(number=which, at=either)
    def repeat(self, number, at):
        """The same request under the same key has the same answer, whatever became of the order since."""
        placed, before = self.pick(number), self._orders()

        asked = self._place(placed.customer, placed.key, dict(reversed(placed.body.items())), at=at)

        same = (asked.status, asked.replayed, asked.response.content) == (201, True, placed.content)
        assert same, f"another answer: {asked.response.text}"
        assert self._orders() == before
        self.note("an answer was replayed")

    @precondition(lambda self: self.placed)
    @rule(number=which, basket=baskets, at=either)
    def reuse_the_key(self, number, basket, at):
        """Another request under a key that was used is refused, and does nothing."""
        placed, before = self.pick(number), self._orders()
        body = order_of([*basket, ("JAR", 3)], "tok_ok")

        asked = self._place(placed.customer, placed.key, body, at=at)

        assert (asked.status, asked.code) == (422, "idempotency_key_reused")
        assert self._orders() == before
        self.note("a key was refused")

    @precondition(lambda self: len(self.placed) < MOST_ORDERS)
    @rule(basket=baskets, card=cards, customer=either, places=st.tuples(either, either))
    def order_twice_at_once(self, basket, card, customer, places):
        """Two requests under one key, at one process or at two: one order, and nobody is told of another."""
        key, body, before = self.new_key(), order_of(basket, card), self._orders()
        given = {"customer": customer, "key": key, "json": body}

        async def twins():
            return await asyncio.gather(
                *(self.shop.ask("order_service", "POST", "/orders", at=at, **given) for at in places)
            )

        twins = sorted(self.run(twins()), key=lambda asked: (asked.status, asked.replayed))

        first, second = twins
        assert (first.status, first.replayed) == (201, False)
        assert self._orders() == before + 1
        if second.status == 201:
            assert (second.replayed, second.response.content) == (True, first.response.content)
            self.note("a twin was given the same answer")
        else:
            assert (second.status, second.code) == (409, "idempotency_key_in_use")
            self.note("a twin was told to wait")
        self._keep(first, customer, key, body)

    @precondition(lambda self: self.placed)
    @rule(number=which, at=either, fault=seldom, by_staff=st.booleans())
    def cancel(self, number, at, fault, by_staff):
        """What can be cancelled is; asking again changes nothing."""
        placed = self.pick(number)
        before = self.status_of(placed)

        customer = None if by_staff else placed.customer
        asked = self.ask("order_service", "POST", f"/orders/{placed.ref}/cancel", customer=customer, at=at, fault=fault)

        if before in CANCELLABLE:
            expected = "cancelled" if before == "cancelled" else "cancelling"
            assert (asked.status, asked.response.json()["status"]) == (202, expected)
        else:
            assert (asked.status, asked.code) == (409, "order_not_cancellable")
        self.note(f"cancel while {before}")

    @precondition(lambda self: self.placed)
    @rule(number=which, card=cards.filter(bool), at=either, fault=seldom)
    def pay_again(self, number, card, at, fault):
        """After a decline the customer may try again, up to three times, and once for each request."""
        placed, key = self.pick(number), self.new_key()
        [status, attempt, failed] = self.one(
            "SELECT status, attempt, last_failed_attempt FROM order_service.orders WHERE id = $1", placed.id
        )
        given = {"customer": placed.customer, "key": key, "json": {"token": card}}

        asked = self.ask("order_service", "POST", f"/orders/{placed.ref}/payments", at=at, fault=fault, **given)

        if status == "awaiting_payment" and attempt == failed:
            assert asked.status == 202, asked.response.text
            again = self.ask("order_service", "POST", f"/orders/{placed.ref}/payments", at=1 - at, **given)
            assert (again.status, again.replayed, again.response.content) == (202, True, asked.response.content)
            self.note("paid again")
        else:
            assert (asked.status, asked.code) == (409, "order_not_payable")

    @precondition(lambda self: self.placed)
    @rule(number=which, card=cards.filter(bool), at=either, fault=seldom)
    def choose_how_to_pay(self, number, card, at, fault):
        """An order without a way of paying waits for one."""
        placed = self.pick(number)
        payment = self.one("SELECT status, customer_id FROM payment_service.payments WHERE order_id = $1", placed.id)
        given = {"customer": placed.customer, "json": {"order_id": placed.ref, "token": card}}

        asked = self.ask("payment_service", "POST", "/payments", at=at, fault=fault, **given)

        if payment is None or payment["customer_id"] is None:
            assert (asked.status, asked.code) == (404, "not_found")
        elif payment["status"] == "requires_method":
            assert (asked.status, asked.response.json()["status"]) == (201, "processing")
            self.note("a way of paying was given")
        else:
            assert (asked.status, asked.code) == (409, "order_not_payable")
