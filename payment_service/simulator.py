"""The simulated provider: honours idempotency keys, keeps its own books, and misbehaves when a test token asks for it.

It runs inside of payment_service, or as a process of its own: ``app`` is that process.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import httpx2
from fastapi import FastAPI, Header, Response
from loguru import logger
from pydantic import Field
from pydantic_core import to_json

from chassis import neighbours
from chassis.database import OUTAGE, Database
from chassis.http import Readable
from chassis.tasks import forever, running
from contracts.text import ONE_LINE
from contracts.types import LARGEST, Amount, Currency
from payment_service.bearer import OnlyWithKey
from payment_service.cards import Conduct, card
from payment_service.settings import ProviderSettings
from payment_service.signatures import headers
from payment_service.simulator_books import REUSED, Books, Charge, Reply, Return

SLOW_FOR, SILENT_FOR, HIDDEN_FOR = 6.0, 15.0, timedelta(seconds=12)
LOOK_EVERY = 5.0
BROKEN = Reply("error", "processing_error")

Replies = dict[str, Reply]
Post = Callable[[bytes, dict[str, str]], Awaitable[int]]


class Work(NamedTuple):
    """Replies that become known together, and the keys that they are for."""

    keys: Sequence[str]
    replies: Awaitable[Replies]


class Simulator:
    """The provider itself, wherever it runs."""

    def __init__(self, books: Books, settings: ProviderSettings) -> None:
        self.books = books
        self._scale = settings.simulator_scale
        self._secret = settings.webhook_secret.get_secret_value()
        self._tells_all = settings.simulator_tells == "all"
        self._look_at = 0.0

    def charge(self, asked: Sequence[Charge]) -> Iterator[Work]:
        """One work for all cards that behave, one for each that does not: no card waits for another."""
        prompt = [one for one in asked if card(one.token).conduct is Conduct.PROMPT]
        if prompt:
            yield Work([one.key for one in prompt], self._book(prompt))
        for one in asked:
            if (conduct := card(one.token).conduct) is not Conduct.PROMPT:
                yield Work([one.key], self._misbehave(one, conduct))

    async def _book(self, asked: Sequence[Charge]) -> Replies:
        replies = await self.books.charge(asked)
        if self._tells_all or any(card(one.token).told for one in asked):
            self._look_at = 0.0
        return replies

    async def _misbehave(self, one: Charge, conduct: Conduct) -> Replies:
        if known := await self.books.charged([one]):
            return known
        match conduct:
            case Conduct.SLOW:
                await asyncio.sleep(SLOW_FOR * self._scale)
            case Conduct.BROKEN_TWICE if (await self.books.count([one.key]))[one.key] <= 2:  # noqa: PLR2004 -- twice
                return {one.key: BROKEN}
            case Conduct.SILENT_UNPAID if (await self.books.count([one.key]))[one.key] == 1:
                return await self._silence(one)
            case Conduct.SILENT_PAID:
                await self.books.charge([one], HIDDEN_FOR * self._scale)
                return await self._silence(one)
        return await self._book([one])

    async def _silence(self, one: Charge) -> Replies:
        await asyncio.sleep(SILENT_FOR * self._scale)
        return {one.key: BROKEN}

    def refund(self, asked: Sequence[Return]) -> Iterator[Work]:
        """Refunds are prompt, all of them."""
        yield Work([one.key for one in asked], self._refund(asked))

    async def _refund(self, asked: Sequence[Return]) -> Replies:
        replies = await self.books.refund(asked)
        if self._tells_all:
            self._look_at = 0.0
        return replies

    async def tell(self, post: Post) -> bool:
        """Tells what is due; says whether there was something. What is not taken is told again later."""
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + LOOK_EVERY
        due = await self.books.claim_notices()
        for notice in due:
            for _ in range(notice["left"]):
                await self._tell(post, notice["event_id"], to_json(notice["body"]))
        return bool(due)

    async def _tell(self, post: Post, event_id: str, body: bytes) -> None:
        status = await post(body, headers(self._secret, event_id, time.time(), body))
        if status == 200:  # noqa: PLR2004 -- the one answer that means: taken
            await self.books.told(event_id)
        else:
            logger.warning("a webhook was answered {}, again in 10 s", status)


class Charged(Readable):
    """A request to charge."""

    order_id: UUID
    token: str
    amount: Amount
    currency: Currency


class Returned(Readable):
    """A request to return."""

    charge_key: str
    amount: Annotated[int, Field(gt=0, le=LARGEST)]


Key = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]
Known = Annotated[str, ONE_LINE]


def app(settings: ProviderSettings) -> FastAPI:
    """The provider as an ASGI application with its own connections to its own books."""
    database = Database(settings.provider_database_url.get_secret_value())
    simulator = Simulator(Books(database, tells_all=settings.simulator_tells == "all"), settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await database.open()
        async with neighbours.at("", most=neighbours.WORD, within=10) as client:
            tell = partial(_tell, simulator, client, settings.webhook_url or "")
            async with running(*([forever("telling", tell, longest_pause=0.3)] if settings.webhook_url else [])):
                yield
        await database.close()

    provider = FastAPI(title="provider", lifespan=lifespan, docs_url=None, redoc_url=None)
    _route(provider, simulator)
    _probe(provider, database)
    provider.add_middleware(OnlyWithKey, key=settings.provider_key)
    return provider


async def _tell(simulator: Simulator, client: httpx2.AsyncClient, url: str) -> None:
    await simulator.tell(partial(post, client, url))


async def post(client: httpx2.AsyncClient, url: str, body: bytes, signed: dict[str, str]) -> int:
    """Sends one message; returns the status of the answer."""
    response = await client.post(url, content=body, headers={"content-type": "application/json", **signed})
    return response.status_code


def _route(provider: FastAPI, simulator: Simulator) -> None:
    @provider.post("/charges")
    async def charge(key: Key, it: Charged) -> Response:
        [work] = simulator.charge([Charge(key=key, **it.model_dump())])
        return _answer(await work.replies, key)

    @provider.get("/charges/{key}")
    async def find_charge(key: Known) -> Response:
        return _answer(await simulator.books.find([key]), key)

    @provider.post("/refunds")
    async def refund(key: Key, it: Returned) -> Response:
        [work] = simulator.refund([Return(key=key, **it.model_dump())])
        return _answer(await work.replies, key)

    @provider.get("/refunds/{key}")
    async def find_refund(key: Known) -> Response:
        return _answer(await simulator.books.find_refunds([key]), key)


_STATUS = {"error": 500, "in_progress": 409}


def _answer(replies: Replies, key: str) -> Response:
    reply = replies.get(key)
    status = 404 if reply is None else 422 if reply == REUSED else _STATUS.get(reply.status, 200)
    return Response(to_json(reply), status, media_type="application/json")


def _probe(provider: FastAPI, database: Database) -> None:
    @provider.get("/livez")
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @provider.get("/readyz")
    async def ready(response: Response) -> dict[str, Any]:
        try:
            async with database.transaction(read_only=True) as tx:
                await tx.sql("SELECT 1 FROM provider.charges LIMIT 1")
        except OUTAGE as outage:
            response.status_code = 503
            return {"status": "unready", "reasons": [type(outage).__name__]}
        return {"status": "ok"}
