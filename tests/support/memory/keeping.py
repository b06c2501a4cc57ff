"""Keeps things, changes them and finds them again, each in a transaction of its own."""

from chassis.store import Change


async def kept(database, store, *things) -> None:
    async with database.transaction() as tx:
        await store.save(tx, {(type(thing), thing.key): Change(None, thing) for thing in things})


async def changed(database, store, before, after) -> None:
    async with database.transaction() as tx:
        await store.save(tx, {(type(after), after.key): Change(before, after)})


async def loaded(database, store, kind, key):
    async with database.transaction() as tx:
        return (await store.load(tx, [(kind, key)]))[kind, key]
