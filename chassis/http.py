"""What routes are written with: the caller, headers, answers, and the edge, which hands commands to the pipeline."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from re import compile as pattern
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends, Header, Request, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, field_validator
from starlette.datastructures import Headers
from starlette.types import Scope

from chassis import context
from chassis.assertions import HEADER
from chassis.authentication import asked_by, verified
from chassis.database import Transaction
from chassis.etags import etag, is_seen
from chassis.forwarded import site_of
from chassis.idempotency import Answer, Claim, fingerprint
from chassis.paging import Listing, Page, Paging, TimelessPaging, listing, listing_json
from chassis.parameters import refuse_unknown
from chassis.problems import Problem
from chassis.scopes import needed
from chassis.tokens import Caller, Role
from contracts.text import is_unwanted

if TYPE_CHECKING:
    from chassis.app import Parts

__all__ = [
    "Admin", "Answer", "Body", "Caller", "Customer", "Edge", "IdempotencyKey", "IfMatch", "IfNoneMatch", "Listing",
    "Page", "Paging", "Readable", "Staff", "TimelessPaging", "View", "asked_by", "etag", "found", "listing",
    "listing_json",
]  # fmt: skip

Found = TypeVar("Found")
_KEY = pattern(r"[\x21-\x7e]{1,255}")
_ETAG = pattern(r'(?:W/)?"(\d{1,18})"')
_bearer = HTTPBearer(auto_error=False, description="An access token, from `POST /auth/login`.")


class Readable(BaseModel):
    """What others send: control characters are refused, but in secrets, and so is what turns the direction of text."""

    @field_validator("*")
    @classmethod
    def _storable(cls, value: object) -> object:
        if is_unwanted(value):
            message = "must not contain control characters, nor what turns the direction of text"
            raise ValueError(message)
        return value


class Body(Readable):
    """A request's body, whose unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """What clients see. Times are RFC 3339 in UTC with milliseconds."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


def found(thing: Found | None) -> Found:
    """The thing itself; what is not there, or somebody else's, is a 404: a 403 would tell that it is there."""
    if thing is None:
        code = "not_found"
        raise Problem(code, "There is none with this id that you may see.")
    return thing


async def _key(idempotency_key: Annotated[str | None, Header(max_length=300)] = None) -> str:
    return bare_key(idempotency_key)


def bare_key(idempotency_key: str | None) -> str:
    """The idempotency key in a header, with or without quotes.

    Raises:
        Problem: when there is none, or it is malformed.
    """
    if idempotency_key is None:
        code = "idempotency_key_missing"
        raise Problem(code, "Send a new value in the header Idempotency-Key with every new request.")
    bare = (
        idempotency_key[1:-1]
        if len(idempotency_key) > 1 and idempotency_key[0] == idempotency_key[-1] == '"'
        else idempotency_key
    )
    if not _KEY.fullmatch(bare):
        code = "idempotency_key_invalid"
        raise Problem(code, "1 to 255 visible ASCII characters.")
    return bare


async def _if_match(if_match: Annotated[str | None, Header()] = None) -> int:
    if if_match is None:
        code = "precondition_required"
        raise Problem(code, "Send the ETag that you have seen in If-Match.")
    if not (match := _ETAG.fullmatch(if_match.strip())):
        code = "header_invalid"
        raise Problem(code, "If-Match takes one ETag.")
    return int(match[1])


IdempotencyKey = Annotated[str, Depends(_key)]
IfMatch = Annotated[int, Depends(_if_match)]
# Only for the document: ``tagged`` reads the header.
IfNoneMatch = Annotated[str | None, Header(alias="if-none-match", description="An `ETag` that you have: then 304.")]


async def _caller(request: Request, _documented: Annotated[object, Depends(_bearer)] = None) -> Caller:
    parts: Parts = request.app.state.parts
    caller = await verified(parts, request.headers.get(HEADER), request.headers.get("authorization"))
    request.scope["caller"] = caller
    if not caller.may(scope := needed(request.scope["route"].path, request.method)):
        code = "scope_missing"
        raise Problem(code, f"The API key needs the scope {scope}." if scope else "No API key may do this.")
    return caller


def _at_least(*roles: Role) -> Callable[[Caller], Awaitable[Caller]]:
    async def check(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        if caller.role not in roles:
            code = "forbidden"
            raise Problem(code, f"Only {' or '.join(roles)} may do this.")
        return caller

    return check


Customer = Annotated[Caller, Depends(_caller)]
Staff = Annotated[Caller, Depends(_at_least(Role.STAFF, Role.ADMIN))]
Admin = Annotated[Caller, Depends(_at_least(Role.ADMIN))]


class _Edge:
    """A request's way into its service."""

    def __init__(self, scope: Scope, parts: "Parts") -> None:
        self.scope = scope
        self.parts = parts

    @property
    def headers(self) -> Headers:
        """The request's headers."""
        return Headers(scope=self.scope)

    @property
    def site(self) -> str:
        """Where it comes from, as those count who take turns or have a share."""
        return site_of(self.scope)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A read-only transaction."""
        async with self.parts.database.transaction(read_only=True) as tx:
            yield tx

    def tagged(self, view: BaseModel, version: int) -> Response:
        """The view with its version's ETag; 304 without a body when the client has that version (If-None-Match)."""
        tag = etag(version)
        if is_seen(tag, self.headers.get("if-none-match", "")):
            return Response(status_code=304, headers={"ETag": tag})
        return respond(Answer(view, headers={"ETag": tag}))

    async def run(
        self,
        command: object,
        render: Callable[[Any], Answer],
        *,
        key: str | None = None,
        operation: str = "",
        body: BaseModel | None = None,
    ) -> Answer:
        """Decides a command and commits; the answer is stored with the effect when there is a key.

        Raises:
            Exception: the domain's refusal, or why the pipeline cannot take it now.
        """
        caller: Caller | None = self.scope.get("caller")
        claim = (
            Claim(caller.user_id, operation, key, fingerprint(self.scope["path"], body))
            if caller and key and body
            else None
        )
        asked = context.current.get() or context.start()
        answer: Answer = await self.parts.pipeline.submit(
            command,
            actor=caller.actor if caller else "anonymous",
            context=asked,
            claim=claim,
            render=render,
        )
        return answer

    async def submit(
        self,
        command: object,
        render: Callable[[Any], Answer],
        *,
        key: str | None = None,
        operation: str = "",
        body: BaseModel | None = None,
    ) -> Response:
        """As ``run``, as a response."""
        return respond(await self.run(command, render, key=key, operation=operation, body=body))


def edge_of(scope: Scope, parts: "Parts") -> _Edge:
    """A request's way into its service."""
    return _Edge(scope, parts)


async def _edge(request: Request) -> _Edge:
    parts: Parts = request.app.state.parts
    refuse_unknown(request)  # routes name their caller before: nobody is told so first (test_other_ways_in.py)
    await parts.is_open.wait()
    return edge_of(request.scope, parts)


Edge = Annotated[_Edge, Depends(_edge)]


def respond(answer: Answer) -> Response:
    """An answer as a response; a stored one says that it is a repetition."""
    headers = {**answer.headers, "Idempotent-Replayed": "true"} if answer.replayed else dict(answer.headers)
    return Response(answer.content, answer.status, headers, media_type="application/json" if answer.content else None)
