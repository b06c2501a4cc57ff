"""Bugs for the machine: each takes one belt of the shop away in this process, and has to be noticed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pytest

from chassis.idempotency import Claims
from chassis.inbox import Claimed, Inbox
from chassis.items import Parcel
from chassis.pipeline import Pipeline
from chassis.relay import Relay
from contracts.orders import RefundRequested
from contracts.payments import PaymentCancelled, PaymentSucceeded
from contracts.stock import StockReleased
from contracts.types import CancelPhase, RefundId, RefundReason, ReturnKind
from inventory_service.domain import allocation, reservation
from inventory_service.domain.reservation import Outcome, Status
from order_service.domain import cancellation, life
from order_service.domain.status import OrderStatus
from payment_service import charging
from payment_service.domain import attempt, payment, refund
from tests.stateful import walks
from tests.stateful.sequence import Walk
from tests.support.new_keys import under_new_keys


def no_inbox_and_no_guard(monkeypatch):
    claim, advance = Inbox.claim, life.advance

    async def claim_all(self, tx, messages, subjects):
        claimed = await claim(self, tx, messages, subjects)
        return Claimed(claimed.now, frozenset(messages), claimed.held_up)

    def confirm_again(order, fact, refund_id, now):
        if order.status is OrderStatus.CONFIRMED and isinstance(fact, PaymentSucceeded):
            return life.confirm(order, now)
        return advance(order, fact, refund_id, now)

    monkeypatch.setattr(Inbox, "claim", claim_all)
    monkeypatch.setattr(life, "advance", confirm_again)


def no_tombstone_in_stock(monkeypatch):
    release = reservation.release

    def forget(known, fact, tasks, step):
        if known is None:
            return Outcome(reservation=None, events=(StockReleased(order_id=fact.order_id),))
        return release(known, fact, tasks, step)

    monkeypatch.setattr(reservation, "release", forget)


def no_tombstone_in_payment(monkeypatch):
    cancel = refund.cancel

    def forget(known, fact, step):
        if known is None:
            return None, (PaymentCancelled(order_id=fact.order_id, kind=ReturnKind.NONE),)
        return cancel(known, fact, step)

    monkeypatch.setattr(refund, "cancel", forget)


def answers_are_not_stored(monkeypatch):
    async def store_nothing(_self, _tx, _answers):
        return

    monkeypatch.setattr(Claims, "store", store_nothing)


def a_webhook_settles_again(monkeypatch):
    monkeypatch.setattr(attempt.Attempt, "is_live", property(lambda _self: True))


def expiry_releases_stock(monkeypatch):
    commit = reservation.commit

    def commit_what_is_fresh(known, fact, step):
        if known and known.status is Status.HELD and step.at - known.updated_at > timedelta(minutes=30):
            return reservation._released(known, (), step)
        return commit(known, fact, step)

    monkeypatch.setattr(reservation, "commit", commit_what_is_fresh)


def a_timeout_is_a_decline(monkeypatch):
    answered = charging._answered

    def decline(call, answer, began):
        denied = replace(answer, outcome=payment.Outcome.DENIED)
        return answered(call, denied if answer.outcome is payment.Outcome.UNKNOWN else answer, began)

    monkeypatch.setattr(charging, "_answered", decline)


def a_new_key_for_each_try(monkeypatch):
    monkeypatch.setattr(charging, "_asked", under_new_keys())


def refunded_before_the_warehouse_agrees(monkeypatch):
    begin = cancellation.begin

    def refund_at_once(order, phase, reason, now):
        after, events = begin(order, phase, reason, now)
        asked = RefundRequested(order_id=order.id, refund_id=RefundId(order.id), reason=RefundReason.CANCELLED)
        return after, (*events, *([asked] if phase is CancelPhase.POST else ()))

    monkeypatch.setattr(cancellation, "begin", refund_at_once)


def a_late_success_is_kept(monkeypatch):
    learn = attempt.learn

    def keep(known, asked, answer, step):
        if known.cancel_flagged and answer.outcome is payment.Outcome.DONE and asked.is_live:
            return attempt._captured(known, asked, answer, step)
        return learn(known, asked, answer, step)

    monkeypatch.setattr(attempt, "learn", keep)


def stock_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(reservation, "missing", lambda *_: None)
    monkeypatch.setattr(
        reservation,
        "allocate",
        lambda wanted, _: tuple(
            allocation.Hold(sku=sku, warehouse="main", quantity=quantity) for sku, quantity in wanted.items()
        ),
    )


def acknowledged_before_the_commit(monkeypatch):
    interrupted = Pipeline._interrupted

    async def acknowledge(self, entries, cause):
        for entry in entries:
            if isinstance(entry, Parcel):
                entry.settled.set_result(None)
        await interrupted(self, [entry for entry in entries if not isinstance(entry, Parcel)], cause)

    monkeypatch.setattr(Pipeline, "_interrupted", acknowledge)


def marked_before_it_is_confirmed(monkeypatch):
    async def step(self, connection, publisher):
        if not (rows := await connection.fetch(self._due)):
            return False
        await connection.execute(self._mark, *zip(*((row["id"], row["not_before"]) for row in rows), strict=True))
        return bool(await publisher.publish(rows))

    monkeypatch.setattr(Relay, "step", step)


class Bug(NamedTuple):
    """How it is planted, a walk that brings it out, and what the machine says when it notices."""

    plant: Callable[[pytest.MonkeyPatch], None]
    walk: Walk
    seen_as: str


BUGS = {
    "no inbox and no guard": Bug(no_inbox_and_no_guard, walks.TOLD_TWICE, "come to rest"),
    "no tombstone in stock": Bug(no_tombstone_in_stock, walks.CANCELLED_BEFORE_IT_WAS_HELD, "S5"),
    "no tombstone in payment": Bug(no_tombstone_in_payment, walks.CANCELLED_BEFORE_IT_WAS_CHARGED, "P5"),
    "answers are not stored": Bug(answers_are_not_stored, (walks.opened(), walks.REPEAT), "another answer"),
    "a webhook settles again": Bug(a_webhook_settles_again, (walks.opened(lived=1), walks.TELL, walks.HOUR), "E6"),
    "expiry releases stock": Bug(expiry_releases_stock, walks.PAID_LATE, "S6"),
    "a timeout is a decline": Bug(a_timeout_is_a_decline, walks.IN_DOUBT, "P4"),
    "a new key for each try": Bug(a_new_key_for_each_try, walks.IN_DOUBT, "P1"),
    "refunded before the warehouse agrees": Bug(
        refunded_before_the_warehouse_agrees, (walks.opened(lived=1), walks.CANCEL), "E6"
    ),
    "a late success is kept": Bug(a_late_success_is_kept, walks.CANCELLED_WHILE_IT_IS_CHARGED, "O3"),
    "stock is not looked at": Bug(
        stock_is_not_looked_at, (walks.opened(shelves=walks.NOTHING), walks.HOUR), "come to rest"
    ),
    "acknowledged before the commit": Bug(acknowledged_before_the_commit, walks.CUT_WHILE_IT_IS_HELD, "E3"),
    "marked before it is confirmed": Bug(marked_before_it_is_confirmed, (walks.opened(), walks.PARCELS_ARE_LOST), "E3"),
}
