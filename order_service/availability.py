"""How much of a sku is available now, asked from inventory_service; None when it does not answer in time."""

import time
from collections.abc import Callable, Mapping, Sequence

import httpx2
from pydantic import BaseModel, ValidationError

WITHIN = 1.0
FAILURES = 3
PAUSE = 5.0


class _Told(BaseModel):
    available: Mapping[str, int]


class Availability:
    """With a circuit breaker: after some failures in a row nobody is asked for a while."""

    def __init__(self, inventory: httpx2.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._inventory = inventory
        self._clock = clock
        self._failures = 0
        self._asks_again_at = 0.0

    async def of(self, skus: Sequence[str]) -> Mapping[str, int | None]:
        """What is available of each, as far as it is known."""
        if self._clock() < self._asks_again_at:
            return dict.fromkeys(skus)
        try:
            response = await self._inventory.post("/internal/availability", json={"skus": skus}, timeout=WITHIN)
            told = _Told.model_validate_json(response.raise_for_status().content)
        except (OSError, httpx2.HTTPError, ValidationError):
            self._failed()
            return dict.fromkeys(skus)
        self._failures = 0
        return told.available

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._asks_again_at = self._clock() + PAUSE
