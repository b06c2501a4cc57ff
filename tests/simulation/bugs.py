"""Deliberate bugs: each replaces a piece of the product by what somebody might have written, and has to be noticed.

A bug is a function of the shop that says what to replace: owner, name, replacement.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

from chassis.app import Loop, Parts
from chassis.batch import Batch
from chassis.consumer import Consumer
from chassis.database import CONFLICT, OUTAGE
from chassis.decisions import Cause, Decision, Rule, State
from chassis.idempotency import Claims
from chassis.inbox import Claimed, Inbox
from chassis.items import Command
from chassis.outbox import Outbox
from chassis.relay import Relay
from contracts.orders import RefundRequested
from contracts.payments import PaymentCancelled
from contracts.stock import StockReleased, StockReserved
from contracts.types import CancelPhase, RefundId, RefundReason, ReturnKind
from inventory_service import handlers
from inventory_service.domain import reservation
from inventory_service.domain.allocation import Hold
from inventory_service.domain.reservation import Outcome, Reservation, Status
from order_service.domain import cancellation, life
from order_service.domain.status import OrderStatus
from payment_service import charging
from payment_service.domain import attempt, refund
from payment_service.domain import payment as payments
from tests.simulation import shop as shops
from tests.simulation.shop import SERVICES, Shop
from tests.simulation.simulation import Bug
from tests.support.new_keys import under_new_keys

Replacement = tuple[Any, str, Any]


def no_tombstone_in_stock(_shop: Shop) -> Iterator[Replacement]:
    original = reservation.release

    def release(known, fact, tasks, step):
        if known is None:
            return Outcome(reservation=None, events=(StockReleased(order_id=fact.order_id),))
        return original(known, fact, tasks, step)

    yield reservation, "release", release


def no_tombstone_in_payment(_shop: Shop) -> Iterator[Replacement]:
    original = refund.cancel

    def cancel(payment, fact, step):
        if payment is None and fact.phase is CancelPhase.PRE:
            return None, (PaymentCancelled(order_id=fact.order_id, kind=ReturnKind.NONE),)
        return original(payment, fact, step)

    yield refund, "cancel", cancel


@dataclass(frozen=True)
class LetGo:
    order_id: UUID


def expiry_releases_stock(shop: Shop) -> Iterator[Replacement]:
    """Inventory has a clock of its own."""

    def let_go(state: State, command: LetGo, cause: Cause) -> Decision:
        known = state.find(Reservation, command.order_id)
        if known is None or known.status is not Status.HELD:
            return Decision(ignored="not held")
        return handlers._decided(state, reservation._released(known, (), handlers._step(cause, known.order_id)))

    async def step(parts: Parts) -> bool:
        old = shop.world.now() - timedelta(seconds=1)
        for row in shop.rows("inventory_service", "reservations"):
            if row["status"] == "held" and row["created_at"] < old:
                await parts.pipeline.submit(LetGo(row["order_id"]))
        return False

    service = SERVICES["inventory_service"]
    rule = Rule(lambda command: ((Reservation, command.order_id),), let_go)
    yield handlers.decisions, "rules", {**handlers.decisions.rules, LetGo: rule}
    with_clock = replace(service, loops=(*service.loops, Loop("expiry", step, every=0.5)))
    yield shops, "SERVICES", {**SERVICES, "inventory_service": with_clock}


def a_timeout_is_a_decline(_shop: Shop) -> Iterator[Replacement]:
    original = attempt.learn

    def learn(payment, asked, answer, step):
        if answer.outcome is payments.Outcome.UNKNOWN:
            answer = replace(answer, outcome=payments.Outcome.DENIED)
        return original(payment, asked, answer, step)

    yield attempt, "learn", learn


def _new_key_per_try(kind: str) -> Bug:
    return lambda _shop: [(charging, "_asked", under_new_keys(kind))]


def refund_before_the_warehouse_agrees(_shop: Shop) -> Iterator[Replacement]:
    original = cancellation.begin

    def begin(order, phase, reason, now):
        after, events = original(order, phase, reason, now)
        if phase is CancelPhase.POST:
            refund_id = RefundId(uuid5(order.id, "early"))
            request = RefundRequested(order_id=order.id, refund_id=refund_id, reason=RefundReason.CANCELLED)
            events = (*events, request)
        return after, events

    yield cancellation, "begin", begin


def late_success_is_not_reversed(_shop: Shop) -> Iterator[Replacement]:
    original = attempt.learn

    def learn(payment, asked, answer, step):
        if answer.outcome is payments.Outcome.DONE:
            payment = replace(payment, cancel_flagged=False)
        return original(payment, asked, answer, step)

    yield attempt, "learn", learn


def unconditional_reserve(shop: Shop) -> Iterator[Replacement]:
    def allocate(wanted, stocks):
        return tuple(
            Hold(sku=sku, warehouse=stocks[sku].levels[0].warehouse, quantity=quantity)
            for sku, quantity in wanted.items()
        )

    shop.schemas["inventory_service"].tables["stock"].checks.clear()
    yield reservation, "missing", lambda *_: None
    yield reservation, "allocate", allocate


def publish_without_outbox(shop: Shop) -> Iterator[Replacement]:
    async def add(self, _tx, told):
        channel = await shop.broker.connect("")
        for topic in dict.fromkeys(one.event.topic for one in told):
            for id_, _, events, _ in self._parcels(topic, told):
                with suppress(Exception):
                    async with asyncio.timeout(1):
                        await channel.basic_publish(
                            events.encode(),
                            exchange=f"{self.service}.events",
                            routing_key=topic,
                            properties=SimpleNamespace(message_id=str(id_)),
                            mandatory=False,
                        )
        channel.end()

    yield Outbox, "add", add


def mark_before_confirm(_shop: Shop) -> Iterator[Replacement]:
    async def step(self, connection, publisher):
        rows = await connection.fetch(self._due)
        if rows:
            await connection.execute(self._mark, *zip(*((row["id"], row["not_before"]) for row in rows), strict=True))
        await publisher.publish(rows)
        return bool(rows)

    yield Relay, "step", step


def acknowledge_first(_shop: Shop) -> Iterator[Replacement]:
    async def receive(self, message):
        redelivered = message.redelivered
        await message.ack()
        await self.settle(message.message_id, message.routing_key, message.body, redelivered=redelivered)

    yield Consumer, "receive", receive


def no_inbox_and_no_guard(_shop: Shop) -> Iterator[Replacement]:
    claim, advance = Inbox.claim, life.advance

    async def claim_everything(self, tx, messages: Sequence[UUID], subjects):
        claimed = await claim(self, tx, messages, subjects)
        return Claimed(claimed.now, frozenset(messages), claimed.held_up)

    def advance_again(order, fact, refund_id, now):
        if isinstance(fact, StockReserved) and order.status is OrderStatus.CONFIRMED:
            return life.await_payment(order, now)
        return advance(order, fact, refund_id, now)

    yield Inbox, "claim", claim_everything
    yield life, "advance", advance_again


def partial_batch_kept_after_a_failure(_shop: Shop) -> Iterator[Replacement]:
    async def together(self, tx):
        _, items = await self._claim(tx)
        for item in items:
            try:
                await self._settle(tx, [item])
            except (*OUTAGE, *CONFLICT):
                raise
            except Exception:
                if isinstance(item.entry, Command):
                    raise  # of a fact, the bug: the others are kept, and this one is forgotten

    yield Batch, "together", together


def keys_are_not_remembered(_shop: Shop) -> Iterator[Replacement]:
    async def store(_self, _tx, _answers):
        await asyncio.sleep(0)

    yield Claims, "store", store


BUGS: dict[str, Bug] = {
    "no tombstone in stock": no_tombstone_in_stock,
    "no tombstone in payment": no_tombstone_in_payment,
    "expiry releases stock": expiry_releases_stock,
    "timeout is a decline": a_timeout_is_a_decline,
    "new key per try": _new_key_per_try("pay:"),
    "refund before the warehouse agrees": refund_before_the_warehouse_agrees,
    "late success not reversed": late_success_is_not_reversed,
    "unconditional reserve": unconditional_reserve,
    "publish without outbox": publish_without_outbox,
    "mark before confirm": mark_before_confirm,
    "acknowledge first": acknowledge_first,
    "no inbox and no guard": no_inbox_and_no_guard,
    "refund not idempotent": _new_key_per_try("ref:"),
    "partial batch kept after a failure": partial_batch_kept_after_a_failure,
    "keys are not remembered": keys_are_not_remembered,
}
