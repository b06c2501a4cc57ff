"""A service for tests of the pipeline: accounts that are credited, and that cannot be overdrawn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Column, Integer, MetaData, Table, Uuid, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from chassis.batch import Work
from chassis.database import Database, Transaction
from chassis.decisions import Cause, Decision, Decisions, Key, State
from chassis.deferred import DeferredEvents
from chassis.idempotency import Claims
from chassis.inbox import Inbox
from chassis.migrations import add_chassis_tables
from chassis.outbox import Outbox
from chassis.pipeline import Pipeline
from chassis.statements import Bulk, Statement
from chassis.store import Change, Rows, SqlStore, Store
from contracts.orders import OrderShipped
from contracts.payments import RefundFailed, RefundSucceeded
from contracts.types import Money, OrderId, RefundId, UserId

SERVICE = "ledger_service"
metadata = MetaData(schema=SERVICE)
accounts = Table(
    "accounts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("balance", Integer, CheckConstraint("balance <> 13", name="unlucky"), nullable=False),
    Column("version", Integer, nullable=False),
)
add_chassis_tables(metadata)


@dataclass(frozen=True, slots=True)
class Account:
    key: UUID
    balance: int = 0
    version: int = 0

    def plus(self, amount: int) -> "Account":
        return Account(self.key, self.balance + amount, self.version + 1)


@dataclass(frozen=True, slots=True)
class Credit:
    account: UUID
    amount: int


@dataclass(frozen=True, slots=True)
class Debit:
    account: UUID
    amount: int


class Overdrawn(Exception):
    """There is not enough on the account."""


decisions = Decisions(SERVICE)


def _named(item: Any) -> tuple[tuple[type, UUID], ...]:
    return ((Account, getattr(item, "account", None) or item.order_id),)


@decisions.on(names=_named)
def credit(state: State, item: Credit, cause: Cause) -> Decision:
    account = (state.find(Account, item.account) or Account(item.account)).plus(item.amount)
    told = OrderShipped(order_id=OrderId(item.account), shipments=())
    due = (account.key,) if cause.lease else ()
    return Decision(changes=(account,), events=(told,), sequence=account.version, reply=account, hands_over=due)


@decisions.on(names=_named)
def debit(state: State, item: Debit, cause: Cause) -> Decision:
    account = state.find(Account, item.account) or Account(item.account)
    if account.balance < item.amount:
        raise Overdrawn
    return Decision(changes=(account.plus(-item.amount),), reply=account.plus(-item.amount))


@decisions.on(names=_named)
def count_refund(state: State, fact: RefundSucceeded | RefundFailed, cause: Cause) -> Decision:
    if isinstance(fact, RefundFailed):
        if fact.code == "poison":
            raise ArithmeticError(fact.code)
        if fact.code == "refused":
            raise Overdrawn
        return Decision(ignored="nothing was refunded")
    account = (state.find(Account, fact.order_id) or Account(fact.order_id)).plus(fact.amount.amount)
    return Decision(changes=(account,), sequence=account.version)


_LOCK = Statement(
    select(accounts)
    .where(accounts.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
    .order_by(accounts.c.id)
    .with_for_update()
)
_ADD = Bulk.insert(accounts)
_SAVE = Bulk.update(accounts, "id", "balance", "version")


async def _load(tx: Transaction, ids: Sequence[UUID]) -> list[Account]:
    return [Account(row["id"], row["balance"], row["version"]) for row in await tx.fetch(_LOCK, ids=ids)]


async def _save(tx: Transaction, changes: Sequence[Change]) -> None:
    """What is new is inserted, so that two who add one account at once collide instead of overwriting each other."""
    for bulk, is_new in ((_ADD, True), (_SAVE, False)):
        await tx.run(
            bulk, [(c.after.key, c.after.balance, c.after.version) for c in changes if (c.before is None) is is_new]
        )


STORE = SqlStore(Rows(Account, save=_save, load=_load))


class Moody:
    """The store, but its next loads fail as told; None lets one through."""

    def __init__(self, *moods: Exception | None) -> None:
        self.moods = list(moods)

    async def load(self, tx: Transaction, keys: Iterable[Key]) -> dict[Key, Any]:
        if self.moods and (mood := self.moods.pop(0)) is not None:
            raise mood
        return await STORE.load(tx, keys)

    async def save(self, tx: Transaction, changes: Mapping[Key, Change]) -> None:
        await STORE.save(tx, changes)


def work(store: Store = STORE) -> Work:
    return Work(
        decisions=decisions,
        store=store,
        refusals=(Overdrawn,),
        inbox=Inbox(SERVICE),
        outbox=Outbox(SERVICE),
        deferred=DeferredEvents(SERVICE),
        claims=Claims(SERVICE),
    )


def a_pipeline(database: Database, *moods: Exception | None) -> Pipeline:
    return Pipeline(SERVICE, database, work(Moody(*moods)))


def refunded(order_id: UUID | None = None, amount: int = 10) -> RefundSucceeded:
    return RefundSucceeded(
        order_id=OrderId(order_id or uuid4()),
        customer_id=UserId(uuid4()),
        refund_id=RefundId(uuid4()),
        amount=Money(amount=amount, currency="EUR"),
    )


def not_refunded(order_id: UUID | None = None, code: str = "poison") -> RefundFailed:
    amount = Money(amount=1, currency="EUR")
    return RefundFailed(order_id=OrderId(order_id or uuid4()), refund_id=RefundId(uuid4()), amount=amount, code=code)
