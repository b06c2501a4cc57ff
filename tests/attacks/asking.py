"""For each operation of the merged document a request that would succeed, if the one who asks were allowed to."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from inventory_service.schemas import TaskReplace
from payment_service.signatures import headers as signed
from tests.attacks.stage import ROLES, Stage
from tests.support.lively_shop import SECRET
from tests.support.people import PASSWORD, Person, an_order_for

EURO = {"amount": 1, "currency": "EUR"}


class Ask(NamedTuple):
    """What is sent: values of the path, body, headers; ``person`` asks instead, where asking ends a session."""

    path: Mapping[str, str] = {}
    json: Any = None
    headers: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    person: Person | None = None


Asking = Callable[[Stage, str], Awaitable[Ask]]
ASKING: dict[str, Asking] = {}


def _asks(*operations: str) -> Callable[[Asking], Asking]:
    def noted(asking: Asking) -> Asking:
        ASKING.update(dict.fromkeys(operations, asking))
        return asking

    return noted


def _key() -> dict[str, str]:
    return {"Idempotency-Key": uuid4().hex}


def _new_sku() -> str:
    return f"NEW-{uuid4().hex[:12].upper()}"


async def _made(stage: Stage, path: str, body: Mapping[str, Any]) -> Any:
    return (await stage.people["staff"].post(path, body)).raise_for_status().json()


async def _stand_in(stage: Stage, identity: str) -> Person | None:
    return await stage.shop.somebody(ROLES[identity]) if identity in ROLES else None


@_asks(
    "getJwks", "getMe", "exportMe", "listSessions", "listApiKeys", "listUsers", "listOrders", "listProducts",
    "listStock", "listReservations", "listTasks", "listPayments", "listTestTokens", "listNotifications",
    "getPreferences",
)  # fmt: skip
async def plainly(_stage: Stage, _identity: str) -> Ask:
    return Ask()


# --- accounts


@_asks("registerUser")
async def register(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"email": f"{uuid4().hex}@shop.test", "password": PASSWORD})


@_asks("login")
async def login(stage: Stage, _identity: str) -> Ask:
    return Ask(json={"email": stage.people["another customer"].email, "password": PASSWORD})


@_asks("loginForm")
async def login_form(stage: Stage, _identity: str) -> Ask:
    return Ask(form={"username": stage.people["another customer"].email, "password": PASSWORD})


@_asks("exchangeToken")
async def exchange(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"token": "somebody's"})


@_asks("exchangeApiKey")
async def exchange_key(stage: Stage, _identity: str) -> Ask:
    body = {"name": "program", "scopes": ["orders:read"]}
    made = await (await stage.shop.somebody()).post("/auth/api-keys", body)
    return Ask(json={"api_key": made.json()["api_key"]})


@_asks("refreshToken")
async def refresh(stage: Stage, identity: str) -> Ask:
    tokens = await stage.shop.client.post("/auth/login", json=(await login(stage, identity)).json)
    return Ask(json={"refresh_token": tokens.json()["refresh_token"]})


@_asks("updateMe")
async def update_me(stage: Stage, identity: str) -> Ask:
    version = (await stage.people[identity].get("/auth/me"))["version"] if identity in ROLES else 1
    return Ask(json={"full_name": "Somebody Else"}, headers={"If-Match": f'"{version}"'})


@_asks("changePassword")
async def change_password(stage: Stage, identity: str) -> Ask:
    body = {"current_password": PASSWORD, "new_password": f"new {PASSWORD}"}
    return Ask(json=body, person=await _stand_in(stage, identity))


@_asks("logout")
async def logout(stage: Stage, identity: str) -> Ask:
    return Ask(person=await _stand_in(stage, identity))


@_asks("revokeSession")
async def revoke_session(stage: Stage, _identity: str) -> Ask:
    owner = stage.people["owner"]
    await stage.shop.client.post("/auth/login", json={"email": owner.email, "password": PASSWORD})
    sessions = (await owner.get("/auth/sessions"))["data"]
    return Ask({"session_id": next(session["id"] for session in sessions if not session["current"])})


@_asks("createApiKey")
async def create_api_key(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"name": "another", "scopes": ["orders:read"]})


@_asks("revokeApiKey")
async def revoke_api_key(stage: Stage, _identity: str) -> Ask:
    made = await stage.people["owner"].post("/auth/api-keys", {"name": "of the owner", "scopes": ["orders:read"]})
    return Ask({"key_id": made.json()["id"]})


@_asks("getUser", "exportUser")
async def a_user(stage: Stage, _identity: str) -> Ask:
    return Ask({"user_id": stage.owner_id})


@_asks("updateUser")
async def update_user(stage: Stage, _identity: str) -> Ask:
    return Ask({"user_id": stage.owner_id}, json={"full_name": "Named By Another"})


@_asks("deleteUser")
async def delete_user(stage: Stage, _identity: str) -> Ask:
    victim = await stage.shop.somebody()
    return Ask({"user_id": (await victim.get("/auth/me"))["id"]})


# --- orders


@_asks("createQuote")
async def quote(stage: Stage, _identity: str) -> Ask:
    return Ask(json={"lines": [{"sku": stage.sku, "quantity": 1}]})


@_asks("createOrder")
async def order(stage: Stage, _identity: str) -> Ask:
    return Ask(json=an_order_for(stage.sku), headers=_key())


@_asks("getOrder", "listOrderEvents")
async def an_order(stage: Stage, _identity: str) -> Ask:
    return Ask({"order_id": stage.orders["paid"][0]["id"]})


@_asks("streamOrder")
async def stream(stage: Stage, _identity: str) -> Ask:
    return Ask({"order_id": stage.orders["cancelled"][0]["id"]})


@_asks("cancelOrder")
async def cancel(stage: Stage, _identity: str) -> Ask:
    return Ask({"order_id": stage.orders["pending"][0]["id"]})


@_asks("payOrder")
async def pay(stage: Stage, _identity: str) -> Ask:
    return Ask({"order_id": stage.order("declined")["id"]}, json={"token": "tok_ok"}, headers=_key())


@_asks("refundOrder")
async def refund(stage: Stage, _identity: str) -> Ask:
    body = {"amount": EURO, "reason": "goodwill"}
    return Ask({"order_id": stage.orders["paid"][0]["id"]}, json=body, headers=_key())


# --- products, stock, tasks


@_asks("getProduct", "getAvailability", "getStock", "listMovements")
async def a_sku(stage: Stage, _identity: str) -> Ask:
    return Ask({"sku": stage.sku})


@_asks("createProduct")
async def create_product(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"sku": _new_sku(), "name": "New", "price": EURO})


@_asks("updateProduct", "archiveProduct")
async def change_product(stage: Stage, identity: str) -> Ask:
    made = await _made(stage, "/products", (await create_product(stage, identity)).json)
    return Ask({"sku": made["sku"]}, json={"name": "Newer"}, headers={"If-Match": f'"{made["version"]}"'})


@_asks("adjustStock")
async def adjust(stage: Stage, _identity: str) -> Ask:
    return Ask({"sku": stage.sku}, json={"delta": 1, "reason": "received"}, headers=_key())


@_asks("createTask")
async def create_task(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"title": "Sweep the floor"})


@_asks("getTask", "deleteTask")
async def a_task(stage: Stage, identity: str) -> Ask:
    made = await _made(stage, "/tasks", (await create_task(stage, identity)).json)
    return Ask({"task_id": made["id"]})


@_asks("updateTask", "replaceTask")
async def change_task(stage: Stage, identity: str) -> Ask:
    made = await _made(stage, "/tasks", (await create_task(stage, identity)).json)
    kept = {name: made[name] for name in TaskReplace.model_fields}
    return Ask({"task_id": made["id"]}, json=kept, headers={"If-Match": f'"{made["version"]}"'})


@_asks("completeTask")
async def complete_task(stage: Stage, identity: str) -> Ask:
    return await a_task(stage, identity)


@_asks("recordDelivery")
async def deliver(stage: Stage, _identity: str) -> Ask:
    return Ask({"shipment_id": await stage.shipment()})


@_asks("receiveReturn")
async def take_back(stage: Stage, _identity: str) -> Ask:
    line = {"sku": stage.sku, "quantity": 1, "restocked": 1}
    return Ask(json={"order_id": stage.orders["shipped"][0]["id"], "lines": [line]}, headers=_key())


# --- payments, notifications


@_asks("getPayment", "listRefunds")
async def a_payment(stage: Stage, _identity: str) -> Ask:
    return Ask({"id": await stage.payment()})


@_asks("createPayment")
async def create_payment(stage: Stage, _identity: str) -> Ask:
    return Ask(json={"order_id": stage.order("unpaid")["id"], "token": "tok_ok"}, headers=_key())


@_asks("resolvePayment")
async def resolve(stage: Stage, _identity: str) -> Ask:
    body = {"outcome": "captured", "evidence": "a call to the provider"}
    return Ask({"id": await stage.payment()}, json=body, headers=_key())


@_asks("receiveProviderWebhook")
async def webhook(stage: Stage, _identity: str) -> Ask:
    told = {"type": "charge.captured", "data": {"key": "of nobody", "order_id": str(uuid4())}}
    return Ask({"provider": "simulated"}, json=told, headers=signed(SECRET, uuid4().hex, time.time(), _body(told)))


@_asks("getNotification")
async def a_notification(stage: Stage, _identity: str) -> Ask:
    return Ask({"notification_id": await stage.notification(stage.orders["paid"][0])})


@_asks("resendNotification")
async def resend(stage: Stage, _identity: str) -> Ask:
    return Ask({"notification_id": await stage.notification(stage.order("mailed"))})


@_asks("setPreferences")
async def prefer(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"opted_out": []})


def _body(told: Mapping[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
