"""What each feature costs an order: processor time of its functions, and PostgreSQL's time in its statements.

    python -m tests.performance.features [ORDERS]

A shop of its own (tests/support/counted_shop.py) takes batches of 50 orders through their whole life in this process;
the functions named in FEATURES are timed by the processor time of this thread, less what the timing itself costs.
No garbage is collected meanwhile.
"""

import asyncio
import gc
import inspect
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import asyncpg
import loguru._logger
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

import chassis.context
import chassis.idempotency
import order_service.domain.history
from chassis.database import Transaction
from chassis.idempotency import Claims
from chassis.logging import set_up
from chassis.tokens import Verifier
from tests.support.counted_parts import a_counted_shop, bodies, skus
from tests.support.counted_shop import CountedShop
from tests.support.database import a_copy, make_template
from tests.support.servers import server_url

BATCH, WARM_UP, ORDERS = 50, 2, 1_000
FEATURES: dict[str, tuple[tuple[Any, str], ...]] = {
    "token check": ((Verifier, "known"),),
    "idempotency": ((chassis.idempotency, "fingerprint"), (Claims, "take"), (Claims, "store")),
    "history": ((order_service.domain.history, "entry"), (Transaction, "run")),
    "logging at info": ((loguru._logger.Logger, "_log"),),
    "metrics": ((MetricWrapperBase, "labels"), (Counter, "inc"), (Gauge, "set"), (Histogram, "observe")),
    "tracing": ((chassis.context, "start"), (chassis.context, "new_traceparent")),
}
SENT = {"idempotency": r"\.idempotency|advisory_xact_lock", "history": r"\.order_history"}
SPENT = "SELECT sum(total_exec_time) * 1000 FROM pg_stat_statements WHERE query ~ $1"
# Who works beside it makes single executions longer, and the shortest of twenty not.
SHORTEST = """
    SELECT sum(min_exec_time * calls) * 1000 FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Meter:
    """Microseconds and calls by feature; what one function of a feature does inside of another counts once."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._inside: set[str] = set()

    def timed(self, feature: str, work: Callable[[], Any]) -> Any:
        if feature in self._inside:
            return work()
        self._inside.add(feature)
        began = time.thread_time_ns()
        try:
            return work()
        finally:
            self.spent[feature] += (time.thread_time_ns() - began) / 1000
            self.calls[feature] += 1
            self._inside.discard(feature)

    def clear(self) -> None:
        self.spent.clear()
        self.calls.clear()


class _Timed:
    """An awaitable of which only the parts between two waits are timed."""

    def __init__(self, meter: Meter, feature: str, work: Awaitable[Any]) -> None:
        self._meter, self._feature, self._work = meter, feature, work

    def __await__(self) -> Generator[Any, Any, Any]:
        steps, given = self._work.__await__(), None
        while True:
            try:
                waits_for = self._meter.timed(self._feature, lambda given=given: steps.send(given))
            except StopIteration as done:
                return done.value
            given = yield waits_for


def watch(meter: Meter) -> None:
    """Times the functions, wherever they were imported."""
    for feature, functions in FEATURES.items():
        for owner, name in functions:
            plain = getattr(owner, name)
            timed = _timing(meter, feature, plain)
            setattr(owner, name, timed)
            for module in list(sys.modules.values()):
                if vars(module).get(name) is plain:
                    setattr(module, name, timed)


def _timing(meter: Meter, feature: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(plain):

        async def timed_parts(*given: Any, **named: Any) -> Any:
            if plain.__name__ == "run" and "order_history" not in given[1].sql:
                return await plain(*given, **named)
            return await _Timed(meter, feature, plain(*given, **named))

        return timed_parts
    return lambda *given, **named: meter.timed(feature, lambda: plain(*given, **named))


def overhead() -> float:
    """Microseconds that a timed call seems to take when it does nothing."""
    meter = Meter()
    for _ in range(20_000):
        meter.timed("nothing", int)
    return meter.spent["nothing"] / meter.calls["nothing"]


async def measure(orders: int, folder: Path) -> None:
    server = server_url("postgres", folder)
    meter = Meter()
    async with a_copy(server, await make_template(server, folder / "template.lock")) as url:
        database = await asyncpg.connect(url)
        await database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        async with a_counted_shop(url, lambda: 1) as shop:
            shop.counts_calls = False
            await shop.stock(skus(0, orders + BATCH * WARM_UP))
            await _batches(shop, 0, WARM_UP)
            watch(meter)
            gc.disable()  # a collection would be put to the account of whoever happens to allocate then
            await database.execute("SELECT pg_stat_statements_reset()")
            began = time.process_time()
            await _batches(shop, WARM_UP, orders // BATCH)
            whole = (time.process_time() - began) * 1e6 / orders
            shortest = await database.fetchval(SHORTEST) / orders
        _show(meter, {name: await database.fetchval(SPENT, of) for name, of in SENT.items()}, orders, (whole, shortest))
        await database.close()


async def _batches(shop: CountedShop, first: int, count: int) -> None:
    for number in range(first, first + count):
        await shop.live(bodies(number * BATCH, BATCH))


def _show(meter: Meter, sent: dict[str, float], orders: int, whole: tuple[float, float]) -> None:
    each = overhead()
    sys.stdout.write(
        "| feature | calls an order | µs an order, Python | µs an order, PostgreSQL |\n|---|---|---|---|\n"
    )
    for feature in FEATURES:
        spent = (meter.spent[feature] - each * meter.calls[feature]) / orders
        server = f"{sent[feature] / orders:.1f}" if feature in sent else "none"
        sys.stdout.write(f"| {feature} | {meter.calls[feature] / orders:.2f} | {spent:.1f} | {server} |\n")
    python, server = whole
    sys.stdout.write(f"\nthe whole shop but the gateway, in this process: {python:.0f} µs an order\n")
    sys.stdout.write(f"PostgreSQL, each statement at its shortest: {server:.0f} µs an order\n")


if __name__ == "__main__":
    set_up("shop")
    # Lines are written as in production, and kept by nobody; what goes wrong is said.
    with (
        tempfile.TemporaryDirectory(prefix="ordermill-features-") as name,
        Path(os.devnull).open("w") as nobody,
        redirect_stderr(nobody),
    ):
        asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else ORDERS, Path(name)))
