"""Sessions over HTTP: sign-in, refresh, logout, and the list of one's sessions."""

import time
from collections.abc import Callable
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from fastapi.security import OAuth2PasswordRequestForm

from auth_service import store
from auth_service.digests import digest_of
from auth_service.domain.identity import NoIssuer, SignInWith
from auth_service.domain.session import (
    Ending,
    EndSession,
    RefreshInvalid,
    RefreshReused,
    Rotate,
    Session,
    SignedIn,
    StartSession,
)
from auth_service.domain.user import Asker, CredentialsWrong
from auth_service.own import Own
from auth_service.schemas import Credentials, ExchangeBody, RefreshBody, SessionView, TokensView, canonical
from auth_service.settings import Settings
from auth_service.throttling import matches, noting_refusals, trying, where
from chassis.http import Answer, Caller, Customer, Edge, Listing, Paging, listing, respond
from chassis.ids import SessionRef
from chassis.problems import problems
from chassis.tokens import issue

router = APIRouter(tags=["sessions"])

_TOKEN = ("token_missing", "token_invalid", "token_expired")
_SIGN_IN = problems("credentials_wrong", "account_disabled", "validation_failed", "unknown_field", "rate_limited")
_REUSED = Answer(None, HTTPStatus.UNAUTHORIZED)


@router.post("/auth/login", operation_id="login", response_model=TokensView, responses=_SIGN_IN)
async def login(edge: Edge, body: Credentials) -> Response:
    """Sign in with e-mail address and password: gives an access token, and a refresh token.

    Guessing gets slower with each try (429 with `Retry-After`).
    """
    return await _sign_in(edge, body.email, body.password.get_secret_value())


