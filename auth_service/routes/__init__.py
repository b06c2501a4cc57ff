"""What auth_service answers over HTTP, by noun."""

from fastapi import APIRouter

from auth_service.routes import accounts, neighbours, sessions

router = APIRouter()
router.include_router(accounts.router)
router.include_router(sessions.router)
internal = neighbours.router
unversioned = accounts.unversioned
