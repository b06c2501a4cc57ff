"""A bug for every process that has this folder on its PYTHONPATH: each parcel counts as new, however often it comes."""

from chassis.inbox import Inbox

remembers = Inbox.claim


async def claim(self, tx, messages, subjects):
    claimed = await remembers(self, tx, messages, subjects)
    return claimed._replace(fresh=frozenset(messages))


Inbox.claim = claim
