"""Forwards requests to a service in other processes over HTTP: bodies and streams pass through piece by piece."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, nullcontext, suppress
from datetime import timedelta

from loguru import logger
from starlette.types import Receive, Scope, Send

from chassis.admission import HERE, Crowded
from chassis.assertions import Asserter
from chassis.forwarded import site_of
from chassis.problems import Problem
from gateway.answer import Answer, Broken, Lost
from gateway.connections import Connection, Unreached
from gateway.forwarding import Body, ClientGone, Unsayable, answer_headers, request_head
from gateway.headers import refuse
from gateway.instances import AllOut, Full, Instance, Instances

SAFE = {"GET", "HEAD", "OPTIONS"}
PROMPT = 0.05  # seconds; only a client that waits for longer is watched, whether it leaves
REST_WITHIN = 1.0  # seconds, for an answer that has begun when its client leaves
_FAILURES = (AllOut, Broken, Crowded, Full, Lost, TimeoutError, Unreached, Unsayable)


class Proxy:
    """A service at the base URLs of its instances, as an ASGI application; `asserter` tells it who asks."""

    def __init__(
        self,
        *urls: str,
        asserter: Asserter | None = None,
        connect_within: timedelta = timedelta(seconds=1),
        answer_within: timedelta = timedelta(seconds=35),
        silence_within: timedelta = timedelta(seconds=60),
    ) -> None:
        self._instances = Instances(urls, connect_within.total_seconds())
        self._asserter = asserter
        self._answer_within = answer_within.total_seconds()
        self._silence_within = silence_within.total_seconds()

    async def aclose(self) -> None:
        """Closes the connections."""
        self._instances.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forwards until the answer has passed or the client has left; then the service's side is ended as well."""
        passed = _Passed(scope, send, self._silence_within)
        try:
            with _place(scope):
                await self._forward(scope, Body(scope, receive), passed)
        except ClientGone:
            return
        except _FAILURES as failure:
            logger.warning("{} {}: {!r}", scope["method"], scope["path"], failure)
            # When the head is out, only a cut connection can tell the client that the answer is not whole.
            if not passed.has_begun:
                await refuse(_problem(failure), scope, receive, send)

    async def _forward(self, scope: Scope, body: Body, passed: "_Passed") -> None:
        await body.open()
        instance = self._instances.choose()
        try:
            await self._ask(instance, scope, body, passed)
        except _Again as again:
            other = self._instances.choose(besides=instance)
            if other is instance and not again.even_here:
                raise again.cause from None
            await self._ask(other, scope, body, passed, is_last=True)

    async def _ask(
        self, instance: Instance, scope: Scope, body: Body, passed: "_Passed", *, is_last: bool = False
    ) -> None:
        with instance.asked() as pending:
            connection = await self._connected(instance, scope, is_last=is_last)
            try:
                head = request_head(scope, instance.connections.base, self._asserter)
                answer = connection.ask(scope["method"], head + body.so_far)
                passed.told_by(instance, pending)
                await self._pass_on(answer, connection, body, passed)
            except Lost as failure:
                is_stale = connection.was_used and not answer.has_begun
                if is_stale and _may_be_repeated(scope) and not is_last:
                    raise _Again(failure, even_here=True) from failure
                passed.fails()
                raise
            except (Broken, TimeoutError):
                passed.fails()
                raise
            finally:
                if not body.is_read:
                    connection.close()  # the service would take the next request for the rest of this one
                instance.connections.give_back(connection)

    async def _connected(self, instance: Instance, scope: Scope, *, is_last: bool) -> Connection:
        try:
            return await instance.connected(new=is_last)
        except Unreached as failure:
            if is_last:
                raise
            raise _Again(failure, even_here=scope["method"] in SAFE) from failure

    async def _pass_on(self, answer: Answer, connection: Connection, body: Body, passed: "_Passed") -> None:
        if body.is_read and await _is_prompt(answer):
            await passed.pass_on(answer)
            return
        async with _watched(answer, connection, body, self._answer_within):
            async with asyncio.timeout(self._answer_within):
                await answer.head()
            await passed.pass_on(answer)


class _Again(Exception):
    """The request did not reach the service, and may be sent once more: elsewhere, or even to the same instance."""

    def __init__(self, cause: Exception, *, even_here: bool) -> None:
        self.cause = cause
        self.even_here = even_here


