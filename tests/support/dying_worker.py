"""A ledger worker as a process of its own that dies of one event, as long as a file is there: `python -m …`.

Arguments: the database's URL, the broker's URL, the file. The product's code knows nothing of it.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from chassis import deferred
from chassis.decisions import Rule
from chassis.worker import Worker
from contracts.payments import RefundSucceeded
from tests.support import ledger, ledger_edge

DEADLY = 666


def make_deadly(file: Path) -> None:
    """From now on whoever decides a refund of 6.66 dies of it, as of a memory that is full: no word, no cleaning up."""
    rules = ledger.decisions.rules
    names, decide = rules[RefundSucceeded]

    def die(state: Any, fact: RefundSucceeded, cause: Any) -> Any:
        if fact.amount.amount == DEADLY and file.exists():
            os._exit(137)
        return decide(state, fact, cause)

    rules[RefundSucceeded] = Rule(names, die)


async def work(database_url: str, broker_url: str) -> None:
    async with Worker(ledger_edge.the_parts(database_url, broker_url)).running():
        await asyncio.Event().wait()


if __name__ == "__main__":
    deferred.LEASE = 1  # a start is leased for so long; a process that is back earlier would wait for it
    make_deadly(Path(sys.argv[3]))
    asyncio.run(work(sys.argv[1], sys.argv[2]))
