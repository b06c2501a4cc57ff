"""The contract of stores, held to by memory and SQL alike."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from chassis.store import Change, MemoryStore, Rows, SqlStore
from tests.support.ledger import STORE, Account


@dataclass(frozen=True)
class Family:
    """Two accounts that are loaded with it."""

    key: int
    members: tuple[UUID, ...]


FIRST, SECOND, THIRD = sorted(uuid4() for _ in range(3))
FAMILY = Family(7, (FIRST, THIRD))
accounts = STORE.rows[Account]


async def _families(_tx, keys: Sequence[int]):
    return [FAMILY] if FAMILY.key in keys else []


async def _never(_tx, _changes: Sequence[Change]):
    raise AssertionError


families = Rows(Family, save=_never, load=_families, names=lambda family: [(Account, key) for key in family.members])


@pytest.fixture(params=["sql", "memory"])
def store(request):
    if request.param == "sql":
        return SqlStore(families, accounts)
    memory = MemoryStore(families, accounts)
    memory.add(FAMILY)
    return memory


@pytest.fixture
async def tx(database):
    """From its begin to its end in one task, as in all that we do: a fixture's own two halves run in two."""
    begun, may_end = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def transact():
        async with database.transaction() as tx:
            begun.set_result(tx)
            await may_end.wait()

    transacting = asyncio.ensure_future(transact())
    yield await begun
    may_end.set()
    await transacting


async def saved(store, tx, *things):
    await store.save(tx, {(type(thing), thing.key): Change(None, thing) for thing in things})


async def test_what_was_saved_is_loaded(store, tx):
    await saved(store, tx, Account(FIRST, 1, 1), Account(SECOND, 2, 1))

    loaded = await store.load(tx, {(Account, FIRST), (Account, SECOND)})

    assert loaded == {(Account, FIRST): Account(FIRST, 1, 1), (Account, SECOND): Account(SECOND, 2, 1)}


async def test_a_key_that_nothing_has_is_none(store, tx):
    assert await store.load(tx, [(Account, FIRST)]) == {(Account, FIRST): None}


async def test_nothing_is_loaded_for_no_keys(store, tx):
    assert await store.load(tx, []) == {}


async def test_a_later_change_replaces_the_earlier_one(store, tx):
    await saved(store, tx, Account(FIRST, 1, 1))

    await store.save(tx, {(Account, FIRST): Change(Account(FIRST, 1, 1), Account(FIRST, 5, 2))})

    assert await store.load(tx, [(Account, FIRST)]) == {(Account, FIRST): Account(FIRST, 5, 2)}


async def test_things_that_a_thing_names_are_loaded_with_it(store, tx):
    await saved(store, tx, Account(FIRST, 1, 1), Account(SECOND, 2, 1))

    loaded = await store.load(tx, [(Family, 7)])

    assert loaded == {(Family, 7): FAMILY, (Account, FIRST): Account(FIRST, 1, 1), (Account, THIRD): None}


async def test_a_key_that_is_named_twice_is_loaded_once(store, tx):
    await saved(store, tx, Account(FIRST, 1, 1))

    loaded = await store.load(tx, [(Family, 7), (Family, 8), (Account, FIRST), (Account, FIRST)])

    assert loaded[Account, FIRST] == Account(FIRST, 1, 1)
    assert loaded[Family, 8] is None
    assert len(loaded) == 4


async def test_a_kind_that_the_store_does_not_hold_is_an_error(store, tx):
    with pytest.raises(KeyError):
        await store.load(tx, [(str, "x")])
    with pytest.raises(KeyError):
        await store.save(tx, {(str, "x"): Change(None, "x")})


async def test_rows_without_a_load_are_only_ever_added(tx):
    store = SqlStore(Rows(Account, save=accounts.save))
    await saved(store, tx, Account(FIRST, 1, 1))

    assert await store.load(tx, [(Account, FIRST)]) == {(Account, FIRST): None}


async def test_in_sql_a_thing_names_things_of_later_kinds_only(tx):
    store = SqlStore(accounts, families)

    with pytest.raises(KeyError):
        await store.load(tx, [(Family, 7)])


async def test_in_sql_rows_stay_locked_until_the_end(tx, database):
    store = SqlStore(accounts)
    async with database.transaction() as other:
        await saved(store, other, Account(FIRST, 1, 1))

    await store.load(tx, [(Account, FIRST)])

    async with database.transaction() as other:
        locked = await other.sql("SELECT id FROM ledger_service.accounts FOR UPDATE SKIP LOCKED")
    assert locked == []