@router.post("/auth/token", operation_id="loginForm", response_model=TokensView, responses=_SIGN_IN)
async def login_form(edge: Edge, form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Response:
    """Sign in by a form, as OAuth2 has it: for the docs page. Programs use `POST /auth/login`."""
    return await _sign_in(edge, _address(form.username), form.password)


def _address(username: str) -> str:
    try:
        return canonical(username)
    except ValueError:
        return ""


async def _sign_in(edge: Edge, email: str, password: str) -> Response:
    settings: Settings = edge.parts.settings
    async with edge.read() as tx:
        user = await store.find_user_by_email(tx, email)
    # An unknown address costs the same time and is answered the same.
    tried = trying(edge, email)
    async with noting_refusals(edge, user.id if user else None):
        if not await matches(edge, tried, password, user.password_hash if user else None) or user is None:
            raise CredentialsWrong
        refresh_token = token_urlsafe(32)
        command = StartSession(
            user_id=user.id,
            tried=tried,
            proved=user.password_hash,
            digest=digest_of(refresh_token),
            client=_client(edge),
            lasts=settings.refresh_for,
        )
        return await edge.submit(command, await _tokens(edge, refresh_token))


def _client(edge: Edge) -> str | None:
    return edge.headers.get("user-agent", "")[:200] or None


@router.post(
    "/auth/exchange",
    operation_id="exchangeToken",
    response_model=TokensView,
    responses=problems(
        "token_invalid", "token_expired", "account_disabled", "not_found", "email_taken", "validation_failed",
        "unknown_field", "rate_limited", "unavailable",
    ),
)  # fmt: skip
async def exchange_token(edge: Edge, body: ExchangeBody) -> Response:
    """Sign in with the ID token of an OpenID issuer: 404 where the shop is set up with none."""
    own: Own = edge.parts.own
    settings: Settings = edge.parts.settings
    if own.openid is None:
        raise NoIssuer
    person = await own.openid.person(body.token)
    refresh_token = token_urlsafe(32)
    command = SignInWith(
        issuer=person.iss,
        subject=person.sub,
        email=person.address,
        full_name=person.full_name,
        # Not of the signature: there are two good ones for each ES256 token.
        session_id=UUID(bytes=digest_of(body.token.rpartition(".")[0])[:16]),
        digest=digest_of(refresh_token),
        client=_client(edge),
        place=where(edge),
        lasts=settings.refresh_for,
    )
    async with noting_refusals(edge, None):
        return await edge.submit(command, await _tokens(edge, refresh_token))


@router.post(
    "/auth/refresh",
    operation_id="refreshToken",
    response_model=TokensView,
    responses=problems(
        "token_invalid",
        "token_expired",
        "refresh_reused",
        "account_disabled",
        "validation_failed",
        "unknown_field",
        "rate_limited",
    ),
)
async def refresh_token(edge: Edge, body: RefreshBody) -> Response:
    """Get the next access token and refresh token: each refresh token is good for once.

    One that comes again was copied by somebody: its session ends (401 `refresh_reused`).
    """
    own: Own = edge.parts.own
    digest = digest_of(body.refresh_token)
    # The twin of a refresh that is under way is a client's haste, no theft: it is refused, and the session lives.
    if digest in own.refreshing:
        raise RefreshReused
    own.refreshing.add(digest)
    try:
        return await _rotate(edge, digest)
    finally:
        own.refreshing.discard(digest)


async def _rotate(edge: Edge, digest: bytes) -> Response:
    settings: Settings = edge.parts.settings
    async with edge.read() as tx:
        known = await store.find_session_of(tx, digest)
    if known is None:
        raise RefreshInvalid
    successor = token_urlsafe(32)
    command = Rotate(
        user_id=known[0],
        session_id=known[1],
        digest=digest,
        successor=digest_of(successor),
        lasts=settings.refresh_for,
    )
    answer = await edge.run(command, await _tokens(edge, successor))
    # A refusal changes nothing, but the session of a copied token has to end: it is decided, and refused here.
    if answer is _REUSED:
        raise RefreshReused
    return respond(answer)


@router.post(
    "/auth/logout",
    operation_id="logout",
    status_code=204,
    response_class=Response,
    responses=problems(*_TOKEN),
)
async def logout(caller: Customer, edge: Edge) -> Response:
    """End the session that asks."""
    command = EndSession(user_id=caller.user_id, session_id=caller.session_id, ending=Ending.LOGOUT)
    return await edge.submit(command, lambda _reply: Answer(None, 204))


@router.get("/auth/sessions", operation_id="listSessions", responses=problems(*_TOKEN, "cursor_invalid"))
async def list_sessions(caller: Customer, edge: Edge, page: Paging) -> Listing[SessionView]:
    """List your open sessions, the newest first."""
    async with edge.read() as tx:
        rows = await store.list_open_sessions(tx, page, caller.user_id)
    return listing(page, rows, session_view(caller), lambda session: (session.created_at, session.id))


@router.delete(
    "/auth/sessions/{session_id}",
    operation_id="revokeSession",
    status_code=204,
    response_class=Response,
    responses=problems(*_TOKEN, "not_found"),
)
async def revoke_session(caller: Customer, edge: Edge, session_id: SessionRef) -> Response:
    """End one of your sessions."""
    command = EndSession(user_id=caller.user_id, session_id=session_id, ending=Ending.REVOKED)
    return await edge.submit(command, lambda _reply: Answer(None, 204))


async def _tokens(edge: Edge, refresh_token: str) -> Callable[[SignedIn], Answer]:
    own: Own = edge.parts.own
    settings: Settings = edge.parts.settings
    pair = await own.keys.signer()

    def render(signed_in: SignedIn) -> Answer:
        if signed_in.session is None:
            return _REUSED
        caller = Caller(signed_in.user.id, signed_in.user.role, signed_in.session.id)
        tokens = TokensView(
            access_token=issue(pair, caller, issuer=settings.issuer, now=time.time(), lifetime=settings.access_for),
            token_type="bearer",  # noqa: S106 -- the kind of token, RFC 6750
            expires_in=int(settings.access_for.total_seconds()),
            refresh_token=refresh_token,
        )
        return Answer(tokens, headers={"Cache-Control": "no-store"})

    return render


def asker(caller: Caller) -> Asker:
    """Who asks, for what is decided on whether their session is open."""
    return Asker(caller.user_id, caller.session_id)


def session_view(caller: Caller) -> Callable[[Session], SessionView]:
    def view(session: Session) -> SessionView:
        return SessionView(
            id=session.id,
            client=session.client,
            current=session.id == caller.session_id,
            created_at=session.created_at,
            refreshed_at=session.refreshed_at,
            expires_at=session.expires_at,
        )

    return view
