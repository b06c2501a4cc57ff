"""For each operation on orders and what they are made of a request that would succeed, if it were allowed."""

import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from inventory_service.schemas import TaskReplace
from payment_service.signatures import headers as signed
from tests.attacks.ask import Ask, Asking, noting
from tests.attacks.stage import Stage
from tests.support.lively_shop import SECRET
from tests.support.people import an_order_for

EURO = {"amount": 1, "currency": "EUR"}
ASKING: dict[str, Asking] = {}
asks = noting(ASKING)


def _key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


def _new_sku() -> str:
    return f"NEW-{uuid4().hex[:12].upper()}"


async def _made(stage: Stage, path: str, body: Mapping[str, Any]) -> Any:
    return (await stage.people["staff"].post(path, body)).raise_for_status().json()


@asks(
    "listOrders", "listProducts", "listStock", "listReservations", "listTasks", "listPayments", "listTestTokens",
    "listNotifications", "getPreferences",
)  # fmt: skip
async def plainly(_stage: Stage, _identity: str) -> Ask:
    return Ask()


# --- orders


@asks("createQuote")
async def quote(stage: Stage, _identity: str) -> Ask:
    return Ask(json={"lines": [{"sku": stage.sku, "quantity": 1}]})


@asks("createOrder")
async def order(stage: Stage, _identity: str) -> Ask:
    return Ask(json=an_order_for(stage.sku), headers=_key())


@asks("getOrder", "listOrderEvents")
async def an_order(stage: Stage, _identity: str) -> Ask:
    return Ask({"order_id": stage.orders["paid"][0]["id"]})


@asks("streamOrder")
async def stream(stage: Stage, _identity: str) -> Ask:
    return Ask({"order_id": stage.orders["cancelled"][0]["id"]})


@asks("cancelOrder")
async def cancel(stage: Stage, _identity: str) -> Ask:
    return Ask({"order_id": stage.orders["pending"][0]["id"]})


@asks("payOrder")
async def pay(stage: Stage, _identity: str) -> Ask:
    return Ask({"order_id": stage.order("declined")["id"]}, json={"token": "tok_ok"}, headers=_key())


@asks("refundOrder")
async def refund(stage: Stage, _identity: str) -> Ask:
    body = {"amount": EURO, "reason": "goodwill"}
    return Ask({"order_id": stage.orders["paid"][0]["id"]}, json=body, headers=_key())


# --- products, stock, tasks


@asks("getProduct", "getAvailability", "getStock", "listMovements")
async def a_sku(stage: Stage, _identity: str) -> Ask:
    return Ask({"sku": stage.sku})


@asks("createProduct")
async def create_product(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"sku": _new_sku(), "name": "New", "price": EURO})


@asks("updateProduct", "archiveProduct")
async def change_product(stage: Stage, identity: str) -> Ask:
    made = await _made(stage, "/products", (await create_product(stage, identity)).json)
    return Ask({"sku": made["sku"]}, json={"name": "Newer"}, headers={"If-Match": f'"{made["version"]}"'})


@asks("adjustStock")
async def adjust(stage: Stage, _identity: str) -> Ask:
    return Ask({"sku": stage.sku}, json={"delta": 1, "reason": "received"}, headers=_key())


@asks("createTask")
async def create_task(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"title": "Sweep the floor"})


@asks("getTask", "deleteTask")
async def a_task(stage: Stage, identity: str) -> Ask:
    made = await _made(stage, "/tasks", (await create_task(stage, identity)).json)
    return Ask({"task_id": made["id"]})


@asks("updateTask", "replaceTask")
async def change_task(stage: Stage, identity: str) -> Ask:
    made = await _made(stage, "/tasks", (await create_task(stage, identity)).json)
    kept = {name: made[name] for name in TaskReplace.model_fields}
    return Ask({"task_id": made["id"]}, json=kept, headers={"If-Match": f'"{made["version"]}"'})


@asks("completeTask")
async def complete_task(stage: Stage, identity: str) -> Ask:
    return await a_task(stage, identity)


@asks("recordDelivery")
async def deliver(stage: Stage, _identity: str) -> Ask:
    return Ask({"shipment_id": await stage.shipment()})


@asks("receiveReturn")
async def take_back(stage: Stage, _identity: str) -> Ask:
    line = {"sku": stage.sku, "quantity": 1, "restocked": 1}
    return Ask(json={"order_id": stage.orders["shipped"][0]["id"], "lines": [line]}, headers=_key())


# --- payments, notifications


@asks("getPayment", "listRefunds")
async def a_payment(stage: Stage, _identity: str) -> Ask:
    return Ask({"id": await stage.payment()})


@asks("createPayment")
async def create_payment(stage: Stage, _identity: str) -> Ask:
    return Ask(json={"order_id": stage.order("unpaid")["id"], "token": "tok_ok"}, headers=_key())


@asks("resolvePayment")
async def resolve(stage: Stage, _identity: str) -> Ask:
    body = {"outcome": "captured", "evidence": "a call to the provider"}
    return Ask({"id": await stage.payment()}, json=body, headers=_key())


@asks("receiveProviderWebhook")
async def webhook(stage: Stage, _identity: str) -> Ask:
    told = {"type": "charge.captured", "data": {"key": "of nobody", "order_id": str(uuid4())}}
    return Ask({"provider": "simulated"}, json=told, headers=signed(SECRET, uuid4().hex, time.time(), _body(told)))


@asks("getNotification")
async def a_notification(stage: Stage, _identity: str) -> Ask:
    return Ask({"notification_id": await stage.notification(stage.orders["paid"][0])})


@asks("resendNotification")
async def resend(stage: Stage, _identity: str) -> Ask:
    return Ask({"notification_id": await stage.notification(stage.order("mailed"))})


@asks("setPreferences")
async def prefer(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"opted_out": []})


def _body(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
