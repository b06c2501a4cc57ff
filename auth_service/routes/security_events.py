"""What happened to accounts, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Query

from auth_service import store
from auth_service.domain.security_event import What
from auth_service.schemas import SecurityEventView
from chassis.http import Admin, Edge, Listing, Paging, listing
from chassis.ids import UserRef
from chassis.problems import problems

router = APIRouter(tags=["accounts"])


@router.get(
    "/auth/security-events",
    operation_id="listSecurityEvents",
    responses=problems(
        "token_missing", "token_invalid", "token_expired", "forbidden", "cursor_invalid", "validation_failed"
    ),
)
async def list_security_events(
    _caller: Admin,
    edge: Edge,
    page: Paging,
    user_id: Annotated[list[UserRef], Query(max_length=100)] = [],  # noqa: B006 -- FastAPI copies defaults
    what: Annotated[list[What], Query(max_length=len(What))] = [],  # noqa: B006 -- FastAPI copies defaults
) -> Listing[SecurityEventView]:
    """List sign-ins, refusals and changes of accounts, the newest first. For administrators."""
    async with edge.read() as tx:
        rows = await store.list_security_events(tx, page, user_ids=user_id, what=what)
    return listing(page, rows, SecurityEventView.model_validate, lambda event: (event.created_at, event.id))
