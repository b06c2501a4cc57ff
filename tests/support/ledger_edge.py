"""The ledger service as `main` describes one: its edge, its settings, and callers of each role."""

import time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import bindparam, select

from chassis.app import Parts, Service, parts_of
from chassis.http import (
    Admin,
    Answer,
    Body,
    Customer,
    Edge,
    IdempotencyKey,
    IfMatch,
    Listing,
    Paging,
    Staff,
    View,
    asked_by,
    etag,
    found,
    listing,
)
from chassis.ids import UserRef, new_id
from chassis.problems import problems
from chassis.settings import ServiceSettings, named
from chassis.statements import Statement
from chassis.tokens import Caller, KeyPair, Role, Verifier, issue
from tests.support import ledger
from tests.support.neighbours import EDGE_KEY

PAIR = KeyPair.new()
router = APIRouter()
internal = APIRouter()
_FIND = Statement(select(ledger.accounts).where(ledger.accounts.c.id == bindparam("id")))
_LIST = Statement(
    select(ledger.accounts)
    .where(ledger.accounts.c.id > bindparam("after"))
    .order_by(ledger.accounts.c.id)
    .limit(bindparam("limit"))
)


class Settings(ServiceSettings, alias_generator=named(ledger.SERVICE)):
    pass


class Amount(Body):
    amount: int
    note: str = ""
    tags: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class AccountView(View):
    id: UserRef
    balance: int


def _view(account: ledger.Account) -> AccountView:
    return AccountView(id=account.key, balance=account.balance)


@router.post("/accounts/{account}/credits", status_code=201, responses=problems("idempotency_key_reused"))
async def credit_account(
    account: UserRef, body: Amount, key: IdempotencyKey, _who: Customer, edge: Edge
) -> AccountView:
    def render(thing: ledger.Account) -> Answer:
        return Answer(_view(thing), 201, {"ETag": etag(thing.version)})

    return await edge.submit(ledger.Credit(account, body.amount), render, key=key, operation="creditAccount", body=body)


@router.post("/accounts/{account}/debits")
async def debit_account(account: UserRef, body: Amount, version: IfMatch, edge: Edge) -> AccountView:
    assert version
    return await edge.submit(ledger.Debit(account, body.amount), lambda thing: Answer(_view(thing)))


@router.get("/accounts/{account}")
async def get_account(account: UserRef, _who: Customer, edge: Edge) -> AccountView:
    async with edge.read() as tx:
        row = found(await tx.fetch_row(_FIND, id=account))
    return edge.tagged(AccountView(id=row["id"], balance=row["balance"]), row["version"])


@router.get("/accounts")
async def list_accounts(page: Paging, edge: Edge) -> Listing[AccountView]:
    (after,) = page.seen(UUID) or (UUID(int=0),)
    async with edge.read() as tx:
        rows = await tx.fetch(_LIST, after=after, limit=page.limit + 1)
    return listing(page, rows, lambda row: AccountView(id=row["id"], balance=row["balance"]), lambda row: (row["id"],))


@router.get("/notes/{text}")
async def get_note(text: str, edge: Edge) -> None:
    async with edge.read() as tx:
        await tx.sql("SELECT $1::text", text)


@router.get("/for-staff")
async def for_staff(who: Staff) -> str:
    return who.role


@router.get("/for-admins")
async def for_admins(who: Admin) -> str:
    return who.role


@router.get("/broken")
async def break_down() -> None:
    message = "password: hunter2"
    raise RuntimeError(message)


@internal.get("/internal/ping")
async def ping(_who: Annotated[None, asked_by("the_one", "the_other")]) -> str:
    return "pong"


service = Service(
    name=ledger.SERVICE,
    settings=Settings,
    metadata=ledger.metadata,
    decisions=ledger.decisions,
    store=ledger.STORE,
    router=router,
    internal=internal,
    refusals={ledger.Overdrawn: "insufficient_stock"},
)


async def _jwks() -> dict[str, object]:
    return {"keys": [dict(PAIR.public_jwk)]}


def the_parts(url: str, broker_url: str = "amqp://nowhere", **given: object) -> Parts:
    settings = Settings(database_url=url, broker_url=broker_url, edge_key=EDGE_KEY, **given)
    parts = parts_of(service, settings, {})
    parts.verifier = Verifier(_jwks, issuer=settings.issuer)
    return parts


def bearer(
    parts: Parts, role: Role = Role.CUSTOMER, user: UUID | None = None, now: float | None = None
) -> dict[str, str]:
    caller = Caller(user or new_id(), role, new_id())
    token = issue(PAIR, caller, issuer=parts.settings.issuer, now=now or time.time())
    return {"Authorization": f"Bearer {token}"}
