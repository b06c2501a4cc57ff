"""What the payment provider tells by itself: in any order, more than once, before its payment, and against it."""

import json
import time
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from chassis.ids import derived_id
from payment_service.signatures import headers
from payment_service.simulator_books import Charge
from tests.stateful.machine import Machine, either, seldom, which
from tests.stateful.shop import SECRET


class Provider(Machine):
    """Its books are the truth about money. It signs what it tells."""

    def _tell(self, event_id, body, at, fault=None):
        content = json.dumps(body).encode()
        signed = headers(SECRET, event_id, time.time(), content)
        given = {"content": content, "headers": {"content-type": "application/json", **signed}}
        asked = self.ask("payment_service", "POST", "/payments/webhooks/simulated", at=at, fault=fault, **given)
        assert asked.status == 200, asked.response.text

    @rule(number=which, at=either, times=st.integers(1, 3), fault=seldom)
    def tell(self, number, at, times, fault):
        """Something that happened, once or more often."""
        happened = self.rows("SELECT event_id, body FROM provider.notices ORDER BY event_id")
        if not happened:
            return
        event_id, body = happened[number % len(happened)]
        told = json.loads(body)
        for _ in range(times):
            self._tell(event_id, told, at, fault)
        kept = "SELECT count(*) FROM payment_service.webhook_events WHERE event_id = $1"
        assert self.one(kept, event_id)["count"] == (0 if told["type"] == "charge.in_progress" else 1)
        self.note("told again" if times > 1 else "told")

    @rule(number=which, at=either)
    def contradict(self, number, at):
        """The opposite of what is settled is kept for staff, and changes nothing."""
        self.run(self.shop.work("webhooks", at))
        settled = self.rows(
            "SELECT key, order_id, status FROM payment_service.payment_attempts"
            " WHERE status IN ('succeeded', 'failed') ORDER BY key"
        )
        if not settled:
            return
        key, order_id, status = settled[number % len(settled)]
        said = "declined" if status == "succeeded" else "captured"
        before = self._money()
        data = {"key": key, "order_id": str(order_id), "reference": "ch_wrong", "code": None}

        self._tell(f"evt_wrong_{key}", {"type": f"charge.{said}", "data": data}, at)
        self.run(self.shop.work("webhooks", at))

        assert self._money() == before

    def _money(self):
        return self.rows("SELECT order_id, status, captured, refunded FROM payment_service.payments ORDER BY order_id")

    def _untouched(self):
        """Payment requests with a card that payment_service has never heard of."""
        return [
            (event, message)
            for message in self.shop.broker.waiting
            if message.topic == "order.payment_requested"
            for event in json.loads(message.body)
            if event["data"].get("method") == "tok_ok"
            and not self.rows(
                "SELECT 1 FROM payment_service.payments WHERE order_id = $1::text::uuid", event["subject"]
            )
        ]

    @precondition(lambda self: self.placed)
    @rule(number=which, at=either)
    def tell_of_a_payment_ahead_of_it(self, number, at):
        """The provider knows of a charge before we do, as after a restore: what it tells waits for the payment."""
        self.run(self.shop.relay())
        if not (untouched := self._untouched()):
            return
        event, message = untouched[number % len(untouched)]
        key = f"pay:{derived_id(UUID(event['id']), 'step')}:1"
        amount = event["data"]["amount"]
        charge = Charge(key=key, order_id=UUID(event["subject"]), token="tok_ok", **amount)
        process = self.shop.processes["payment_service"][at]
        self.run(process.parts.own.provider.inner.simulator.books.charge([charge]))
        told = self.one("SELECT event_id, body FROM provider.notices WHERE body->'data'->>'key' = $1", key)

        self._tell(told["event_id"], json.loads(told["body"]), at)
        self.run(self.shop.work("webhooks", at))

        state = "SELECT status FROM payment_service.webhook_events WHERE event_id = $1"
        assert self.one(state, told["event_id"])["status"] == "parked"
        self.no_promise_is_broken()
        self.shop.broker.waiting.remove(message)
        self.run(self.shop.broker.deliver([message], process))
        self.note("told ahead of its payment")
