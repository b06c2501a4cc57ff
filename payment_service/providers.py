"""Who moves the money: one small interface, the simulated provider inside of this process, and the one behind HTTP.

Each call takes many and gives answers as soon as they are known, together what is known together.
An adapter never raises: it says unknown.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import httpx2
from loguru import logger
from pydantic import TypeAdapter

from chassis import neighbours
from chassis.database import Database
from contracts.types import CODE_LENGTH
from payment_service import bearer
from payment_service.domain.payment import Answer, Held, Outcome
from payment_service.settings import Settings
from payment_service.simulator import Simulator, Work
from payment_service.simulator_books import Books, Charge, Reply, Return

IDLE = 8
_REPLY = TypeAdapter(Reply)  # more fields are no mistake


class Said(NamedTuple):
    """An answer to the call under a key; None says that the books do not know the key, which is never an outcome."""

    key: str
    answer: Answer | None


class Provider(Protocol):
    """A payment provider that honours idempotency keys."""

    def charge(self, asked: Sequence[Charge]) -> AsyncIterator[Sequence[Said]]: ...

    def find(self, keys: Sequence[str]) -> AsyncIterator[Sequence[Said]]: ...

    def refund(self, asked: Sequence[Return]) -> AsyncIterator[Sequence[Said]]: ...

    def find_refund(self, keys: Sequence[str]) -> AsyncIterator[Sequence[Said]]: ...


_OUTCOMES = {
    "captured": Outcome.DONE,
    "succeeded": Outcome.DONE,
    "declined": Outcome.DENIED,
    "refused": Outcome.DENIED,
}


def outcome_of(status: str) -> Outcome:
    """What a status of the simulated provider means; one that is not final, or that we do not know, means nothing."""
    return _OUTCOMES.get(status, Outcome.UNKNOWN)


def held(amount: int | None, currency: str | None) -> Held | None:
    """The money that the provider speaks of; one that says only half of it, as older ones do, speaks of none."""
    return None if amount is None or currency is None else Held(amount, currency)


def _answer(reply: Reply | None) -> Answer | None:
    if reply is None:
        return None
    code, money = reply.code and reply.code[:CODE_LENGTH], held(reply.amount, reply.currency)
    return Answer(outcome=outcome_of(reply.status), reference=reply.reference, code=code, held=money)


async def _as_known(works: Iterable[Work], limit: timedelta) -> AsyncIterator[Sequence[Said]]:
    tasks = [asyncio.ensure_future(_within(work, limit)) for work in works]
    try:
        for known in asyncio.as_completed(tasks):
            yield await known
    finally:
        for task in tasks:
            task.cancel()


async def _within(work: Work, limit: timedelta) -> list[Said]:
    try:
        replies = await asyncio.wait_for(work.replies, limit.total_seconds())
    except TimeoutError:
        return [Said(key, Answer(outcome=Outcome.UNKNOWN, code="timeout")) for key in work.keys]
    except Exception as failure:  # noqa: BLE001 -- whatever went wrong, nobody knows now whether money moved
        logger.warning("the provider failed: {!r}", failure)
        return [Said(key, Answer(outcome=Outcome.UNKNOWN, code=type(failure).__name__)) for key in work.keys]
    return [Said(key, _answer(replies.get(key))) for key in work.keys]


class InProcess:
    """The simulated provider inside of this process."""

    def __init__(self, simulator: Simulator, timeout: timedelta) -> None:
        self.simulator = simulator
        self._timeout = timeout

    def charge(self, asked: Sequence[Charge]) -> AsyncIterator[Sequence[Said]]:
        return _as_known(self.simulator.charge(asked), self._timeout)

    def find(self, keys: Sequence[str]) -> AsyncIterator[Sequence[Said]]:
        return _as_known([Work(keys, self.simulator.books.find(keys))], self._timeout)

    def refund(self, asked: Sequence[Return]) -> AsyncIterator[Sequence[Said]]:
        return _as_known(self.simulator.refund(asked), self._timeout)

    def find_refund(self, keys: Sequence[str]) -> AsyncIterator[Sequence[Said]]:
        return _as_known([Work(keys, self.simulator.books.find_refunds(keys))], self._timeout)


class OverHttp:
    """A provider behind HTTP: every call is a request of its own."""

    def __init__(self, client: httpx2.AsyncClient, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout

    def charge(self, asked: Sequence[Charge]) -> AsyncIterator[Sequence[Said]]:
        return self._gather({one.key: self._post("/charges", one.key, _charge_body(one)) for one in asked})

    def find(self, keys: Sequence[str]) -> AsyncIterator[Sequence[Said]]:
        return self._gather({key: self._get("/charges", key) for key in keys})

    def refund(self, asked: Sequence[Return]) -> AsyncIterator[Sequence[Said]]:
        bodies = {one.key: {"charge_key": one.charge_key, "amount": one.amount} for one in asked}
        return self._gather({key: self._post("/refunds", key, body) for key, body in bodies.items()})

    def find_refund(self, keys: Sequence[str]) -> AsyncIterator[Sequence[Said]]:
        return self._gather({key: self._get("/refunds", key) for key in keys})

    def _gather(self, calls: dict[str, Awaitable[httpx2.Response]]) -> AsyncIterator[Sequence[Said]]:
        return _as_known([Work([key], _reply(key, call)) for key, call in calls.items()], self._timeout)

    async def _post(self, path: str, key: str, body: dict[str, Any]) -> httpx2.Response:
        return await self._client.post(path, json=body, headers={"Idempotency-Key": key})

    async def _get(self, path: str, key: str) -> httpx2.Response:
        return await self._client.get(f"{path}/{quote(key, safe='')}")


def _charge_body(one: Charge) -> dict[str, Any]:
    return {"order_id": str(one.order_id), "token": one.token, "amount": one.amount, "currency": one.currency}


async def _reply(key: str, call: Awaitable[httpx2.Response]) -> dict[str, Reply]:
    response = await call
    match response.status_code:
        case 200:
            return {key: _REPLY.validate_json(response.content)}
        case 404:
            return {}
        case 401:
            logger.error("the provider does not know our key")
    return {key: Reply("error", f"http_{response.status_code}")}


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[InProcess | OverHttp]:
    """The provider that the settings name."""
    if settings.provider_url is None:
        database = Database(settings.books)
        await database.open()
        books = Books(database, tells_all=settings.simulator_tells == "all")
        try:
            yield InProcess(Simulator(books, settings), settings.provider_timeout)
        finally:
            await database.close()
    else:
        # Each request asks every idle connection whether it is still open: after a burst, that was half of the work.
        limits = httpx2.Limits(max_connections=settings.calls_in_flight, max_keepalive_connections=IDLE)
        url, timeout = settings.provider_url, settings.provider_timeout.total_seconds()
        shown = bearer.headers(settings.provider_key)
        async with neighbours.at(url, shown, most=neighbours.WORD, within=timeout, limits=limits) as client:
            yield OverHttp(client, settings.provider_timeout)
