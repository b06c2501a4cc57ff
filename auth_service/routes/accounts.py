"""Accounts over HTTP: registration, oneself, the administration of users, contacts, and the public keys."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from auth_service import store
from auth_service.domain.erasing import EraseUser
from auth_service.domain.user import ChangePassword, CredentialsWrong, RegisterUser, UpdateUser, User
from auth_service.own import Own
from auth_service.routes.sessions import asker
from auth_service.schemas import (
    Email,
    KeysView,
    PasswordChange,
    Profile,
    Registration,
    UserUpdate,
    UserView,
)
from auth_service.throttling import counted, matches, noting_refusals, registering, site, trying
from chassis.http import Admin, Answer, Customer, Edge, IfMatch, Listing, Paging, etag, found, listing
from chassis.ids import UserRef
from chassis.problems import problems
from contracts.types import Role

router = APIRouter(tags=["accounts"])
unversioned = APIRouter(tags=["accounts"])

_TOKEN = ("token_missing", "token_invalid", "token_expired")
_NOT_THE_CURRENT = "The current password is wrong."


@router.post(
    "/auth/register",
    operation_id="registerUser",
    status_code=201,
    response_model=UserView,
    responses=problems("email_taken", "validation_failed", "unknown_field", "rate_limited"),
)
async def register_user(edge: Edge, body: Registration) -> Response:
    """Make an account, a customer's. Needs no token; of one place only so many are made at once (429)."""
    own: Own = edge.parts.own
    async with counted(edge, registering(edge)):
        password_hash = await own.passwords.hash(body.password.get_secret_value(), site(edge))
    command = RegisterUser(
        email=body.email,
        password_hash=password_hash,
        full_name=body.full_name,
        phone_number=body.phone_number,
        locale=body.locale,
    )
    return await edge.submit(command, lambda user: _account(user, 201))


@router.get("/auth/me", operation_id="getMe", responses=problems(*_TOKEN, "not_found"))
async def get_me(caller: Customer, edge: Edge, response: Response) -> UserView:
    """Show your account: its version is the `ETag`."""
    return await _shown(edge, response, caller.user_id)


@router.patch(
    "/auth/me",
    operation_id="updateMe",
    response_model=UserView,
    responses=problems(
        *_TOKEN, "not_found", "version_mismatch", "precondition_required", "validation_failed", "unknown_field"
    ),
)
async def update_me(caller: Customer, edge: Edge, seen: IfMatch, body: Profile) -> Response:
    """Change your account: only if nothing else did since its `ETag` was read (`If-Match`)."""
    fields = body.model_dump(exclude_unset=True)
    return await edge.submit(UpdateUser(user_id=caller.user_id, seen=seen, fields=fields), _account)


@router.post(
    "/auth/password",
    operation_id="changePassword",
    status_code=204,
    response_class=Response,
    responses=problems(
        *_TOKEN,
        "credentials_wrong",
        "account_disabled",
        "not_found",
        "validation_failed",
        "unknown_field",
        "rate_limited",
    ),
)
async def change_password(caller: Customer, edge: Edge, body: PasswordChange) -> Response:
    """Change your password: your other sessions end, and so do API keys, unless `keep_api_keys`.

    Guessing the current one gets slower with each try (429 with `Retry-After`).
    """
    own: Own = edge.parts.own
    async with edge.read() as tx:
        user = found(await store.find_user(tx, caller.user_id))
    tried = trying(edge, user.email)
    async with noting_refusals(edge, user.id):
        if not await matches(edge, tried, body.current_password.get_secret_value(), user.password_hash):
            raise CredentialsWrong(_NOT_THE_CURRENT)
        command = ChangePassword(
            user_id=user.id,
            tried=tried,
            proved=user.password_hash,
            password_hash=await own.passwords.hash(body.new_password.get_secret_value(), site(edge)),
            keep=caller.session_id,
            keep_api_keys=body.keep_api_keys,
        )
        return await edge.submit(command, lambda _user: Answer(None, 204))


@router.get(
    "/users",
    operation_id="listUsers",
    responses=problems(*_TOKEN, "forbidden", "cursor_invalid", "validation_failed"),
)
async def list_users(
    _caller: Admin,
    edge: Edge,
    page: Paging,
    email: Annotated[list[Email], Query(max_length=100)] = [],  # noqa: B006 -- FastAPI copies defaults
    role: Annotated[list[Role], Query(max_length=3)] = [],  # noqa: B006 -- FastAPI copies defaults
    disabled: Annotated[bool | None, Query()] = None,
) -> Listing[UserView]:
    """List accounts, the newest first. For administrators."""
    async with edge.read() as tx:
        rows = await store.list_users(tx, page, emails=email, roles=role, disabled=disabled)
    return listing(page, rows, UserView.model_validate, lambda user: (user.created_at, user.id))


@router.get("/users/{user_id}", operation_id="getUser", responses=problems(*_TOKEN, "forbidden", "not_found"))
async def get_user(_caller: Admin, edge: Edge, user_id: UserRef, response: Response) -> UserView:
    """Show an account. For administrators."""
    return await _shown(edge, response, user_id)


@router.patch(
    "/users/{user_id}",
    operation_id="updateUser",
    response_model=UserView,
    responses=problems(*_TOKEN, "forbidden", "not_found", "validation_failed", "unknown_field"),
)
async def update_user(caller: Admin, edge: Edge, user_id: UserRef, body: UserUpdate) -> Response:
    """Change an account: its role too, or disable it, which ends its sessions. For administrators."""
    fields = body.model_dump(exclude_unset=True)
    disabled = fields.pop("disabled", None)
    command = UpdateUser(user_id=user_id, by=asker(caller), fields=fields, disabled=disabled)
    return await edge.submit(command, _account)


@router.delete(
    "/users/{user_id}",
    operation_id="deleteUser",
    status_code=204,
    response_class=Response,
    responses=problems(*_TOKEN, "forbidden", "not_found"),
)
async def delete_user(caller: Admin, edge: Edge, user_id: UserRef) -> Response:
    """Erase a user: whatever says who they are is overwritten, in every service. For administrators.

    Orders and payments stay, nobody's from then on.
    """
    command = EraseUser(user_id=user_id, by=asker(caller))
    return await edge.submit(command, lambda _reply: Answer(None, 204))


@unversioned.get("/.well-known/jwks.json", operation_id="getJwks")
async def get_jwks(edge: Edge, response: Response) -> KeysView:
    """Show the public keys of access tokens, as a JSON Web Key Set. Needs no token."""
    own: Own = edge.parts.own
    response.headers["Cache-Control"] = "public, max-age=60"
    return KeysView.model_validate({"keys": [pair.public_jwk for pair in await own.keys.published()]})


async def _shown(edge: Edge, response: Response, user_id: UUID) -> UserView:
    async with edge.read() as tx:
        user = found(await store.find_user(tx, user_id))
    response.headers["ETag"] = etag(user.version)
    return UserView.model_validate(user)


def _account(user: User, status: int = 200) -> Answer:
    return Answer(UserView.model_validate(user), status, {"ETag": etag(user.version)})
