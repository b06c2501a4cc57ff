"""Where mails go, and who knows the addresses: both as unreliable as everything else."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import httpx2

from notification_service.channels import Mail, Undeliverable, Undelivered
from tests.simulation.world import World


class Post:
    """The mail server, and in auth_service's place whoever knows a customer's address."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sent: Counter[str] = Counter()

    async def send(self, mail: Mail) -> None:
        world, faults = self.world, self.world.faults
        await world.travel()
        if world.happens(faults.mail_delayed):
            raise Undelivered("smtp_451")
        if world.happens(faults.mail_refused):
            raise Undeliverable("smtp_550")
        self.sent[mail.message_id] += 1
        await world.travel()
        if world.happens(faults.mail_unanswered):
            raise Undelivered("smtp_unanswered")

    async def rest(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def get(self, _path: str) -> Any:
        await self.world.travel()
        if self.world.happens(self.world.faults.contact_unreachable):
            raise httpx2.ConnectError("connection refused")
        return SimpleNamespace(status_code=200, content=b'{"email": "a.customer@ordermill.example"}')
