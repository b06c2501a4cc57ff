"""What the gateway adds to a request when packed: processor time of this thread, with and without it.

    python -m tests.performance.gateway [REQUESTS]

The same request, of a customer with a token, goes through the door and straight to a service that answers it with
ready bytes; in turns, so that a change of the machine's speed is in both. Nothing is sent over a socket.
"""

import asyncio
import gc
import statistics
import sys
import time

import httpx2
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.ids import new_id
from chassis.tokens import Caller, KeyPair, Role, issue
from gateway.main import app
from gateway.settings import Settings

REQUESTS, ROUND = 20_000, 500
_BODY = b'{"lines": [{"sku": "MUG-RED", "quantity": 2}]}'
_ANSWER: tuple[Message, ...] = (
    {"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"application/json")]},
    {"type": "http.response.body", "body": b"{}"},
)


async def _service(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    for message in _ANSWER:
        await send(dict(message))


async def _receive() -> Message:
    return {"type": "http.request", "body": _BODY, "more_body": False}


async def _send(_message: Message) -> None:
    """Goes nowhere."""


def _scope(token: str) -> Scope:
    told = {
        "host": "shop.example",
        "user-agent": "a client",
        "accept": "*/*",
        "content-type": "application/json",
        "content-length": str(len(_BODY)),
        "idempotency-key": "01980000-0000-7000-8000-000000000000",
        "authorization": f"Bearer {token}",
    }
    headers = [(name.encode(), value.encode()) for name, value in told.items()]
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/api/v1/orders", "raw_path": b"/api/v1/orders", "query_string": b"", "root_path": "",
        "headers": headers, "client": ("192.0.2.1", 40_000), "server": ("192.0.2.2", 80),
    }  # fmt: skip


async def _spent(asked: ASGIApp, scope: Scope) -> float:
    """Microseconds a request."""
    began = time.thread_time()
    for _ in range(ROUND):
        await asked(dict(scope), _receive, _send)
    return (time.thread_time() - began) * 1e6 / ROUND


async def _measure(requests: int) -> None:
    pair, settings = KeyPair.new(), Settings(address_rate="1000000000/minute", principal_rate="1000000000/minute")

    async def keys(_scope: Scope, _receive: Receive, send: Send) -> None:
        answer = httpx2.Response(200, json={"keys": [dict(pair.public_jwk)]})
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers.raw})
        await send({"type": "http.response.body", "body": answer.content})

    door = app({"auth_service": keys, "order_service": _service}, settings=settings)
    caller = Caller(new_id(), Role.CUSTOMER, new_id())
    scope = _scope(issue(pair, caller, issuer=settings.issuer, now=time.time()))
    for way in (door, _service):
        await _spent(way, scope)
    gc.freeze()
    rounds = [(await _spent(door, scope), await _spent(_service, scope)) for _ in range(requests // ROUND)]
    added = [through - straight for through, straight in rounds]
    low, middle, high = statistics.quantiles(added, n=4)
    told = f"added by the gateway: {middle:.1f} µs a request; half of the rounds: {low:.1f} to {high:.1f}\n"
    sys.stdout.write(told)


if __name__ == "__main__":
    asyncio.run(_measure(int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS))
