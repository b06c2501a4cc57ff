"""Accounts made by the shop itself: its first administrator, and the staff and customers of a demonstration."""

from auth_service.domain.user import RegisterUser, User
from auth_service.passwords import Passwords
from auth_service.schemas import canonical
from chassis.pipeline import Pipeline
from contracts.types import Role


async def create_user(  # noqa: PLR0913 -- what an account is made of
    pipeline: Pipeline, email: str, password: str, role: Role, full_name: str | None = None, *, actor: str = "system"
) -> User:
    """Registers a user with any role, through auth_service's own pipeline; ``actor`` is who does so.

    Raises:
        ValueError: when the address is none.
        auth_service.domain.user.EmailTaken: when there is an account with it.
    """
    command = RegisterUser(
        email=canonical(email),
        password_hash=await Passwords().hash(password),
        role=role,
        full_name=full_name,
    )
    user: User = await pipeline.submit(command, actor=actor)
    return user
