"""The test as the broker: it has what the relays publish, and delivers it whenever, however often and to whomever."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from uuid import UUID

from tests.stateful.process import LOST, Process


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A parcel in the queue of one listener. ``came_back``: a consumer had it and did not acknowledge it."""

    listener: str
    parcel: UUID
    topic: str
    body: str
    came_back: bool = False


class Publishing(StrEnum):
    """What becomes of what a relay publishes: the broker has it or not, and the relay knows it or not."""

    CONFIRMED = "confirmed"
    CONFIRM_LOST = "the confirm is lost"
    PARCEL_LOST = "the parcel is lost"


class Unconfirmed(Exception):
    """The relay does not know whether the broker has its parcels."""


class Broker:
    """The queues, and what was ever acknowledged."""

    def __init__(self, listeners: Mapping[str, Sequence[str]]) -> None:
        self.listeners = listeners
        self.waiting: list[Message] = []
        self.acknowledged: list[Message] = []
        self.publishing = Publishing.CONFIRMED

    def forget(self) -> None:
        self.waiting.clear()
        self.acknowledged.clear()
        self.publishing = Publishing.CONFIRMED

    async def publish(self, rows) -> list[bool]:
        """As a relay's publisher."""
        for row in rows if self.publishing is not Publishing.PARCEL_LOST else ():
            for listener, topics in self.listeners.items():
                if row["topic"] in topics:
                    self.waiting.append(Message(listener, row["id"], row["topic"], row["events"]))
        if self.publishing is not Publishing.CONFIRMED:
            raise Unconfirmed
        return [True for _ in rows]

    def take(self, number: int) -> Message:
        return self.waiting.pop(number % len(self.waiting))

    def take_all(self, seed: int) -> list[Message]:
        taken, self.waiting = self.waiting, []
        if seed:
            Random(seed).shuffle(taken)  # noqa: S311 -- an order, not a secret
        return taken

    async def deliver(self, messages: Sequence[Message], process: Process, *, redelivered=None, fault=None) -> None:
        """To one process at once. What it does not acknowledge comes back."""
        settled = await process.run(*(_settle(process, one, redelivered) for one in messages), fault=fault)
        for message, outcome in zip(messages, settled, strict=True):
            if outcome is LOST:
                self.waiting.append(replace(message, came_back=True))
            else:
                self.acknowledged.append(message)


async def _settle(process: Process, message: Message, redelivered: bool | None) -> None:
    again = message.came_back if redelivered is None else redelivered
    await process.consumer.settle(str(message.parcel), message.topic, message.body.encode(), redelivered=again)
