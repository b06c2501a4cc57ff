"""The load generator, a process of its own. Requests are made of ready bytes, so that it costs little.

It reads JSON objects, one a line: first where to and what (see `Load`), then phases: `orders`, and either `clients` (a
closed loop) or `rate` (an open one); a line with `heads` renews the tokens. It writes lines, too: `{"accepted": n}` now
and then, and for each phase its figures.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import uvloop

from ordermill.bench.connection import Connection, Order
from ordermill.bench.figures import spread_ms

TICK = 0.001
LOOKS_EACH = 0.02
PATIENCE = 30.0
TELLS_EACH = 0.5
CONNECTIONS = 240
REFUSED_RESTS = 0.05
ACCEPTED = {"200", "201"}
LATER = {"429", "503"}
ID_LENGTH = 30  # ord_01m7xv52z2e5ptsd32m3cp17cd


@dataclass(slots=True)
class Tally:
    """What became of a phase's orders. Moments are of the monotonic clock, which all processes share."""

    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    asked: int = 0
    answered: int = 0
    cut: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    cancels: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    marked: dict[str, tuple[float, str, int]] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        return {
            "began": self.began, "ended": self.ended, "accepted": len(self.latencies), "cut": self.cut,
            "unanswered": self.asked - self.answered - self.cut, "statuses": self.statuses, "cancels": self.cancels,
            "post_ms": spread_ms(self.latencies), "marked": self.marked,
        }  # fmt: skip


class Load:
    """The connections, the orders that wait to be sent, and the tally of the phase.

    Its job: `port`; `heads` of requests, one a customer; `bodies` of orders; `marked`, the last letters of the ids
    whose moments are kept; `cancel_each`, which of the accepted orders are cancelled at once.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self._port = job["port"]
        self.heads = job["heads"]
        self._bodies = [f"Content-Length: {len(body)}\r\n\r\n{body}".encode() for body in job["bodies"]]
        self._marked = job["marked"]
        self._cancel_each = job.get("cancel_each", 0)
        self._run = f"{time.time_ns():x}"
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Order] = deque()
        self._number = 0
        self._left = 0
        self.tally = Tally()

    def _ask(self, connection: Connection, order: Order) -> None:
        self.tally.asked += 1
        head = self.heads[order.number % len(self.heads)]
        if order.cancels:
            line = f"POST /api/v1/orders/{order.cancels}/cancel HTTP/1.1\r\n"
            connection.ask(order, f"{line}{head}Content-Length: 0\r\n\r\n".encode())
        else:
            line = f"POST /api/v1/orders HTTP/1.1\r\n{head}Idempotency-Key: {self._key(order.number)}\r\n"
            connection.ask(order, line.encode() + self._bodies[order.number % len(self._bodies)])

    def _key(self, number: int) -> str:
        return f"{self._run}-{number}"

    def answered(self, connection: Connection, order: Order, answer: bytes) -> None:
        """An answer has come; the connection is free for the next order, after a rest when this one was refused."""
        status = answer[9:12].decode()
        self.tally.answered += 1
        if order.cancels:
            self.tally.cancels[status] += 1
        else:
            self.tally.statuses[status] += 1
            if status in ACCEPTED:
                self._accepted(order, answer)
        if status in LATER:
            asyncio.get_running_loop().call_later(REFUSED_RESTS, self._free, connection)
        else:
            self._free(connection)

    def _accepted(self, order: Order, answer: bytes) -> None:
        """Its time counts from when the request was meant to be sent."""
        self.tally.ended = now = time.monotonic()
        self.tally.latencies.append(now - order.due)
        at, number = answer.find(b'"ord_') + 1, order.number
        order_id = answer[at : at + ID_LENGTH].decode()
        if order_id[-1] in self._marked:
            self.tally.marked[order_id] = now, self._key(number), number % len(self.heads)
        if self._cancel_each and number % self._cancel_each == 0:
            self._waiting.append(Order(number, now, order_id))

    def _free(self, connection: Connection) -> None:
        if self._waiting:
            self._ask(connection, self._waiting.popleft())
        elif self._left > 0:
            self._left -= 1
            self._ask(connection, self._next(time.monotonic()))
        else:
            self._idle.append(connection)

    def _next(self, due: float) -> Order:
        self._number += 1
        return Order(self._number, due)

    def lost(self, connection: Connection, order: Order | None) -> None:
        self.tally.cut += order is not None
        with suppress(ValueError):
            self._idle.remove(connection)

    async def _connect(self, count: int) -> None:
        loop, missing = asyncio.get_running_loop(), range(count - len(self._idle))
        made = (loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port) for _ in missing)
        self._idle.extend(connection for _, connection in await asyncio.gather(*made))

    async def phase(self, orders: int, clients: int = 0, rate: float = 0.0) -> dict[str, Any]:
        """So many orders: by clients who each wait for an answer, or at a rate, whatever is answered."""
        await self._connect(clients or CONNECTIONS)
        self.tally = Tally()
        if clients:
            self._left = orders
            for connection in [self._idle.popleft() for _ in range(clients)]:
                self._free(connection)
        else:
            await self._at(rate, orders)
        await self._until_answered()
        return self.tally.figures()

    async def _at(self, rate: float, orders: int) -> None:
        began, made = self.tally.began, 0
        while made < orders:
            due = min(orders, int((time.monotonic() - began) * rate) + 1)
            for number in range(made, due):
                order = self._next(began + number / rate)
                if self._idle:
                    self._ask(self._idle.popleft(), order)
                else:
                    self._waiting.append(order)
            made = due
            await asyncio.sleep(max(TICK, began + made / rate - time.monotonic()))

    async def _until_answered(self) -> None:
        """Returns when every request has its answer, or when for long none has come."""
        tally, seen, since = self.tally, -1, time.monotonic()
        while self._left or self._waiting or tally.asked > tally.answered + tally.cut:
            if tally.answered != seen:
                seen, since = tally.answered, time.monotonic()
            if time.monotonic() > since + PATIENCE:
                break
            await asyncio.sleep(LOOKS_EACH)
        self._left = 0
        self._waiting.clear()


def _write(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _tell(load: Load) -> None:
    while True:
        await asyncio.sleep(TELLS_EACH)
        _write({"accepted": len(load.tally.latencies)})


async def main() -> None:
    """Works on one phase after the other until its input ends; tokens are renewed while a phase runs."""
    loop, running = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    load = Load(json.loads(await loop.run_in_executor(None, sys.stdin.readline)))
    telling = loop.create_task(_tell(load))

    async def work(phase: dict[str, Any]) -> None:
        _write(await load.phase(**phase))

    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = json.loads(line)
        if "heads" in told:
            load.heads = told["heads"]
        else:
            await asyncio.gather(*running)
            running = {loop.create_task(work(told))}
    telling.cancel()
    await asyncio.gather(telling, *running, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
