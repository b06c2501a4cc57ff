"""A small shop behind a real socket, for tests of commands: as much of the HTTP API as they ask, kept in memory."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from chassis.problems import Problem

AT = "2026-01-02T03:04:05.000Z"
COURSES = {
    "tok_ok": [("awaiting_payment", "pending"), ("confirmed", "paid")],
    "tok_declined": [("awaiting_payment", "failed")],
    "tok_lost": [("awaiting_payment", "pending")],
}
Item = dict[str, Any]


def euros(amount: int) -> Item:
    return {"amount": amount, "currency": "EUR"}


def an_order(number: int, owner: str, lines: list[Item]) -> Item:
    total = euros(1299 * sum(line["quantity"] for line in lines))
    return {
        "id": f"ord_{number}", "number": f"N-{number}", "status": "pending", "payment_status": "pending",
        "fulfilment_status": "unfulfilled", "customer_id": owner, "lines": lines, "total": total,
        "refunded_total": euros(0), "failure": None, "cancel_reason": None, "pay_by": None, "trace_id": "t1",
        "created_at": AT,
    }  # fmt: skip


class SmallShop:
    """Accounts, orders, lists. ``broken`` holds the codes of the problems that the next POSTs of orders answer."""

    def __init__(self) -> None:
        self.url = ""
        self.accounts: dict[str, tuple[str, str]] = {}
        self.sessions: dict[str, str] = {}
        self.refreshable: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.orders: dict[str, Item] = {}
        self.keys: dict[tuple[str, str | None], str] = {}
        self.lists: dict[str, list[Item]] = {"/payments/test-tokens": [{"token": token} for token in COURSES]}
        self.stock: Counter[str] = Counter()
        self.broken: list[str] = []
        self.detail = "They are not those of an account."
        self.after_order = lambda: None

    def expire(self) -> None:
        """Every access token that is out there."""
        self.sessions.clear()

    def answer(self, request: Request, body: Any) -> Response:
        self.asked[f"{request.method} {request.url.path.removeprefix('/api/v1')}"] += 1
        for method, path, respond in ROUTES:
            match = re.fullmatch(path, request.url.path.removeprefix("/api/v1"))
            if match and method == request.method:
                return respond(self, request, body, *match.groups())
        raise Problem("not_found")

    def register(self, _request: Request, body: Item) -> Response:
        self.accounts[body["email"]] = (body["password"], "customer")
        return JSONResponse({}, 201)

    def login(self, _request: Request, body: Item) -> Response:
        if self.accounts.get(body["email"], ("", ""))[0] != body["password"]:
            raise Problem("credentials_wrong", self.detail)
        return self._tokens(body["email"])

    def refresh(self, _request: Request, body: Item) -> Response:
        if body["refresh_token"] not in self.refreshable:
            raise Problem("refresh_reused")
        self.refreshable.discard(body["refresh_token"])
        return self._tokens(body["refresh_token"].partition(" ")[0])

    def _tokens(self, email: str) -> Response:
        number = self.asked.total()
        access, refresh = f"{email}:{number}", f"{email} {number}"
        self.sessions[access] = email
        self.refreshable.add(refresh)
        return JSONResponse({"access_token": access, "refresh_token": refresh})

    def caller(self, request: Request) -> str:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.sessions:
            raise Problem("token_expired" if token else "token_missing")
        return self.sessions[token]

    def staff(self, request: Request) -> None:
        if self.accounts[self.caller(request)][1] == "customer":
            raise Problem("forbidden")

    def place(self, request: Request, body: Item) -> Response:
        owner, key = self.caller(request), request.headers.get("idempotency-key")
        if self.broken:
            raise Problem(self.broken.pop(0))
        if known := self.keys.get((owner, key)):
            return JSONResponse(self.orders[known], 201, {"Idempotent-Replayed": "true"})
        order = an_order(len(self.orders) + 1, owner, body["lines"])
        self.orders[order["id"]] = order
        self.keys[owner, key] = order["id"]
        order["course"] = list(COURSES.get(body.get("payment", {}).get("token"), COURSES["tok_ok"]))
        self._take(order)
        if "prefer" in request.headers:
            self._advance(order)
        self.after_order()
        return JSONResponse(order, 201)

    def _take(self, order: Item) -> None:
        for line in order["lines"]:
            if line["quantity"] > self.stock[line["sku"]]:
                order["course"] = [("rejected", "cancelled")]
            else:
                self.stock[line["sku"]] -= line["quantity"]

    def _advance(self, order: Item) -> None:
        if order["course"]:
            order["status"], order["payment_status"] = order["course"].pop(0)

    def order(self, request: Request, _body: Item, order_id: str) -> Response:
        self.caller(request)
        if order_id not in self.orders:
            raise Problem("not_found", "There is no such order.")
        self._advance(self.orders[order_id])
        return JSONResponse(self.orders[order_id])

    def cancel(self, request: Request, _body: Item, order_id: str) -> Response:
        self.caller(request)
        order = self.orders[order_id]
        if order["course"] == [("rejected", "cancelled")] or order["status"] == "rejected":
            raise Problem("order_not_cancellable")
        order.update(status="cancelling", cancel_reason="operator", course=[("cancelled", "refunded")])
        return JSONResponse(order, 202)

    def pay(self, request: Request, _body: Item, order_id: str) -> Response:
        self.caller(request)
        order = self.orders[order_id]
        order.update(payment_status="pending", course=[("confirmed", "paid")])
        return JSONResponse(order, 202)

    def adjust(self, request: Request, body: Item, sku: str) -> Response:
        self.staff(request)
        self.stock[sku] += body["delta"]
        moved = {"id": "mov_1", "sku": sku, "kind": "adjust", "reserved_delta": 0, "actor": "usr_1", "created_at": AT}
        return JSONResponse({**moved, **body}, 201)

    def listed(self, request: Request, _body: Item, path: str) -> Response:
        """The page of a list that the cursor, an index, asks for; `public` are those that need no token."""
        if path not in {"/products", "/payments/test-tokens"}:
            self.staff(request)
        items = list(self.orders.values()) if path == "/orders" else self.lists.get(path, [])
        for name in ("status", "role", "low"):
            wanted = request.query_params.getlist(name)
            items = [item for item in items if not wanted or str(item[name]) in wanted]
        first, limit = int(request.query_params.get("cursor", 0)), int(request.query_params.get("limit", 20))
        more = first + limit < len(items)
        page = {"data": items[first : first + limit], "has_more": more, "next_cursor": str(first + limit)}
        return JSONResponse(page | ({} if more else {"next_cursor": None}))

    def text(self, _request: Request, _body: Item) -> Response:
        return Response("a page of somebody else", 404)


ROUTES = (
    ("POST", r"/auth/register", SmallShop.register),
    ("POST", r"/auth/login", SmallShop.login),
    ("POST", r"/auth/refresh", SmallShop.refresh),
    ("POST", r"/orders", SmallShop.place),
    ("POST", r"/orders/([^/]+)/cancel", SmallShop.cancel),
    ("POST", r"/orders/([^/]+)/payments", SmallShop.pay),
    ("POST", r"/stock/([^/]+)/adjustments", SmallShop.adjust),
    ("GET", r"/orders/([^/]+)", SmallShop.order),
    ("GET", r"/elsewhere/api/v1/.*", SmallShop.text),
    ("GET", r"(/.*)", SmallShop.listed),
)


@contextmanager
def a_small_shop() -> Iterator[SmallShop]:
    """A small shop that answers at its URL until the block ends."""
    shop = SmallShop()

    async def answer(request: Request) -> Response:
        body = await request.json() if await request.body() else {}
        try:
            return shop.answer(request, body)
        except Problem as problem:
            return problem.answer(request.url.path, "req_1")

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none", lifespan="off")
    server = uvicorn.Server(config)
    started = threading.Event()
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        started.wait(0.01)
    shop.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield shop
    finally:
        server.should_exit = True
        thread.join()
