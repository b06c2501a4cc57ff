"""What nobody offers over HTTP and is done inside the services instead: demo data, and the first administrator."""

import os
from collections.abc import Awaitable, Mapping

from ordermill.errors import Exit, Failure
from ordermill.state import State

PASSWORD_LENGTHS = range(8, 129)


def settings() -> Mapping[str, str]:
    """The services' settings: of this process in a container, else those of this checkout's running shop."""
    if "ORDERMILL_SERVICE_TOKEN" in os.environ:
        return os.environ
    from ordermill.setup import environment

    return environment(State.attach())


async def seed(told: Mapping[str, str], products: int) -> None:
    """The first products with their stock, and in a local shop the demo accounts. Safe to repeat."""
    from contracts.types import Role
    from ordermill import seeds

    await _reaching(seeds.seed_products(told, products))
    if told.get("ORDERMILL_PROFILE") == "local":
        state = State.open()
        passwords = {role: state.secret(f"demo.{role}") for role in (Role.STAFF, Role.ADMIN)}
        await _reaching(seeds.seed_accounts(told, passwords))


async def create_admin(told: Mapping[str, str], email: str, password: str) -> None:
    """An account that may do everything."""
    from auth_service.accounts import create_user
    from auth_service.domain.user import EmailTaken
    from contracts.types import Role
    from ordermill.seeds import at_work

    if len(password) not in PASSWORD_LENGTHS:
        cause = "The password is too short or too long."
        raise Failure(cause, "Choose one with 8 to 128 characters.")

    async def create() -> None:
        async with at_work("auth_service", told) as parts:
            await create_user(parts.pipeline, email, password, Role.ADMIN)

    try:
        await _reaching(create())
    except EmailTaken:
        cause = f"There is an account with {email} already."
        raise Failure(cause, "Choose another address, or make it an admin with PATCH /api/v1/users/{id}") from None
    except ValueError as wrong:
        cause = f"{email} is no mail address: {wrong}"
        raise Failure(cause, "Write it like ann@example.com") from None


async def _reaching(work: Awaitable[object]) -> None:
    from chassis.database import OUTAGE
    from chassis.pipeline import Unavailable

    try:
        await work
    except (Unavailable, *OUTAGE):
        cause = "PostgreSQL does not answer."
        raise Failure(cause, "Start the shop with: make up", Exit.NOT_RUNNING) from None