async def _is_prompt(answer: Answer) -> bool:
    """Whether the whole answer is there at once, as nearly all are: then nobody need watch its client."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PROMPT):
            await answer.head()
    return answer.is_whole


@asynccontextmanager
async def _watched(answer: Answer, connection: Connection, body: Body, patience: float) -> AsyncIterator[None]:
    """Passes the rest of the request on meanwhile; when its client leaves, a short answer is waited for all the same.

    The service works on it anyhow, and a new connection for each who leaves would cost more than most answers.
    """

    async def watch() -> None:
        try:
            await body.pass_on(connection)
        except Exception as failure:  # noqa: BLE001 -- whoever waits for the answer is told
            if body.is_read:
                answer.leave(failure)
                await asyncio.sleep(REST_WITHIN if answer.status else patience)
            answer.fail(failure)

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _may_be_repeated(scope: Scope) -> bool:
    """Whether sending it twice does what sending it once does (RFC 9110, 9.2.2, and our idempotency keys)."""
    return scope["method"] in SAFE or any(name == b"idempotency-key" for name, _ in scope["headers"])


class _Passed:
    """What the client has of the answer, and who tells it.

    Once an answer has begun its instance is a good one: what ends it early may be its client, who reads it slowly.
    """

    _instance: Instance
    _pending: ExitStack

    def __init__(self, scope: Scope, send: Send, silence_within: float) -> None:
        self._scope = scope
        self._send = send
        self._silence_within = silence_within
        self.has_begun = False

    def told_by(self, instance: Instance, pending: ExitStack) -> None:
        """Who is asked for it, and what of that ends as soon as it has begun."""
        self._instance, self._pending = instance, pending

    def fails(self) -> None:
        """The answer ends before it is whole."""
        if not self.has_begun:
            self._instance.failed()

    async def pass_on(self, answer: Answer) -> None:
        self._instance.answered()
        self._pending.close()
        if answer.is_whole:
            await self._begin(answer)
            await self._send({"type": "http.response.body", "body": answer.taken()})
        elif answer.is_endless:
            with _looking_on(self._scope):
                await self._begin(answer)
                # It would never end by itself. Its reader comes again, and says what it has seen last.
                with suppress(TimeoutError):
                    async with HERE.until_the_end():
                        await self._pieces(answer)
                await self._end()
        else:
            await self._begin(answer)
            await self._pieces(answer)
            await self._end()

    async def _begin(self, answer: Answer) -> None:
        self.has_begun = True
        headers = answer_headers(answer.headers)
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def _pieces(self, answer: Answer) -> None:
        async for piece in answer.pieces(self._silence_within):
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _place(scope: Scope) -> AbstractContextManager[object, bool | None]:
    """Where a request counts: among those at work, or, of somebody whom we know, among those who wait for news.

    When too many do, it is not made to wait: nobody has to honour a preference (RFC 7240).
    """
    others = [pair for pair in scope["headers"] if pair[0] != b"prefer"]
    if len(others) == len(scope["headers"]) or "asker" not in scope:
        return nullcontext()
    with ExitStack() as waiting, suppress(Crowded):
        waiting.enter_context(_looking_on(scope))
        scope["looks_on"] = True
        return waiting.pop_all()
    scope["headers"] = others
    return nullcontext()


def _looking_on(scope: Scope) -> AbstractContextManager[object, bool | None]:
    """A place among those who wait for news, and among those of its user: one, also for a stream with ``Prefer``."""
    if "looks_on" in scope:
        return nullcontext()
    return HERE.looking_on_as(scope["asker"].user_id, site_of(scope)) if "asker" in scope else HERE.looking_on()


def _problem(failure: Exception) -> Problem:
    match failure:
        case AllOut():
            again = {"Retry-After": str(failure.again_in)}
            return Problem("unavailable", "The service does not answer now. Try again.", headers=again)
        case Unreached() | Full() | Crowded():
            return Problem("unavailable", "The service cannot be reached now. Try again.")
        case TimeoutError():
            return Problem("upstream_timeout", "The service did not answer in time.")
        case Unsayable():
            return Problem("header_invalid", "The request cannot be passed on as it is.")
        case _:
            return Problem("upstream_error", "The service ended before it answered.")
