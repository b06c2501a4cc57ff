"""A broker that loses, repeats and reorders whatever a broker may; what it has confirmed it keeps."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiormq import spec
from aiormq.exceptions import DeliveryError

from chassis.consumer import FINISHING, Consumer
from tests.simulation.loop import PROCESS, Process
from tests.simulation.world import World


@dataclass(slots=True, eq=False)
class Letter:
    """A message in one queue."""

    message_id: str
    routing_key: str
    body: bytes
    redelivered: bool = False


class Broker:
    """Exchanges and queues: each service's queue is bound to the topics that its decisions name."""

    def __init__(self, world: World, listeners: Mapping[str, Sequence[str]]) -> None:
        self.world = world
        self.queues: dict[str, list[Letter]] = {service: [] for service in listeners}
        self.bound = {
            topic: [s for s, own in listeners.items() if topic in own] for own in listeners.values() for topic in own
        }
        self.subscriptions: dict[str, list[Subscription]] = {service: [] for service in listeners}
        self.channels: dict[Channel, None] = {}

    def check(self) -> None:
        if self.world.is_down("broker"):
            raise ConnectionRefusedError("the broker is down")

    async def connect(self, _url: str) -> "Channel":
        await self.world.travel()
        self.check()
        return Channel(self)

    async def subscribe(self, service: str, prefetch: int) -> "Subscription":
        await self.world.travel()
        self.check()
        return Subscription(self, service, prefetch)

    def route(self, letter: Letter) -> None:
        for service in self.bound.get(letter.routing_key, ()):
            for _ in range(1 + self.world.happens(self.world.faults.duplicated)):
                self.put(service, Letter(letter.message_id, letter.routing_key, letter.body))

    def put(self, service: str, letter: Letter, *, first: bool = False) -> None:
        self.queues[service].insert(0 if first else len(self.queues[service]), letter)
        self.deliver(service)

    def deliver(self, service: str) -> None:
        queue = self.queues[service]
        while queue and (free := [one for one in self.subscriptions[service] if one.has_room]):
            overtakes = self.world.happens(self.world.faults.overtakes)
            letter = queue.pop(self.world.rng.randrange(len(queue)) if overtakes else 0)
            self.world.rng.choice(free).send(letter)

    def restart(self) -> None:
        """Every connection is lost; what is in the queues is kept, and what was under way comes again."""
        for channel in list(self.channels):
            channel.end()
        for subscription in [one for each in self.subscriptions.values() for one in each]:
            subscription.end()

    @property
    def is_idle(self) -> bool:
        unacked = (one.unacked for each in self.subscriptions.values() for one in each)
        return not any(self.queues.values()) and not any(unacked)


class Channel:
    """A publisher's connection and its one channel, as aio-pika gives them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        broker.channels[self] = None
        if (process := PROCESS.get()) is not None:
            process.at_end[self.end] = None

    async def channel(self, *, publisher_confirms: bool) -> "Channel":
        await self._broker.world.travel()
        return self

    async def get_underlay_channel(self) -> "Channel":
        return self

    @property
    def is_closed(self) -> bool:
        return self._lost.done()

    async def close(self) -> None:
        await self._broker.world.travel()
        self.end()

    def end(self) -> None:
        self._broker.channels.pop(self, None)
        if not self._lost.done():
            self._lost.set_result(None)

    async def basic_publish(
        self, body: bytes, *, exchange: str, routing_key: str, properties: Any, mandatory: bool
    ) -> object:
        world, faults = self._broker.world, self._broker.world.faults
        await world.travel()
        if self._lost.done() or world.happens(faults.publish_lost):
            self.end()
            raise world.gone()
        if world.happens(faults.refused):
            if world.happens(0.5):
                raise DeliveryError(None, spec.Basic.Nack())
            return spec.Basic.Nack()
        if mandatory and routing_key not in self._broker.bound:
            raise DeliveryError(None, spec.Basic.Return())
        self._broker.route(Letter(properties.message_id, routing_key, body))
        await world.travel()
        if self._lost.done() or world.happens(faults.confirm_lost):
            if world.happens(0.5):
                await self._lost  # an alarm: nothing is ever said, until somebody gives up
            self.end()
            raise world.gone()
        return spec.Basic.Ack()


@dataclass(slots=True, eq=False)
class Delivery:
    """A letter on its way through one consumer, as aio-pika hands it over."""

    subscription: "Subscription"
    letter: Letter

    @property
    def message_id(self) -> str:
        return self.letter.message_id

    @property
    def routing_key(self) -> str:
        return self.letter.routing_key

    @property
    def redelivered(self) -> bool:
        return self.letter.redelivered

    @property
    def body(self) -> bytes:
        return self.letter.body

    async def ack(self) -> None:
        subscription, world = self.subscription, self.subscription.broker.world
        await world.travel()
        if subscription.ended or world.happens(world.faults.ack_lost):
            subscription.end()
            raise world.gone()
        subscription.unacked.pop(self, None)
        subscription.broker.deliver(subscription.service)


@dataclass(slots=True, eq=False)
class Subscription:
    """A consumer's connection; what it has not acknowledged when it ends comes again, marked so."""

    broker: Broker
    service: str
    prefetch: int
    unacked: dict[Delivery, None] = field(default_factory=dict)
    ended: bool = False
    arrived: "asyncio.Queue[Delivery | None]" = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.broker.subscriptions[self.service].append(self)
        process: Process | None = PROCESS.get()
        if process is not None:
            process.at_end[self.end] = None
        self.broker.deliver(self.service)

    @property
    def has_room(self) -> bool:
        return len(self.unacked) < self.prefetch

    def send(self, letter: Letter) -> None:
        delivery = Delivery(self, letter)
        self.unacked[delivery] = None
        self.arrived.put_nowait(delivery)

    async def next(self) -> Delivery:
        delivery = await self.arrived.get()
        if delivery is None:
            raise self.broker.world.gone()
        return delivery

    def cancel(self) -> None:
        """Nothing more is delivered; what is under way may still be acknowledged."""
        if self in self.broker.subscriptions[self.service]:
            self.broker.subscriptions[self.service].remove(self)

    def end(self) -> None:
        if self.ended:
            return
        self.ended = True
        self.cancel()
        self.arrived.put_nowait(None)
        for delivery in reversed(self.unacked):
            delivery.letter.redelivered = True
            self.broker.put(self.service, delivery.letter, first=self.broker.world.happens(0.5))
        self.unacked.clear()


class Reader(Consumer):
    """The chassis' consumer, reading from the simulated broker in FastStream's place."""

    broker_: Broker
    prefetch: int

    async def run(self) -> None:
        subscription = await self.broker_.subscribe(self.service, self.prefetch)
        at_work: set[asyncio.Task[None]] = set()
        try:
            self.consuming = True
            while True:
                task = asyncio.create_task(self._handed(await subscription.next()))
                at_work.add(task)
                task.add_done_callback(at_work.discard)
        finally:
            self.consuming = False
            subscription.cancel()
            if at_work and not subscription.ended:
                await asyncio.wait(at_work, timeout=FINISHING)
            subscription.end()

    async def _handed(self, delivery: Delivery) -> None:
        with suppress(Exception):  # FastStream logs what a handler raises
            await self.receive(delivery)  # type: ignore[arg-type]
