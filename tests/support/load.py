"""A load generator in a process of its own: orders at a given rate, whatever is answered, or as fast as clients can.

It reads one phase a line, as JSON: `{"clients": 64, "seconds": 3}` or `{"rate": 900.0, "seconds": 3}`, and writes a
line of figures for each. Requests are made of ready bytes, so that it takes little of the processor that it measures.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Any

import uvloop

TICK = 0.002
PATIENCE = 30.0
CONNECTIONS = 1_500


class Tally:
    """What became of a phase's requests; times in seconds."""

    def __init__(self) -> None:
        self.sent = self.cut = self.without_retry_after = 0
        self.statuses: Counter[str] = Counter()
        self.times: dict[str, list[float]] = {"taken": [], "refused": []}

    def answered(self, status: str, seconds: float, answer: bytes) -> None:
        self.statuses[status] += 1
        self.times["taken" if status < "300" else "refused"].append(seconds)
        if status >= "300" and b"retry-after: " not in answer:
            self.without_retry_after += 1

    def figures(self, seconds: float) -> dict[str, Any]:
        taken, refused = (sorted(times) for times in self.times.values())
        return {
            "seconds": seconds, "sent": self.sent, "statuses": self.statuses, "taken": len(taken), "cut": self.cut,
            "unanswered": self.sent - self.cut - len(taken) - len(refused),
            "without_retry_after": self.without_retry_after, "taken_ms": _ms(taken), "refused_ms": _ms(refused),
        }  # fmt: skip


def _ms(times: list[float]) -> dict[str, float]:
    at = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(1000 * times[int((len(times) - 1) * part)], 1) for name, part in at.items()} if times else {}


class Client(asyncio.Protocol):
    """A kept connection with at most one request under way."""

    def __init__(self, generator: "Generator") -> None:
        self._generator = generator
        self._tally: Tally | None = None
        self._answer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, tally: Tally, request: bytes) -> None:
        tally.sent += 1
        self._tally, self._asked_at, self._answer = tally, time.perf_counter(), b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        end, at = self._answer.find(b"\r\n\r\n"), self._answer.find(b"content-length: ") + 16
        if self._tally and 0 <= end <= len(self._answer) - 4 - int(self._answer[at : self._answer.find(b"\r", at)]):
            head = self._answer[:end]
            self._tally.answered(head[9:12].decode(), time.perf_counter() - self._asked_at, head)
            self._tally = None
            if b"connection: close" in head:
                self._transport.close()
            else:
                self._generator.free(self)

    def connection_lost(self, _why: Exception | None) -> None:
        self._generator.lost(self)
        if self._tally:
            self._tally.cut += 1


class Generator:
    """The connections, and whose turn it is."""

    def __init__(self, port: int, head: str, body: str) -> None:
        self._port = port
        self._head = f"{head}Content-Length: {len(body)}\r\nIdempotency-Key: ".encode()
        self._tail = f"\r\n\r\n{body}".encode()
        self._mark = f"{time.time_ns():x}-"
        self._idle: deque[Client] = deque()
        self._open = 0
        self._number = 0
        self._closed_loop: Tally | None = None

    def request(self) -> bytes:
        self._number += 1
        return b"%s%s%d%s" % (self._head, self._mark.encode(), self._number, self._tail)

    def free(self, client: Client) -> None:
        if self._closed_loop:
            client.ask(self._closed_loop, self.request())
        else:
            self._idle.append(client)

    def lost(self, client: Client) -> None:
        self._open -= 1
        with suppress(ValueError):
            self._idle.remove(client)

    async def _connect(self) -> None:
        self._open += 1
        try:
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: Client(self), "127.0.0.1", self._port
            )
        except OSError:
            self._open -= 1
        else:
            self._idle.append(client)

    async def _have(self, count: int) -> None:
        await asyncio.gather(*(self._connect() for _ in range(min(count, CONNECTIONS) - len(self._idle))))

    async def clients(self, clients: int, seconds: float) -> Tally:
        """So many clients, each with its next order as soon as the last one is answered."""
        tally = Tally()
        await self._have(clients)
        self._closed_loop = tally
        for _ in range(clients):
            self._idle.pop().ask(tally, self.request())
        await asyncio.sleep(seconds)
        self._closed_loop = None
        return tally

    async def rate(self, rate: float, seconds: float) -> Tally:
        """So many orders a second, answered or not."""
        tally, began, due = Tally(), time.perf_counter(), 0.0
        await self._have(200)
        while (passed := time.perf_counter() - began) < seconds:
            due = passed * rate - tally.sent
            while due >= 1:
                if not self._idle:
                    await self._have(50)
                self._idle.pop().ask(tally, self.request())
                due -= 1
            await asyncio.sleep(TICK)
        return tally

    async def answers(self, tally: Tally) -> None:
        """Returns when every request has its answer, or after a long time."""
        until = time.perf_counter() + PATIENCE
        while tally.figures(0)["unanswered"] and time.perf_counter() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def main(port: str, head: str, body: str) -> None:
    generator = Generator(int(port), head, body)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        phase = json.loads(line)
        began, used = time.perf_counter(), time.process_time()
        tally = await (generator.clients if "clients" in phase else generator.rate)(**phase)
        seconds, used = time.perf_counter() - began, time.process_time() - used
        await generator.answers(tally)
        print(json.dumps({**tally.figures(seconds), "processor_seconds": used}), flush=True)  # noqa: T201


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
