"""What auth_service answers over HTTP, by noun."""

from fastapi import APIRouter

from auth_service.routes import accounts, api_keys, exports, neighbours, security_events, sessions

router = APIRouter()
router.include_router(accounts.router)
router.include_router(sessions.router)
router.include_router(api_keys.router)
router.include_router(exports.router)
router.include_router(security_events.router)
internal = neighbours.router
unversioned = accounts.unversioned
