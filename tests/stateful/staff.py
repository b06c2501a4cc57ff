"""What staff does: ships, records deliveries, takes goods back, gives money back, settles what stays unresolved."""

import json
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from chassis.ids import typeid
from tests.stateful.machine import Machine, either, seldom, which

PAID = {"confirmed", "partially_shipped", "shipped", "delivered"}


class Staff(Machine):
    """The warehouse and the office. Its clients repeat what was not answered, too."""

    def _task(self, number):
        tasks = self.rows(
            "SELECT id, status FROM inventory_service.tasks WHERE kind = 'fulfil' ORDER BY status DESC, id"
        )
        return tasks[number % len(tasks)] if tasks else None

    @rule(number=which, at=either, fault=seldom)
    def ship(self, number, at, fault):
        """A task is completed once; its goods leave once."""
        if (task := self._task(number)) is None:
            return
        path, given = f"/tasks/{typeid('tsk', task['id'])}/complete", {"carrier": "Post", "tracking_number": "T-1"}

        asked = self.ask("inventory_service", "POST", path, json=given, at=at, fault=fault)

        if task["status"] == "pending" and not asked.interrupted:
            assert asked.status == 200, asked.response.text
            self.note("shipped")
        elif task["status"] == "pending":
            assert asked.status == 200 or asked.code == "task_closed"
        else:
            assert (asked.status, asked.code) == (409, "task_closed")

    def ship_everything(self):
        for _ in self.rows("SELECT 1 FROM inventory_service.tasks WHERE status = 'pending'"):
            self.ship(0, 0, None)

    def hand_over_everything(self):
        for number in range(len(self.placed)):
            self.hand_over(number, 0, None)

    @precondition(lambda self: self.placed)
    @rule(number=which, at=either, fault=seldom)
    def hand_over(self, number, at, fault):
        """Every shipment of an order reaches the customer."""
        placed = self.pick(number)
        known = self.one("SELECT shipments FROM inventory_service.reservations WHERE order_id = $1", placed.id)
        for shipment in json.loads(known["shipments"]) if known else ():
            path = f"/shipments/{typeid('shp', UUID(shipment['id']))}/delivery"
            asked = self.ask("inventory_service", "POST", path, at=at, fault=fault)
            assert asked.status == 200, asked.response.text
            self.note("a delivery was recorded")

    @precondition(lambda self: self.placed)
    @rule(number=which, at=either, fault=seldom, restocked=st.booleans())
    def take_back(self, number, at, fault, restocked):
        """One unit of an order comes back, as far as one has left."""
        placed, key = self.pick(number), self.new_key()
        sku = placed.body["lines"][0]["sku"]
        known = self.one("SELECT holds FROM inventory_service.reservations WHERE order_id = $1", placed.id)
        holds = json.loads(known["holds"]) if known else []
        out = sum(hold["shipped"] - hold["returned"] for hold in holds if hold["sku"] == sku)
        body = {"order_id": placed.ref, "lines": [{"sku": sku, "quantity": 1, "restocked": int(restocked)}]}

        asked = self.ask("inventory_service", "POST", "/returns", json=body, key=key, at=at, fault=fault)

        if out:
            assert asked.status == 201, asked.response.text
            again = self.ask("inventory_service", "POST", "/returns", json=body, key=key, at=1 - at)
            assert (again.status, again.replayed, again.response.content) == (201, True, asked.response.content)
            self.note("goods came back")
        else:
            assert asked.code == ("validation_failed" if known else "not_found")

    @precondition(lambda self: self.placed)
    @rule(number=which, amount=st.sampled_from([1, 250, 700, 5000]), at=either, fault=seldom)
    def give_back(self, number, amount, at, fault):
        """Never more than what was paid and is not on its way back already."""
        placed, key = self.pick(number), self.new_key()
        [status, total, refunds] = self.one(
            "SELECT status, total, refunds FROM order_service.orders WHERE id = $1", placed.id
        )
        left = total - sum(refund["amount"] for refund in json.loads(refunds) if refund["status"] != "failed")
        given = {"key": key, "json": {"amount": {"amount": amount, "currency": "EUR"}, "reason": "goodwill"}}

        asked = self.ask("order_service", "POST", f"/orders/{placed.ref}/refunds", at=at, fault=fault, **given)

        if status in PAID and amount <= left:
            assert asked.status == 202, asked.response.text
            again = self.ask("order_service", "POST", f"/orders/{placed.ref}/refunds", at=1 - at, **given)
            assert (again.status, again.replayed, again.response.content) == (202, True, asked.response.content)
            self.note("money was given back")
        else:
            assert (asked.status, asked.code) == (409, "refund_exceeds_paid"), asked.response.text

    @rule(number=which, outcome=st.sampled_from(["captured", "declined", "returned", "retry"]), at=either)
    def resolve(self, number, outcome, at):
        """Only what is in doubt, and never against the books."""
        payments = self.rows("SELECT id FROM payment_service.payments ORDER BY id")
        if not payments:
            return
        [payment_id] = payments[number % len(payments)]
        body = {"outcome": outcome, "evidence": "seen in the provider's books"}

        asked = self.ask("payment_service", "POST", f"/payments/{typeid('pay', payment_id)}/resolve", json=body, at=at)

        if asked.status == 200:
            self.note(f"resolved as {outcome}")
        else:
            assert asked.code in {"payment_not_resolvable", "upstream_error"}
