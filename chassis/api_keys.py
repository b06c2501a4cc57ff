"""API keys at the door: each becomes a short access token there, which auth_service gives for it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from re import compile as pattern
from typing import TypeVar

import httpx2
from pydantic import BaseModel, Field, FiniteFloat

from chassis.line import Line
from chassis.permits import asking
from chassis.problems import CODES, Problem

Headers = list[tuple[bytes, bytes]]
Told = TypeVar("Told", bytes, Problem)
_Kept = OrderedDict[str, tuple[float, Told]]

_KEY = pattern(rb"(?i:bearer) +(sk_[A-Za-z0-9_-]{43}) *")
_SIZE = 10_000
_REFUSED_FOR = 5.0
_AT_ONCE = 8  # keys that are asked for; places take turns
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
        self._good: _Kept[bytes] = OrderedDict()
        self._refused: _Kept[Problem] = OrderedDict()  # apart: whoever invents keys pushes out no good one
        self._line = Line(_AT_ONCE)
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
                    known = self._still(key) or await self._ask_in_turn(key)
            finally:
                self._asking.pop(key, None)
        if isinstance(known, Problem):
            # One of its own for each: what is raised keeps the frames that it passed, and all that the request sent.
            raise replace(known)
        return known

    def _still(self, key: str) -> bytes | Problem | None:
        never: tuple[float, None] = (0.0, None)
        known = (self._good.get(key, never), self._refused.get(key, never))
        return next((told for until, told in known if until > self._now()), None)

    async def _ask_in_turn(self, key: str) -> bytes | Problem:
        permit = asking.get()
        async with self._line.turn(permit and permit.place):
            lasts, told = await self._answer(key)
        if isinstance(told, Problem):
            _keep(self._refused, key, (self._now() + lasts, told))
        else:
            _keep(self._good, key, (self._now() + lasts, told))
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


def _keep(kept: _Kept[Told], key: str, told: tuple[float, Told]) -> None:
    kept[key] = told
    kept.move_to_end(key)
    if len(kept) > _SIZE:
        kept.popitem(last=False)
