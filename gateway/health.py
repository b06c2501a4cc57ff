"""What the services say of themselves, gathered for whoever watches the gateway."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx2

from chassis.health import release

PATIENCE = 1.5
Services = Mapping[str, httpx2.AsyncClient]


async def readiness(services: Services) -> dict[str, str | None]:
    """By service: why it is not ready; None when it is."""
    answers = await asyncio.gather(*(_ask(client, "/readyz") for client in services.values()))
    return dict(zip(services, map(_reason, answers), strict=True))


async def report(services: Services) -> dict[str, Any]:
    """The gateway's status, degraded when one service's is, and each service's own report."""
    answers = await asyncio.gather(*(_ask(client, "/health") for client in services.values()))
    by_name = dict(zip(services, map(_own_words, answers), strict=True))
    healthy = all(words["status"] == "ok" for words in by_name.values())
    return {
        "status": "ok" if healthy else "degraded",
        "service": "gateway",
        "version": release(),
        "services": by_name,
    }


Answer = tuple[int, dict[str, Any]] | None


async def _ask(client: httpx2.AsyncClient, path: str) -> Answer:
    try:
        async with asyncio.timeout(PATIENCE):
            response = await client.get(path)
        return response.status_code, dict(response.json())
    except Exception:  # noqa: BLE001 -- whatever keeps it from answering, it does not answer
        return None


def _reason(answer: Answer) -> str | None:
    match answer:
        case (HTTPStatus.OK, _):
            return None
        case (_, {"reasons": dict() as reasons}):
            return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        case (_, {"detail": str() as detail}):
            return detail
        case (status, _):
            return f"answers {status}"
        case _:
            return "does not answer"


def _own_words(answer: Answer) -> dict[str, Any]:
    if answer is None or answer[0] != HTTPStatus.OK or "status" not in answer[1]:
        return {"status": "unavailable", "reason": _reason(answer) or "answers wrongly"}
    return answer[1]
