"""API keys at the door: each becomes a short access token there, which auth_service gives for it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from re import compile as pattern

import httpx2
from pydantic import BaseModel, Field, FiniteFloat

from chassis.problems import CODES, Problem

Headers = list[tuple[bytes, bytes]]

_KEY = pattern(rb"(?i:bearer) +(sk_[A-Za-z0-9_-]{43}) *")
_SIZE = 10_000
_REFUSED_FOR = 5.0
_EARLIER = 5.0  # than it expires a token is not handed on any more: a request takes its time


class _Given(BaseModel):
    access_token: str = Field(max_length=4096, repr=False)
    expires_in: FiniteFloat


class _Refused(BaseModel):
    code: str
    detail: str | None = Field(default=None, max_length=1_000)


class ApiKeys:
    """The access tokens of API keys, each asked for once and kept until shortly before it expires.

    Args:
        auth_service: a way to it.
        now: seconds on any clock.
    """

    def __init__(self, auth_service: httpx2.AsyncClient, now: Callable[[], float] = time.monotonic) -> None:
        self._auth_service = auth_service
        self._now = now
        self._known: OrderedDict[str, tuple[float, bytes | Problem]] = OrderedDict()
        self._asking: dict[str, asyncio.Lock] = {}

    async def exchanged(self, headers: Headers) -> Headers:
        """The headers with an access token in the place of an API key; as they are when there is none.

        Raises:
            Problem: what auth_service says against the key; unavailable when it says nothing.
        """
        for place, (name, value) in enumerate(headers):
            if name == b"authorization" and (match := _KEY.fullmatch(value)):
                token = await self._token(match[1].decode())
                return [*headers[:place], (name, b"Bearer " + token), *headers[place + 1 :]]
        return headers

    async def _token(self, key: str) -> bytes:
        if (known := self._still(key)) is None:
            lock = self._asking.setdefault(key, asyncio.Lock())
            try:
                async with lock:
                    known = self._still(key) or await self._ask(key)
            finally:
                self._asking.pop(key, None)
        if isinstance(known, Problem):
            # One of its own for each: what is raised keeps the frames that it passed, and all that the request sent.
            raise replace(known)
        return known

    def _still(self, key: str) -> bytes | Problem | None:
        until, known = self._known.get(key, (0.0, None))
        return known if until > self._now() else None

    async def _ask(self, key: str) -> bytes | Problem:
        lasts, told = await self._answer(key)
        self._known[key] = self._now() + lasts, told
        self._known.move_to_end(key)
        if len(self._known) > _SIZE:
            self._known.popitem(last=False)
        return told

    async def _answer(self, key: str) -> tuple[float, bytes | Problem]:
        try:
            answer = await self._auth_service.post("/api/v1/auth/api-keys/exchange", json={"api_key": key})
            if answer.is_success:
                given = _Given.model_validate_json(answer.content)
                return given.expires_in - _EARLIER, given.access_token.encode()
            told = _Refused.model_validate_json(answer.content)
        except (httpx2.HTTPError, OSError, ValueError):
            told = _Refused(code="unavailable")
        if told.code in {"token_invalid", "account_disabled"}:
            return _REFUSED_FOR, Problem(told.code, told.detail)
        code = told.code if told.code in CODES else "unavailable"
        return 0.0, Problem(code, "API keys cannot be checked now. Try again.")
