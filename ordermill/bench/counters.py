"""Everything that is counted about a running shop, read at one moment: two readings make the figures of a run."""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import httpx2
from prometheus_client.parser import text_string_to_metric_families

from ordermill.bench import cpu
from ordermill.bench.figures import differences, per
from ordermill.bench.stage import metrics_addresses
from ordermill.stage import Stage
from ordermill.state import broker_names

BATCH = "ordermill_batch_items"
SERVERS = {"postgres": "PostgreSQL", "epmd": "RabbitMQ", **dict.fromkeys(broker_names(5), "RabbitMQ")}
LOAD, REST = "load generator", "rest"

_DATABASE = """
    SELECT coalesce(sum(calls), 0)::float AS statements,
        coalesce(sum(calls) FILTER (WHERE query ILIKE 'commit%'), 0)::float AS transactions,
        pg_current_wal_lsn() - '0/0'::pg_lsn AS wal_bytes,
        pg_database_size(current_database())::float AS stored_bytes
    FROM pg_stat_statements
"""
_POSTS = """
    SELECT count(*)::float AS orders, count(DISTINCT xmin::text) AS transactions FROM order_service.order_history
    WHERE version = 1 AND at >= $1
"""


@dataclass(frozen=True)
class Reading:
    """One moment: seconds of processor time by group and of the machine, counts of the database and of batches."""

    at: datetime
    cpu: dict[str, float]
    machine: dict[str, float]
    database: dict[str, float]
    batches: dict[str, float]


class Counters:
    """Reads them."""

    def __init__(self, stage: Stage, database: asyncpg.Connection, load: int | None = None) -> None:
        self._stage = stage
        self._database = database
        self._load = load

    async def prepare(self) -> None:
        """Statements are counted from now on."""
        await self._database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    async def read(self) -> Reading:
        batches = await scraped(metrics_addresses(self._stage))
        row = await self._database.fetchrow(_DATABASE)
        at = await self._database.fetchval("SELECT clock_timestamp()")
        return Reading(at, self._cpu(), cpu.machine_times(), {name: float(row[name]) for name in row.keys()}, batches)  # noqa: SIM118 -- a Record iterates over its values

    def _cpu(self) -> dict[str, float]:
        roots = {name: running.pid for name, running in self._stage.processes.items() if running.pid}
        groups: dict[str, float] = {}
        for name, seconds in cpu.spent({**roots, LOAD: self._load or 0, REST: os.getpid()}).items():
            group = SERVERS.get(name) or (name if name.endswith((".api", ".worker")) or name == LOAD else REST)
            groups[group] = groups.get(group, 0.0) + seconds
        return groups

    async def batches(self, before: Reading, after: Reading) -> dict[str, float]:
        """Items a transaction: of POST /orders as the database has them, of each service as its worker counts them."""
        grown = differences(after.batches, before.batches)
        orders, posts = await self._database.fetchrow(_POSTS, before.at)
        items = {service: grown[f"{service} items"] / count for service, count in _counts(grown).items() if count}
        return {**({"POST /orders": orders / posts} if posts else {}), **items}


def _counts(grown: dict[str, float]) -> dict[str, float]:
    return {name.removesuffix(" batches"): count for name, count in grown.items() if name.endswith(" batches")}


async def scraped(addresses: Sequence[str]) -> dict[str, float]:
    """Items and batches by service, from every process that shows its counters."""
    found: dict[str, float] = {}
    nobody = ssl.SSLContext(
        ssl.PROTOCOL_TLS_CLIENT
    )  # reading whom to trust takes a tenth of a second, and all is local
    async with httpx2.AsyncClient(timeout=10, trust_env=False, verify=nobody) as http:
        for address in addresses:
            text = (await http.get(address)).raise_for_status().text
            for name, value in _batches(text).items():
                found[name] = found.get(name, 0.0) + value
    return found


def _batches(text: str) -> dict[str, float]:
    kinds = {f"{BATCH}_sum": "items", f"{BATCH}_count": "batches"}
    return {
        f"{sample.labels['service']} {kinds[sample.name]}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in kinds
    }


def usage(before: Reading, after: Reading, orders: int) -> dict[str, object]:
    """What a run of so many orders took: microseconds of processor time an order, statements, bytes, and the noise."""
    spent, machine = differences(after.cpu, before.cpu), differences(after.machine, before.machine)
    return {
        "cpu_us_per_order": per(spent, orders, 1e6),
        "cpu_us_per_order_total": round(1e6 * sum(spent.values()) / orders, 1) if orders else None,
        "database_per_order": per(differences(after.database, before.database), orders),
        "noise": cpu.noise(machine, sum(spent.values())),
    }
