"""API keys over HTTP: made and shown once, listed, revoked, and exchanged for a short access token."""

import time
from collections.abc import Callable
from datetime import timedelta
from secrets import token_urlsafe

from fastapi import APIRouter, Response

from auth_service import store
from auth_service.digests import digest_of
from auth_service.domain.api_key import ApiKey, CreateApiKey, RevokeApiKey, UseApiKey
from auth_service.domain.user import User
from auth_service.own import Own
from auth_service.routes.sessions import asker
from auth_service.schemas import ApiKeyCreate, ApiKeyCreated, ApiKeyShown, ApiKeyView, KeyTokenView
from auth_service.settings import Settings
from chassis.http import Answer, Caller, Customer, Edge, Listing, Paging, found, listing
from chassis.ids import KeyRef
from chassis.problems import problems
from chassis.tokens import issue

router = APIRouter(tags=["api keys"])

_TOKEN = ("token_missing", "token_invalid", "token_expired")
_PREFIX = "sk_"
_HINT = len(_PREFIX) + 4


@router.post(
    "/auth/api-keys",
    operation_id="createApiKey",
    status_code=201,
    response_model=ApiKeyCreated,
    responses=problems(*_TOKEN, "too_many_api_keys", "validation_failed", "unknown_field", "rate_limited"),
)
async def create_api_key(caller: Customer, edge: Edge, body: ApiKeyCreate) -> Response:
    """Make an API key: it is shown in this answer, and never again.

    It may do what its `scopes` say, as you, until it expires or is revoked.
    """
    shown = _PREFIX + token_urlsafe(32)
    command = CreateApiKey(
        by=asker(caller),
        digest=digest_of(shown),
        hint=shown[:_HINT],
        name=body.name,
        scopes=tuple(sorted(set(body.scopes))),
        lasts=timedelta(days=body.expires_in_days),
    )
    return await edge.submit(command, _created(shown))


def _created(shown: str) -> Callable[[ApiKey], Answer]:
    def render(key: ApiKey) -> Answer:
        view = ApiKeyCreated(**ApiKeyView.model_validate(key).model_dump(), api_key=shown)
        return Answer(view, 201, {"Cache-Control": "no-store"})

    return render


@router.get("/auth/api-keys", operation_id="listApiKeys", responses=problems(*_TOKEN, "cursor_invalid"))
async def list_api_keys(caller: Customer, edge: Edge, page: Paging) -> Listing[ApiKeyView]:
    """List your API keys, the newest first, without the keys themselves."""
    async with edge.read() as tx:
        rows = await store.list_api_keys(tx, page, caller.user_id)
    return listing(page, rows, ApiKeyView.model_validate, lambda key: (key.created_at, key.id))


@router.delete(
    "/auth/api-keys/{key_id}",
    operation_id="revokeApiKey",
    status_code=204,
    response_class=Response,
    responses=problems(*_TOKEN, "not_found"),
)
async def revoke_api_key(caller: Customer, edge: Edge, key_id: KeyRef) -> Response:
    """Revoke one of your API keys."""
    async with edge.read() as tx:
        key = found(await store.find_api_key(tx, key_id, caller.user_id))
    return await edge.submit(RevokeApiKey(user_id=caller.user_id, digest=key.digest), lambda _key: Answer(None, 204))


@router.post(
    "/auth/api-keys/exchange",
    operation_id="exchangeApiKey",
    response_model=KeyTokenView,
    responses=problems("token_invalid", "account_disabled", "validation_failed", "unknown_field"),
)
async def exchange_api_key(edge: Edge, body: ApiKeyShown) -> Response:
    """Get a short access token for an API key.

    The gateway does it for whoever sends the key as `Authorization: Bearer`; programs need not.
    """
    own: Own = edge.parts.own
    settings: Settings = edge.parts.settings
    pair = await own.keys.signer()

    def render(used: tuple[ApiKey, User]) -> Answer:
        key, user = used
        now = time.time()
        lasts = min(settings.key_access_for, timedelta(seconds=key.expires_at.timestamp() - now))
        caller = Caller(user.id, user.role, key.id, frozenset(key.scopes))
        view = KeyTokenView(
            access_token=issue(pair, caller, issuer=settings.issuer, now=now, lifetime=lasts),
            token_type="bearer",  # noqa: S106 -- the kind of token, RFC 6750
            expires_in=int(lasts.total_seconds()),
            scope=" ".join(key.scopes),
        )
        return Answer(view, headers={"Cache-Control": "no-store"})

    return await edge.submit(UseApiKey(digest=digest_of(body.api_key.get_secret_value())), render)
