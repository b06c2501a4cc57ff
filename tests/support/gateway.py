"""A gateway with something behind it: applications on real sockets, and peers that break the rules of HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx2
import uvicorn
from fastapi import FastAPI, Request

from chassis.boundary import Boundary
from chassis.openapi import DocumentedAPI
from gateway.app import gateway
from gateway.guard import Guard
from gateway.proxy import Proxy
from tests.support.eventually import eventually

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(app) -> AsyncIterator[str]:
    """The URL of an application on a socket of its own."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())  # `serve` would take the test run's signals
    await eventually(lambda: server.started or serving.done())
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def a_door_to(url: str, guard: Guard | None = None, **patience: timedelta) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a gateway on a socket, which forwards to this URL."""
    proxy = Proxy(url, **patience)
    door = gateway({"order_service": Boundary(proxy, "gateway")}, guard=guard)
    async with served(door) as address, httpx2.AsyncClient(base_url=address) as client:
        yield client
    await proxy.aclose()


@asynccontextmanager
async def talking(conversation: Conversation) -> AsyncIterator[str]:
    """The URL of a server that says exactly these bytes, however wrong, and then closes."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await conversation(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def a_service(name: str = "order_service", noun: str = "orders") -> FastAPI:
    """A service that tells what it was asked."""
    app = DocumentedAPI(title=name)

    @app.get(f"/api/v1/{noun}", operation_id=f"list_{noun}")
    async def asked(request: Request) -> dict[str, object]:
        return {"service": name, "headers": request.headers.items(), "query": request.url.query}

    @app.post(f"/api/v1/{noun}", operation_id=f"create_{noun}")
    async def measured(request: Request) -> int:
        return len(await request.body())

    @app.get("/internal/contacts", include_in_schema=False)
    async def contacts() -> str:
        return "secret"

    @app.get("/readyz", include_in_schema=False)
    async def ready() -> dict[str, object]:
        return {"ready": True, "reasons": {}}

    @app.get("/health", include_in_schema=False)
    async def health() -> dict[str, str]:
        return {"status": "ok", "service": name, "version": "1"}

    app.add_middleware(Boundary, service=name)
    return app


def a_client(app) -> httpx2.AsyncClient:
    """A client of an application in this process."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://shop.example")
