"""The shop over HTTP, for commands: where the gateway is, who asks, and every error as a Failure."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ordermill.errors import Exit, Failure
from ordermill.refusals import ADDRESS, Trouble, refusal, said, silence, stranger
from ordermill.state import State

if TYPE_CHECKING:
    import httpx2

Role = Literal["customer", "staff", "admin"]
DEMO_DOMAIN = "ordermill.example"
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
PATIENCE = 40.0  # longer than `Prefer: wait` may ask for
LONGEST_PAGE = 100
UNAUTHORIZED = 401


class Account(NamedTuple):
    email: str
    password: str


class Caller:
    """Somebody who asks the gateway: nobody in particular, the owner of a token, or an account that signs in."""

    def __init__(self, http: "httpx2.AsyncClient", *, account: Account | None = None, token: str | None = None) -> None:
        self._http = http
        self._account = account
        self._access = token
        self._refresh: str | None = None
        self._renewing = asyncio.Lock()

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON of GET; parameters without a value are left out."""
        given = {name: value for name, value in params.items() if value is not None}
        return said(await self.send("GET", path, params=given))

    async def listed(self, path: str, limit: int | None = None, **params: Any) -> list[dict[str, Any]]:
        """The first items of a list, as many pages as that takes; all of them without a limit."""
        items: list[dict[str, Any]] = []
        page: dict[str, Any] = {"has_more": True, "next_cursor": None}
        while page["has_more"] and (limit is None or len(items) < limit):
            size = min(LONGEST_PAGE, (limit or LONGEST_PAGE + len(items)) - len(items))
            page = await self.get(path, limit=size, cursor=page["next_cursor"], **params)
            items += page["data"]
        return items

    async def post(self, path: str, body: Any = None, *, key: str | None = None, wait: int = 0) -> "httpx2.Response":
        """The answer to POST, with an Idempotency-Key and a time to wait for the outcome where they are given."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self.send("POST", path, json=body, headers=headers | ({"Prefer": f"wait={wait}"} if wait else {}))

    async def send(self, method: str, path: str, **request: Any) -> "httpx2.Response":
        """The answer to a request. Raises Trouble when that is an error, or when none comes."""
        used = await self.token()
        answer = await self._exchange(method, path, used, request)
        if answer.status_code == UNAUTHORIZED and self._account:
            await self._renew(used)
            answer = await self._exchange(method, path, self._access, request)
        if answer.is_error:
            raise refusal(answer)
        return answer

    async def token(self) -> str | None:
        """The access token to ask with; the account signs in when it has none."""
        if self._access is None and self._account:
            await self._renew(None)
        return self._access

    async def _renew(self, used: str | None) -> None:
        """A new access token, unless somebody who shares this caller has renewed it: a refresh token works once."""
        async with self._renewing:
            if self._access == used:
                tokens = await self._refreshed() or await self._signed_in()
                self._access, self._refresh = tokens["access_token"], tokens["refresh_token"]

    async def _refreshed(self) -> Mapping[str, str] | None:
        if not self._refresh:
            return None
        answer = await self._exchange("POST", "/auth/refresh", None, {"json": {"refresh_token": self._refresh}})
        tokens: Mapping[str, str] | None = None if answer.is_error else said(answer)
        return tokens

    async def _signed_in(self) -> Mapping[str, str]:
        credentials = self._account._asdict() if self._account else {}
        answer = await self._exchange("POST", "/auth/login", None, {"json": credentials})
        if answer.is_error:
            raise refusal(answer)
        tokens: Mapping[str, str] = said(answer)
        return tokens

    async def _exchange(self, method: str, path: str, token: str | None, request: dict[str, Any]) -> "httpx2.Response":
        import httpx2

        proof = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = await self._http.request(
                method, path.lstrip("/"), **{**request, "headers": {**request.get("headers", {}), **proof}}
            )
        except httpx2.TransportError as error:
            late = isinstance(error, httpx2.TimeoutException)
            raise silence(str(self._http.base_url), error, late=late) from None
        if answer.content and "json" not in answer.headers.get("content-type", ""):
            raise stranger(answer)
        return answer


@dataclass(frozen=True)
class Gateway:
    """The door of a shop. Demo accounts are there only in a shop with the local profile."""

    http: "httpx2.AsyncClient"
    is_local: bool

    def nobody(self) -> Caller:
        return Caller(self.http)

    async def as_(self, role: Role) -> Caller:
        """The owner of ORDERMILL_TOKEN, else a demo account with this role: a new one for each customer."""
        given = os.environ.get("ORDERMILL_TOKEN")
        return Caller(self.http, token=given) if given else await self.demo(role)

    async def demo(self, role: Role) -> Caller:
        if not self.is_local:
            here = "Demo accounts are there only in a shop on this machine with the local profile"
            cause = f"{here}, and {self.http.base_url.host} is none."
            mend = f"{ADDRESS}; or set ORDERMILL_TOKEN to an access token or an API key."
            raise Failure(cause, mend)
        if role == "customer":
            return await self._new_customer()
        return Caller(self.http, account=Account(demo_address(role), State.open().demo_password(role)))

    async def _new_customer(self) -> Caller:
        account = Account(demo_address(f"customer-{secrets.token_hex(6)}"), secrets.token_urlsafe(24))
        await self.nobody().post("/auth/register", {**account._asdict(), "full_name": "Demo customer"})
        return Caller(self.http, account=account)


def demo_address(name: str) -> str:
    """As in ordermill.seeds, the import of which takes seconds (a test compares them)."""
    return f"{name}@{DEMO_DOMAIN}"


@asynccontextmanager
async def reach(url: str | None) -> AsyncIterator[Gateway]:
    """The gateway at this address, else the one of this checkout's running shop."""
    import httpx2

    base = _base(url or State.attach().url("gateway"))
    limits, elsewhere = httpx2.Limits(max_connections=None), base.host not in LOOPBACK
    # A proxy is told passwords: one that the environment names is there for other machines, not for this one.
    async with httpx2.AsyncClient(base_url=base, timeout=PATIENCE, limits=limits, trust_env=elsewhere) as http:
        try:
            yield Gateway(http, is_local=_is_local(http.base_url.host))
        except Trouble as trouble:
            if url and trouble.code is Exit.NOT_RUNNING:
                trouble.mend = ADDRESS  # of a shop that this checkout may know nothing of
            raise


def _base(address: str) -> "httpx2.URL":
    import httpx2

    with contextlib.suppress(httpx2.InvalidURL):
        url = httpx2.URL(f"{address.rstrip('/')}/api/v1")
        if url.scheme in {"http", "https"} and url.host:
            return url
    cause = f"{address} is no address of a gateway."
    raise Failure(cause, "Write it like http://127.0.0.1:8000")


def _is_local(host: str) -> bool:
    profile = os.environ.get("ORDERMILL_PROFILE")
    return profile == "local" if profile else host in LOOPBACK


def ask_list(url: str | None, asker: Role, path: str, limit: int, **params: Any) -> list[dict[str, Any]]:
    """What a list holds, asked as somebody with this role."""

    async def ask() -> list[dict[str, Any]]:
        async with reach(url) as gateway:
            return await (await gateway.as_(asker)).listed(path, limit, **params)

    return asyncio.run(ask())
