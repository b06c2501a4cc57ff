"""Puts a service's parts together, as an api, a worker or both."""

from asyncio import Event
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import httpx2
from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import MetaData

from chassis.assertions import Assertions
from chassis.batch import Work
from chassis.database import Database
from chassis.decisions import Decisions
from chassis.deferred import Deferred, DeferredEvents
from chassis.handover import Handover
from chassis.idempotency import Claims
from chassis.inbox import Inbox
from chassis.outbox import Outbox
from chassis.pipeline import Pipeline
from chassis.settings import ServiceSettings
from chassis.store import Store
from chassis.tasks import running
from chassis.tokens import Verifier
from chassis.watch import Watch

# Tries a deferred event in a process of its own; says whether that process survived it.
Apart = Callable[[Deferred], Awaitable[bool]]


@dataclass(slots=True, eq=False)
class Parts:
    """What a running service consists of, in one process.

    Attributes:
        assertions: tells who comes.
        own: what its ``Service.own`` opened.
        is_open: set once all of it is there. Only neighbours in the same process can ask earlier, and they wait.
        apart: how an event whose process has died twice is tried a third time; None parks it then.
    """

    service: "Service"
    settings: Any
    database: Database
    pipeline: Pipeline
    work: Work
    peers: Mapping[str, httpx2.AsyncClient]
    verifier: Verifier
    assertions: Assertions
    watch: Watch
    own: Any = None
    is_open: Event = field(default_factory=Event)
    apart: Apart | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """Work that a worker does by itself.

    Attributes:
        step: does some of it; called again at once while it says True.
        every: seconds until the next look.
        woken: whether a commit of this process's pipeline brings the next look forward; where a loop takes over what is
            made for it (``Service.handover``), only one that had to leave something.
    """

    name: str
    step: Callable[[Parts], Awaitable[bool]]
    every: float = 1.0
    woken: bool = True


class Hot(NamedTuple):
    """A route that is served without FastAPI's machinery where nothing about a request is unusual.

    ``endpoint`` is called as ``endpoint(body, caller, edge, key, prefer)``; FastAPI's route calls the same.
    """

    path: str
    body: type[BaseModel]
    endpoint: Callable[..., Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service as its ``main`` describes it. Nothing is opened before it runs.

    Attributes:
        router: routes under ``/api/v1``; ``internal`` ones are for neighbours, ``unversioned`` ones have no prefix.
        refusals: the code of ``chassis.problems`` for each refusal of the domain.
        own: opens what only this service needs; its value is ``Parts.own``.
        handover: how a worker's loop takes over what decisions make for it.
        hot: the busiest POST of ``router``.
    """

    name: str
    settings: type[ServiceSettings]
    metadata: MetaData
    decisions: Decisions
    store: Store
    router: APIRouter
    internal: APIRouter = field(default_factory=APIRouter)
    unversioned: APIRouter = field(default_factory=APIRouter)
    refusals: Mapping[type[Exception], str] = field(default_factory=dict)
    loops: tuple[Loop, ...] = ()
    own: Callable[[Parts], AbstractAsyncContextManager[Any]] | None = None
    handover: Callable[[Parts], Handover] | None = None
    hot: Hot | None = None


Peers = Mapping[str, httpx2.AsyncClient]


def work_of(service: Service) -> Work:
    """What a service's pipeline decides with, and where it keeps what it has decided."""
    return Work(
        decisions=service.decisions,
        store=service.store,
        refusals=tuple(service.refusals),
        inbox=Inbox(service.name),
        outbox=Outbox(service.name),
        deferred=DeferredEvents(service.name),
        claims=Claims(service.name),
    )


def parts_of(service: Service, settings: ServiceSettings, peers: Peers) -> Parts:
    """A service's parts, not yet opened."""
    database = Database(settings.database_url.get_secret_value(), size=settings.database_connections)
    work = work_of(service)
    return Parts(
        service=service,
        settings=settings,
        database=database,
        pipeline=Pipeline(service.name, database, work),
        work=work,
        peers=peers,
        verifier=_verifier(peers, settings.issuer),
        assertions=Assertions(service.name, settings.edge_key),
        watch=Watch(database, f"{service.name}_changed"),
    )


def _verifier(peers: Peers, issuer: str) -> Verifier:
    async def ask(path: str) -> Any:
        response = await peers["auth_service"].get(path)
        response.raise_for_status()
        return response.json()

    async def jwks() -> dict[str, Any]:
        keys: dict[str, Any] = await ask("/.well-known/jwks.json")
        return keys

    async def ended() -> list[UUID]:
        return [UUID(one) for one in (await ask("/internal/revocations"))["ended"]]

    return Verifier(jwks, ended, issuer=issuer)


@asynccontextmanager
async def opened(parts: Parts, *works: Awaitable[object]) -> AsyncIterator[Parts]:
    """Opens the database, starts works, the pipeline's among them, opens what the service owns; closes in reverse.

    So what the service owns can still hand in what it has under way when it is closed.
    """
    async with AsyncExitStack() as stack:
        await parts.database.open()
        stack.push_async_callback(parts.database.close)
        if works:
            await stack.enter_async_context(running(*works))
            stack.push_async_callback(parts.pipeline.close)
        if parts.service.own is not None:
            parts.own = await stack.enter_async_context(parts.service.own(parts))
        parts.is_open.set()
        yield parts
