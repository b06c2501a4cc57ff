"""A ledger worker that dies of one event as long as a file is there, started again whenever it dies: `python -m …`.

Arguments: the database's URL, the broker's URL, the file. Prints how each life ended. The product knows nothing of it.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from chassis import deferred
from chassis.worker import Worker
from contracts.payments import RefundSucceeded
from tests.support import ledger, ledger_edge

DEADLY = 666


def make_deadly(file: Path) -> None:
    """From now on whoever decides a refund of 6.66 dies of it, as of a memory that is full: no word, no cleaning up."""
    rules = ledger.decisions.rules
    rule = rules[RefundSucceeded]

    def die(state: Any, fact: RefundSucceeded, cause: Any) -> Any:
        if fact.amount.amount == DEADLY and file.exists():
            os._exit(137)
        return rule.decide(state, fact, cause)

    rules[RefundSucceeded] = rule._replace(decide=die)


async def work(database_url: str, broker_url: str) -> None:
    async with Worker(ledger_edge.the_parts(database_url, broker_url)).running():
        await asyncio.Event().wait()


def live(*urls: str) -> None:
    """One life after the other, each in a process of its own; SIGTERM ends the present one, and with it all."""
    while True:
        if not (pid := os.fork()):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            asyncio.run(work(*urls))
        signal.signal(signal.SIGTERM, lambda *_, pid=pid: os.kill(pid, signal.SIGTERM))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code < 0:
            return
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    deferred.LEASE = 1  # a start is leased for so long; a process that is back earlier would wait for it
    make_deadly(Path(sys.argv[3]))
    live(sys.argv[1], sys.argv[2])
