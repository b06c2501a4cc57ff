"""Somebody who uses the shop over HTTP and does not give up: the same request, the same key, until it is answered."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from random import Random
from typing import Any
from urllib.parse import urlencode

from ordermill.errors import Failure
from ordermill.prove.door import Answer, Door
from ordermill.prove.ledger import IN_TIME, Ledger

PLACE = "/orders"
LATER = {409, 429, 502, 503, 504}
NOT_LATER = {"order_not_cancellable", "order_not_payable", "task_closed", "insufficient_stock", "stock_reserved"}
UNAUTHORIZED = 401
PAUSES = (0.2, 1.0)
RECONNECTS_AFTER = 0.1
PATIENCE = 90.0
NONE: Mapping[str, str] = {}


class GivenUp(Exception):
    """Nobody answered this request for so long that the person went away."""


class Person:
    """An account that signs in when it has to."""

    def __init__(self, door: Door, ledger: Ledger, account: dict[str, str], random: Random) -> None:
        self.ledger = ledger
        self.random = random
        self.account = account
        self._door = door
        self._token = ""

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON of GET, asked for until it is answered; None when it is refused."""
        answer = await self.insist("GET", f"{path}?{urlencode(params)}" if params else path)
        return None if answer.is_error else answer.json()

    async def post(self, path: str, body: Any = None, *, key: str | None = None, wait: int = 0) -> Answer:
        """The answer to POST: 2xx, or what no repetition changes."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self.insist("POST", path, headers | ({"Prefer": f"wait={wait}"} if wait else {}), body)

    async def insist(self, method: str, path: str, headers: Mapping[str, str] = NONE, body: Any = None) -> Answer:
        """Repeats a request, with growing pauses, as long as nobody answers or the answer is to come again."""
        pause, longest = PAUSES
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            answer = await self._once(method, path, headers, body)
            if answer is not None and not _is_for_later(answer):
                return answer
            await asyncio.sleep(self.random.uniform(pause / 2, pause))
            pause = min(pause * 1.5, longest)
        request_line = f"{method} {path}"
        raise GivenUp(request_line)

    async def sign_in(self) -> None:
        """A new session. Raises Failure when it is refused."""
        answer = await self.insist("POST", "/auth/login", body=self.account)
        if answer.is_error:
            cause = f"A customer could not sign in: {answer.text}"
            raise Failure(cause, "Read the log of auth_service.api.")
        self._token = answer.json()["access_token"]

    async def register(self) -> None:
        """A new account, then its first session."""
        await self.insist("POST", "/auth/register", body=self.account)
        await self.sign_in()

    async def _once(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> Answer | None:
        headers = {**headers, **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        began, is_order = time.monotonic(), (method, path) == ("POST", PLACE)
        self.ledger.tries += is_order
        try:
            async with asyncio.timeout(IN_TIME):
                answer = await self._through(method, path, headers, body)
        except TimeoutError:
            self.ledger.unanswered += is_order
            return None
        if is_order:
            self._note(answer, time.monotonic() - began, waited="Prefer" in headers)
        if answer.status_code == UNAUTHORIZED and self._token and not path.startswith("/auth/"):
            await self.sign_in()
            return None
        return answer

    async def _through(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> Answer:
        """The answer to one try: over another connection where one is cut, since a key makes it safe to send again."""
        while True:
            try:
                return await self._door.request(method, path, headers, body)
            except OSError as error:
                if (method, path) == ("POST", PLACE):
                    self.ledger.cut[type(error).__name__] += 1
                await asyncio.sleep(RECONNECTS_AFTER)

    def _note(self, answer: Answer, seconds: float, *, waited: bool) -> None:
        self.ledger.answers[str(answer.status_code)] += 1
        if not waited:
            self.ledger.latencies.append(seconds)


def _is_for_later(answer: Answer) -> bool:
    return answer.status_code in LATER and answer.json().get("code") not in NOT_LATER


def a_key(random: Random) -> str:
    """An Idempotency-Key that nobody has used: the same persons come again with the same seed, but to a fresh shop."""
    return f"{random.getrandbits(128):032x}"


def an_account(name: str) -> dict[str, str]:
    """Who has not registered yet."""
    return {"email": f"{name}@ordermill.example", "password": secrets.token_urlsafe(18)}
