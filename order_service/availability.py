"""How much of a sku is available, as inventory_service told it within half a second; None when it does not answer."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import httpx2
from pydantic import BaseModel, ValidationError

WITHIN = 1.0
FAILURES = 3
PAUSE = 5.0
KEPT_FOR = 0.5


class _Told(BaseModel):
    available: Mapping[str, int]


class Availability:
    """With a circuit breaker: after some failures in a row nobody is asked for a while.

    What was told is advice, and good for half a second: then all of it is forgotten, so that no more is kept than that.
    """

    def __init__(self, inventory: httpx2.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._inventory = inventory
        self._clock = clock
        self._failures = 0
        self._asks_again_at = 0.0
        self._told = dict[str, int]()
        self._forgets_at = 0.0

    async def of(self, skus: Sequence[str]) -> Mapping[str, int | None]:
        """What is available of each, as far as it is known. Skus come once each."""
        told = self._fresh()
        if unknown := [sku for sku in skus if sku not in told]:
            told |= await self._ask(unknown)
        return {sku: told.get(sku) for sku in skus}

    def _fresh(self) -> dict[str, int]:
        if (now := self._clock()) >= self._forgets_at:
            self._told, self._forgets_at = {}, now + KEPT_FOR
        return self._told

    async def _ask(self, skus: Sequence[str]) -> Mapping[str, int]:
        if self._clock() < self._asks_again_at:
            return {}
        try:
            async with asyncio.timeout(WITHIN):  # for all of the answer: httpx bounds the time between two of its bytes
                response = await self._inventory.post("/internal/availability", json={"skus": skus})
            told = _Told.model_validate_json(response.raise_for_status().content)
        except (OSError, httpx2.HTTPError, ValidationError):
            self._failed()
            return {}
        self._failures = 0
        return {sku: told.available[sku] for sku in skus if sku in told.available}

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._asks_again_at = self._clock() + PAUSE
