"""For each operation of auth_service a request that would succeed, if the one who asks were allowed to."""

from uuid import uuid4

from tests.attacks.ask import Ask, Asking, noting
from tests.attacks.stage import ROLES, Stage
from tests.support.people import PASSWORD, Person

ASKING: dict[str, Asking] = {}
asks = noting(ASKING)


async def _stand_in(stage: Stage, identity: str) -> Person | None:
    return await stage.shop.somebody(ROLES[identity]) if identity in ROLES else None


@asks("getJwks", "getMe", "exportMe", "listSessions", "listApiKeys", "listUsers", "listSecurityEvents")
async def plainly(_stage: Stage, _identity: str) -> Ask:
    return Ask()


@asks("registerUser")
async def register(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"email": f"{uuid4().hex}@shop.test", "password": PASSWORD})


@asks("login")
async def login(stage: Stage, _identity: str) -> Ask:
    return Ask(json={"email": stage.people["another customer"].email, "password": PASSWORD})


@asks("loginForm")
async def login_form(stage: Stage, _identity: str) -> Ask:
    return Ask(form={"username": stage.people["another customer"].email, "password": PASSWORD})


@asks("exchangeToken")
async def exchange(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"token": "somebody's"})


@asks("exchangeApiKey")
async def exchange_key(stage: Stage, _identity: str) -> Ask:
    body = {"name": "program", "scopes": ["orders:read"]}
    made = await (await stage.shop.somebody()).post("/auth/api-keys", body)
    return Ask(json={"api_key": made.json()["api_key"]})


@asks("refreshToken")
async def refresh(stage: Stage, identity: str) -> Ask:
    tokens = await stage.shop.client.post("/auth/login", json=(await login(stage, identity)).json)
    return Ask(json={"refresh_token": tokens.json()["refresh_token"]})


@asks("updateMe")
async def update_me(stage: Stage, identity: str) -> Ask:
    version = (await stage.people[identity].get("/auth/me"))["version"] if identity in ROLES else 1
    return Ask(json={"full_name": "Somebody Else"}, headers={"If-Match": f'"{version}"'})


@asks("changePassword")
async def change_password(stage: Stage, identity: str) -> Ask:
    body = {"current_password": PASSWORD, "new_password": f"new {PASSWORD}"}
    return Ask(json=body, person=await _stand_in(stage, identity))


@asks("logout")
async def logout(stage: Stage, identity: str) -> Ask:
    return Ask(person=await _stand_in(stage, identity))


@asks("revokeSession")
async def revoke_session(stage: Stage, _identity: str) -> Ask:
    owner = stage.people["owner"]
    await stage.shop.client.post("/auth/login", json={"email": owner.email, "password": PASSWORD})
    sessions = (await owner.get("/auth/sessions"))["data"]
    return Ask({"session_id": next(session["id"] for session in sessions if not session["current"])})


@asks("createApiKey")
async def create_api_key(_stage: Stage, _identity: str) -> Ask:
    return Ask(json={"name": "another", "scopes": ["orders:read"]})


@asks("revokeApiKey")
async def revoke_api_key(stage: Stage, _identity: str) -> Ask:
    made = await stage.people["owner"].post("/auth/api-keys", {"name": "of the owner", "scopes": ["orders:read"]})
    return Ask({"key_id": made.json()["id"]})


@asks("getUser", "exportUser")
async def a_user(stage: Stage, _identity: str) -> Ask:
    return Ask({"user_id": stage.owner_id})


@asks("updateUser")
async def update_user(stage: Stage, _identity: str) -> Ask:
    return Ask({"user_id": stage.owner_id}, json={"full_name": "Named By Another"})


@asks("deleteUser")
async def delete_user(stage: Stage, _identity: str) -> Ask:
    victim = await stage.shop.somebody()
    return Ask({"user_id": (await victim.get("/auth/me"))["id"]})
