"""The truth for whoever watches a process: alive, ready with reasons, version, metrics."""

import time
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.metadata import version as installed_version
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from chassis import heartbeat
from chassis.admission import HERE
from chassis.app import Parts
from chassis.migrations import head
from chassis.relay import HELD, lock_of
from chassis.remembered import FRESH_FOR
from chassis.telemetry import LAG, LOOPS

LATE = 2.0
WAITS = 10.0
# PostgreSQL ends the session of a relay that says nothing for 10 s (`Relay.run`): its lock is then nobody's.
_RELAYED = f"""
    SELECT EXISTS ({HELD}), (
        SELECT extract(epoch FROM now() - CASE WHEN attempts > 0 THEN created_at ELSE not_before END)::float8
        FROM {{service}}.outbox WHERE published_at IS NULL ORDER BY id LIMIT 1
    )
"""  # noqa: S608 -- a constant and the name of a service
PROJECT = Path(__file__).parents[1] / "pyproject.toml"


@cache
def release() -> str:
    """The version of Ordermill that runs: the checkout's, else the installed one."""
    if PROJECT.exists():
        told: str = tomllib.loads(PROJECT.read_text())["project"]["version"]
        return told
    return installed_version("ordermill")


def alive() -> Response:
    """200: the process answers, and none of its loops is stuck; else 503, and it has to end."""
    stuck = heartbeat.stuck()
    return JSONResponse({"status": "stuck", "reasons": stuck} if stuck else {"status": "alive"}, 503 if stuck else 200)


async def api_checks(parts: Parts) -> dict[str, str | None]:
    """Why the api of a service is not ready, by check; None where a check is passed."""
    return {"database": await _database(parts)}


async def _database(parts: Parts) -> str | None:
    try:
        async with parts.database.transaction(read_only=True) as tx:
            rows = await tx.sql(f"SELECT version_num FROM {parts.service.name}.alembic_version")  # noqa: S608 -- the schema is the service's name
    except Exception as failure:  # noqa: BLE001 -- whatever it is, it is the reason
        return f"{type(failure).__name__}"
    return _behind(rows[0][0] if rows else "", head(parts.service.name) or "")


async def backlog(parts: Parts) -> dict[str, str | None]:
    """Why what a service does may come late, by check: whoever serves its api cannot ask its workers."""
    name = parts.service.name
    try:
        async with parts.database.transaction(read_only=True) as tx:
            [(is_held, waits)] = await tx.sql(_RELAYED.format(service=name), lock_of(name))
    except Exception:  # noqa: BLE001 -- that is the database's check to say
        return {}
    late = f"events have waited for {waits:.0f} s to be sent" if (waits or 0.0) > WAITS else None
    return {"worker": None if is_held else "none is at work with the broker", "outbox": late}


def _behind(revision: str, wanted: str) -> str | None:
    """A newer schema will do: a migration leaves what the release before it needs, which runs until all are new."""
    return None if revision >= wanted else f"schema is at {revision or 'nothing'}, the code wants {wanted}"


async def ready(checks: Mapping[str, str | None]) -> Response:
    """200, or 503 with the reasons."""
    told = {**checks, "process": _process(), **heartbeat.stuck()}
    reasons = {name: reason for name, reason in told.items() if reason}
    return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


def _process() -> str | None:
    if HERE.is_ending:
        return "is ending"
    return f"comes {HERE.lag:.1f} s late to everything" if HERE.lag > LATE else None


async def report(service: str, checks: Mapping[str, str | None]) -> Response:
    """Status, service and version; the reasons, where it is degraded."""
    reasons = {name: reason for name, reason in checks.items() if reason}
    told = {"status": "degraded" if reasons else "ok", "service": service, "version": release()}
    return JSONResponse(told | ({"reasons": reasons} if reasons else {}))


def version(service: str) -> Response:
    """Service and version."""
    return JSONResponse({"service": service, "version": release()})


def metrics() -> Response:
    """Everything that is counted in this process, for Prometheus; counted together once in half a second."""
    return Response(_counted(int(time.monotonic() / FRESH_FOR)), media_type=CONTENT_TYPE_LATEST)


@lru_cache(maxsize=1)
def _counted(_now: int) -> bytes:
    LAG.set(HERE.lag)
    LOOPS.clear()
    for loop, age in heartbeat.ages().items():
        LOOPS.labels(loop).set(age)
    return generate_latest()
