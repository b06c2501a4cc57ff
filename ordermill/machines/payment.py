"""The payment as a machine: three attempts at most, one refund beside the reversal, and the provider's answers."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from contracts.orders import OrderCancellationRequested, PaymentRequested, RefundRequested
from contracts.types import CancelPhase, CancelReason, RefundId, RefundReason
from ordermill.machines.driving import (
    CUSTOMER,
    NOON,
    ORDER,
    SIZES,
    TOTAL,
    Abstract,
    Driven,
    Item,
    Make,
    Things,
    euros,
    fields_of,
    found,
    items,
)
from ordermill.services import load

ATTEMPTS = (1, 2, 3)
LONG = timedelta(minutes=16)
ALL = RefundId(UUID(int=20))
REFUNDS = {size: RefundId(UUID(int=21 + at)) for at, size in enumerate(SIZES)}
CANCELLATIONS = ((CancelPhase.PRE, 1), (CancelPhase.POST, 1), (CancelPhase.POST, 2))
ASKED = {"processing", "unknown"}


def payment() -> Driven:
    service = load("payment_service")
    kinds = items(service)
    triggers = _facts() | _answers(kinds["ProviderAnswered"]) | _people(kinds)
    return Driven(service=service, start={}, triggers=triggers, abstract=_abstract)


def _facts() -> dict[str, Make]:
    triggers: dict[str, Make] = {}
    for number in ATTEMPTS:
        for name, method in (("card", "tok_ok"), ("later", None)):
            asked = PaymentRequested(
                order_id=ORDER, customer_id=CUSTOMER, attempt=number, amount=euros(TOTAL), method=method
            )
            triggers[f"{asked.topic}:{number}:{name}"] = _said(asked)
    for phase, number in CANCELLATIONS:
        cancelled = OrderCancellationRequested(
            order_id=ORDER, phase=phase, reason=CancelReason.CUSTOMER, cancel_no=number
        )
        triggers[f"{cancelled.topic}:{phase}:{number}"] = _said(cancelled)
    everything = RefundRequested(order_id=ORDER, refund_id=ALL, reason=RefundReason.CANCELLED)
    triggers[f"{everything.topic}:all"] = _said(everything)
    for size, amount in SIZES.items():
        reason = RefundReason.GOODWILL
        part = RefundRequested(order_id=ORDER, refund_id=REFUNDS[size], reason=reason, amount=euros(amount))
        triggers[f"{part.topic}:{size}"] = _said(part)
    return triggers


def _said(fact: Any) -> Make:
    return lambda _things: Item(fact)


def _answers(kind: type) -> dict[str, Make]:
    answer = fields_of(kind)["answer"]
    outcome = fields_of(answer)["outcome"]
    done = answer(outcome=outcome("done"), reference="ref_1")
    denied = answer(outcome=outcome("denied"), code="card_declined")
    silent = answer(outcome=outcome("unknown"))

    def on(find: Any, said: Any, at: timedelta = timedelta(0)) -> Make:
        def make(things: Things) -> Item | None:
            asked = next((asked for known in found(things, "Payment") if (asked := find(known))), None)
            return asked and Item(kind(order_id=ORDER, key=asked.call.key, answer=said), NOON + at)

        return make

    triggers = {"provider.reversed": on(_reversal, done), "provider.reversal_refused": on(_reversal, denied)}
    for number in ATTEMPTS:
        triggers[f"provider.charged:{number}"] = on(_attempt(number), done)
        triggers[f"provider.declined:{number}"] = on(_attempt(number), denied)
        triggers[f"provider.silent:{number}"] = on(_attempt(number), silent)
        triggers[f"provider.silent_for_long:{number}"] = on(_attempt(number), silent, LONG)
    for size in SIZES:
        triggers[f"provider.refunded:{size}"] = on(_refund(size), done)
        triggers[f"provider.refund_refused:{size}"] = on(_refund(size), denied)
        triggers[f"provider.refund_silent:{size}"] = on(_refund(size), silent)
    return triggers


def _attempt(number: int) -> Any:
    return lambda known: next((attempt for attempt in known.attempts if attempt.number == number), None)


def _refund(size: str) -> Any:
    return lambda known: next((refund for refund in known.refunds if refund.id == REFUNDS[size]), None)


def _reversal(known: Any) -> Any:
    return next((refund for refund in reversed(known.refunds) if refund.reverses), None)


def _people(kinds: dict[str, Any]) -> dict[str, Make]:
    def resolve(things: Things) -> Item | None:
        reversal = next((asked for known in found(things, "Payment") if (asked := _reversal(known))), None)
        fields = fields_of(kinds["ResolvePayment"])
        return reversal and Item(
            kinds["ResolvePayment"](
                order_id=ORDER,
                outcome=fields["outcome"]("retry"),
                evidence="the bank says that it works again",
                key=reversal.call.key,
                books=fields["books"](answer=None),
            )
        )

    given = kinds["CreatePayment"](order_id=ORDER, customer_id=CUSTOMER, method="tok_ok")
    return {"create_payment": _said(given), "resolve:retry": resolve}


_REFUND = {"requested": "asked", "sent": "asked", "unknown": "unknown", "succeeded": "done", "failed": "refused"}


def _abstract(things: Things) -> Abstract:
    for known in found(things, "Payment"):
        sizes = {refund_id: size for size, refund_id in REFUNDS.items()}
        refunds = [f"{sizes[it.id]}:{_REFUND[it.status]}" for it in known.refunds if not it.reverses]
        asked = known.status in ASKED
        return {
            "status": str(known.status),
            "attempt": len(known.attempts),
            "flagged": known.cancel_flagged and asked,
            "person": (asked and known.attempts[-1].call.unresolved_at is not None) or _is_refused(known),
            "refund": " ".join(refunds),
        }
    return {"status": "none"}


def _is_refused(known: Any) -> bool:
    reversal = _reversal(known)
    return known.status == "reversing" and reversal is not None and reversal.status == "failed"
