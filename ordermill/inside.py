"""What nobody offers over HTTP and is done inside the services instead: with their settings, in their databases."""

import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from ordermill.errors import Exit, Failure
from ordermill.services import chosen
from ordermill.state import State
from ordermill.told import PREFIX, variables

if TYPE_CHECKING:
    from chassis.database import Database

T = TypeVar("T")
PASSWORD_LENGTHS = range(8, 129)
START = "Start the shop with: make up"
ADMINISTRATOR = "Give its administrator's address: ORDERMILL_BROKER_URL"
WHOSE = "Say whose settings these are: --service"
INITDB = "Make the roles with: ordermill initdb"
UPGRADE = "Bring it up to date: ordermill upgrade"


def settings() -> Mapping[str, str]:
    """The services' settings: of this process in a container, else those of this checkout's running shop."""
    here = variables()
    if any(name.startswith(PREFIX) and name.endswith("_EDGE_KEY") for name in here):
        return here
    from ordermill.setup import environment

    return environment(State.attach())


def auditor_url() -> str:
    """The database as the role that only reads: of this process in a container, else of this checkout's shop."""
    if given := variables().get("ORDERMILL_AUDITOR_DATABASE_URL"):
        return given
    from ordermill.setup import auditor_url as of_checkout

    return of_checkout(State.attach())


def actor() -> str:
    """Who acts, as it is noted: the user of the operating system, by number where it has no name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"


@asynccontextmanager
async def databases(told: Mapping[str, str], service: str | None = None) -> "AsyncIterator[dict[str, Database]]":
    """The databases of one service, or of all whose settings are there, open and each as its service's own role."""
    from chassis.database import Database

    names = ((name, (f"ORDERMILL_{name.upper()}_DATABASE_URL", "ORDERMILL_DATABASE_URL")) for name in chosen(service))
    urls = {name: url for name, keys in names if (url := next((told[key] for key in keys if key in told), None))}
    if not urls:
        cause = "No setting says where a service's database is."
        raise Failure(cause, "Set ORDERMILL_DATABASE_URL, or one for each service", Exit.MISSING)
    opened = {name: Database(url, size=2) for name, url in urls.items()}
    for database in opened.values():
        await database.open()
    try:
        yield opened
    finally:
        for database in opened.values():
            await database.close()


async def seed(told: Mapping[str, str], products: int) -> None:
    """The first products with their stock, and in a local shop the demo accounts. Safe to repeat."""
    from ordermill import seeds

    state = State.open() if told.get("ORDERMILL_PROFILE") == "local" else None
    await reaching(seeds.seed(told, state, products))


async def create_admin(told: Mapping[str, str], email: str, password: str) -> None:
    """An account that may do everything."""
    from auth_service.accounts import create_user
    from auth_service.domain.user import EmailTaken
    from auth_service.wordlist import is_common
    from contracts.types import Role
    from ordermill.seeds import at_work

    if len(password) not in PASSWORD_LENGTHS:
        cause = "The password is too short or too long."
        raise Failure(cause, "Choose one with 8 to 128 characters.")
    if is_common(password):
        cause = "The password is one of the 3,000 most common ones."
        raise Failure(cause, "Choose another.")

    async def create() -> None:
        async with at_work("auth_service", told) as parts:
            await create_user(parts.pipeline, email, password, Role.ADMIN, actor=actor())

    try:
        await reaching(create())
    except EmailTaken:
        cause = f"There is an account with {email} already."
        raise Failure(cause, "Choose another address, or make it an admin with PATCH /api/v1/users/{id}") from None
    except ValueError as wrong:
        cause = f"{email} is no mail address: {wrong}"
        raise Failure(cause, "Write it like ann@example.com") from None


async def reaching(work: Awaitable[T], *, refused: str = WHOSE, missing: str = UPGRADE) -> T:
    """The result of work in a database or at the broker; that one does not answer, or refuses, is said to a person.

    `refused` mends a refusal of PostgreSQL, `missing` the lack of a schema.
    """
    try:
        return await work
    except (Failure, BrokenPipeError):  # whoever read our output has left: the database is not to blame
        raise
    except Exception as failure:
        if told := _of_rabbitmq(failure) or _of_postgres(_driven(failure), refused, missing):
            raise told from None
        raise


def _driven(failure: Exception) -> BaseException:
    """What the driver raised, below what SQLAlchemy made of it."""
    from sqlalchemy.exc import DBAPIError

    return (isinstance(failure, DBAPIError) and failure.orig and failure.orig.__cause__) or failure


def _of_rabbitmq(failure: Exception) -> Failure | None:
    from aiormq import exceptions as amqp

    if isinstance(failure, amqp.InvalidFrameError):  # all that aiormq says when the broker will not open the host
        return Failure("RabbitMQ refuses: it has no such virtual host.", ADMINISTRATOR)
    if isinstance(failure, (amqp.AuthenticationError, amqp.ProbableAuthenticationError, amqp.AMQPChannelError)):
        return Failure(f"RabbitMQ refuses: {failure.args[-1]}.", ADMINISTRATOR)
    if isinstance(failure, amqp.AMQPConnectionError):
        return Failure("RabbitMQ does not answer.", START, Exit.NOT_RUNNING)
    return None


def _of_postgres(failure: BaseException, refused: str, missing: str) -> Failure | None:
    import asyncpg

    from chassis.database import OUTAGE
    from chassis.items import Unavailable

    if isinstance(failure, (Unavailable, *OUTAGE)):
        return Failure("PostgreSQL does not answer.", START, Exit.NOT_RUNNING)
    if isinstance(failure, (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidAuthorizationSpecificationError)):
        return Failure(f"PostgreSQL refuses: {failure}.", refused)
    if isinstance(failure, asyncpg.InvalidCatalogNameError):
        return Failure(f"PostgreSQL refuses: {failure}.", "Correct the address of the database, or create it.")
    if isinstance(failure, (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)):
        return Failure(f"The schema is not up to date: {failure}.", missing)
    return None
