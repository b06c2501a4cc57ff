"""An order's whole story: what each service did about it and when, on one timeline."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ordermill.tables import money

if TYPE_CHECKING:
    from ordermill.client import Caller

Thing = Mapping[str, Any]
ENDINGS = {"committed", "released", "consumed"}


class Step(NamedTuple):
    """Something that happened; ``at`` as the API writes it, which sorts as text."""

    at: str
    service: str
    what: str
    detail: str


async def story(caller: "Caller", order_id: str) -> tuple[Thing, list[Step]]:
    """The order, and its timeline."""
    order = await caller.get(f"/orders/{order_id}")
    asked = ("/payments", "/reservations", "/tasks", "/notifications")
    history, *others = await asyncio.gather(
        caller.listed(f"/orders/{order_id}/events"), *(caller.listed(path, order_id=order_id) for path in asked)
    )
    payments, reservations, tasks, notifications = others
    refunds = [refund for payment in payments for refund in await caller.listed(f"/payments/{payment['id']}/refunds")]
    steps = [
        *_each(_of_order, history), *_each(partial(_of_reservation, tasks), reservations), *_each(_of_task, tasks),
        *_each(_of_payment, payments), *_each(_of_refund, refunds), *_each(_of_mail, notifications),
    ]  # fmt: skip
    return order, sorted(steps, key=lambda step: step.at)


def _each(steps_of: Any, things: list[dict[str, Any]]) -> Iterator[Step]:
    for thing in things:
        yield from (step for step in steps_of(thing) if step.at)


def _of_order(entry: Thing) -> Iterator[Step]:
    before, after = entry["from"], entry["to"]
    what = f"{before} → {after}" if before and before != after else f"order {after}"
    yield Step(entry["at"], "order_service", what, f"{entry['cause']}, {entry['actor']}; {entry['payment_status']}")


def _of_reservation(tasks: Sequence[Thing], reservation: Thing) -> Iterator[Step]:
    status, opened = reservation["status"], reservation["created_at"]
    held = ", ".join(f"{hold['quantity']} × {hold['sku']} in {hold['warehouse']}" for hold in reservation["holds"])
    yield Step(opened, "inventory_service", f"stock {'held' if status in ENDINGS else status}", held)
    yield Step(_committed_at(tasks), "inventory_service", "stock committed", "")
    if status == "released":
        yield Step(reservation["updated_at"], "inventory_service", "stock released", "")
    if status == "consumed":
        gone_at = max(shipment["dispatched_at"] for shipment in reservation["shipments"])
        yield Step(gone_at, "inventory_service", "stock consumed", "")
    for shipment in reservation["shipments"]:
        detail = " ".join(filter(None, (shipment["id"], shipment["carrier"], shipment["tracking"])))
        yield Step(shipment["dispatched_at"], "inventory_service", "shipment dispatched", detail)
        yield Step(shipment["delivered_at"], "inventory_service", "shipment delivered", shipment["id"])


def _committed_at(tasks: Sequence[Thing]) -> str:
    """A reservation says how it stands only; the tasks to ship it are opened as it is committed, and stay."""
    return min((task["created_at"] for task in tasks if task["kind"] == "fulfil"), default="")


def _of_task(task: Thing) -> Iterator[Step]:
    yield Step(task["created_at"], "inventory_service", "task opened", f"{task['id']} {task['title']}")
    if task["status"] == "cancelled":
        yield Step(task["updated_at"], "inventory_service", "task cancelled", task["id"])
    yield Step(task["completed_at"], "inventory_service", "task completed", task["id"])


def _of_payment(payment: Thing) -> Iterator[Step]:
    opened = f"{payment['id']} {money(payment['amount'])}".rstrip()
    yield Step(payment["created_at"], "payment_service", "payment opened", opened)
    for attempt in payment["attempts"]:
        detail = attempt["failure"]["code"] if attempt["failure"] else attempt["provider_reference"] or ""
        settled = attempt["settled_at"] or payment["updated_at"]
        yield Step(settled, "payment_service", f"attempt {attempt['attempt']} {attempt['status']}", detail)
    for told in payment["contradictions"]:
        yield Step(told["received_at"], "payment_service", "webhook contradicts", f"{told['provider']} {told['type']}")


def _of_refund(refund: Thing) -> Iterator[Step]:
    yield Step(refund["requested_at"], "payment_service", "refund requested", f"{refund['id']} {refund['reason']}")
    amount = f"{money(refund['amount'])} {refund['failure_code'] or ''}".rstrip()
    yield Step(refund["settled_at"], "payment_service", f"refund {refund['status']}", amount)


def _of_mail(mail: Thing) -> Iterator[Step]:
    state = "" if mail["sent_at"] else f" is {mail['status']} {mail['reason'] or ''}".rstrip()
    yield Step(mail["created_at"], "notification_service", "mail queued", f"{mail['template']}{state}")
    yield Step(mail["sent_at"], "notification_service", "mail sent", mail["template"])
