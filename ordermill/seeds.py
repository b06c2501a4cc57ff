"""Demo data: a catalogue with stock, and accounts for staff. Safe to repeat; needs PostgreSQL only."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from auth_service.accounts import create_user
from auth_service.domain.user import EmailTaken
from chassis.app import Parts, opened, parts_of
from chassis.tasks import running
from contracts.types import Role
from inventory_service.domain.product import CreateProduct
from inventory_service.domain.stock import AdjustStock
from inventory_service.seeds import seed_catalogue
from ordermill.services import load
from ordermill.state import State

PRODUCTS = 24
DOMAIN = "ordermill.example"


def address(role: Role) -> str:
    """The demo account of a role."""
    return f"{role}@{DOMAIN}"


async def seed(environment: Mapping[str, str], state: State | None, products: int = PRODUCTS) -> None:
    """The products, and the demo accounts with the passwords that this checkout keeps for them, where there is one."""
    await seed_products(environment, products)
    if state:
        await seed_accounts(environment, {role: state.demo_password(role) for role in (Role.STAFF, Role.ADMIN)})


@asynccontextmanager
async def at_work(name: str, environment: Mapping[str, str]) -> AsyncIterator[Parts]:
    """A service's pipeline in this process, for commands that nobody offers over HTTP."""
    alone = {key: value for key, value in environment.items() if not key.endswith(("_PEERS", "_PEER_KEYS"))}
    parts = parts_of(load(name), load(name).settings.model_validate(alone), {})
    async with opened(parts), running(parts.pipeline.run()):
        yield parts
        await parts.pipeline.close()


async def seed_products(environment: Mapping[str, str], count: int) -> int:
    """Adds those of the first ``count`` products that are missing and fills empty shelves; says how many it added."""
    async with at_work("inventory_service", environment) as parts:
        async with parts.database.transaction(read_only=True) as tx:
            products = {row["sku"] for row in await tx.sql("SELECT sku FROM inventory_service.products")}
            shelves = {row["sku"] for row in await tx.sql("SELECT DISTINCT sku FROM inventory_service.stock")}
        known = {CreateProduct: products, AdjustStock: shelves}
        missing = [seed for seed in seed_catalogue(count) if seed.sku not in known[type(seed)]]
        for seed in missing:
            await parts.pipeline.submit(seed)
    return sum(isinstance(seed, CreateProduct) for seed in missing)


async def seed_accounts(environment: Mapping[str, str], passwords: Mapping[Role, str]) -> None:
    """Opens the demo accounts with these passwords; one that exists keeps its own."""
    async with at_work("auth_service", environment) as parts:
        for role, password in passwords.items():
            with suppress(EmailTaken):
                await create_user(parts.pipeline, address(role), password, role, f"Demo {role}")
