"""One seed from its beginning to its end: faults while orders come in, then peace, in which everything has to drain."""

import gc
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from loguru import logger

import chassis.deferred
import chassis.ids
import chassis.pipeline
import chassis.relay
import chassis.worker
import notification_service.domain.notification
import notification_service.sending
import payment_service.domain.payment
import payment_service.providers
from chassis.app import Loop
from chassis.tasks import forever
from payment_service.providers import InProcess
from tests.simulation.loop import Begins
from tests.simulation.people import People
from tests.simulation.post import Post
from tests.simulation.promises import Promises
from tests.simulation.provider import Provider
from tests.simulation.shop import Shop
from tests.simulation.world import EPOCH, Violation, World

PATIENCE = 2400.0


Bug = Callable[[Shop], Iterable[tuple[Any, str, Any]]]


def no_bug(_shop: Shop) -> tuple[()]:
    return ()


class Simulation:
    """A shop, its people, its provider, under the faults of one seed."""

    def __init__(
        self, seed: int, *, orders: int = 40, targets: Iterable[str] = (), bug: Bug = no_bug, patience: float = PATIENCE
    ) -> None:
        self.world = World(seed)
        self.shop = Shop(self.world, targets)
        self.people = People(self.shop, orders)
        self.provider = Provider(self.world, self.people.hear)
        self.post = Post(self.world)
        self.shop.peers = {"auth_service": self.post, "inventory_service": None}
        self.patience = patience
        self.bug = bug
        self.promises = Promises(self.shop, self.people, self.provider, self.post)

    def run(self) -> "Simulation":
        """Raises Violation when a promise is broken, at any instant or in the end."""
        world = self.world
        with self._driven():
            self.shop.stock_shelves()
            self.shop.open()
            self.people.open()
            world.loop.later(1.0, self.shop.restarts)
            world.loop.run(lambda: self._looked() or world.loop.time() >= world.times.faulty)
            world.heal()
            end = world.loop.time() + self.patience
            world.loop.run(lambda: self._looked() or self.promises.is_drained() or world.loop.time() >= end)
            self.promises.check_the_end()
            self._looked()
        return self

    def _looked(self) -> bool:
        if self.world.broken_promises:
            first = f"seed {self.world.seed}: {self.world.broken_promises[0]}"
            raise Violation(first)
        return False

    @contextmanager
    def _driven(self) -> Iterator[None]:
        """The product's clocks, chance and connections are the world's."""
        world, times = self.world, self.world.times
        clock = SimpleNamespace(
            time_ns=lambda: int((EPOCH.timestamp() + world.loop.time()) * 1e9), time=world.loop.time
        )
        noise = SimpleNamespace(urandom=world.rng.randbytes)
        state = random.getstate()
        gc.disable()  # It takes a third of the time, and what one seed leaves behind is little.
        random.seed(f"product {world.seed}")
        with ExitStack() as stack:
            for module, name, value in (
                (chassis.ids, "time", clock),
                (chassis.ids, "os", noise),
                (chassis.relay, "aio_pika", SimpleNamespace(connect=self.shop.broker.connect)),
                (chassis.worker, "forever", partial(Begins, forever)),
                (chassis.worker, "Loop", partial(Loop, every=times.looks)),
                (chassis.relay, "POLL", times.relay_looks),
                (chassis.relay, "CONFIRM_TIMEOUT", times.confirm),
                (chassis.pipeline, "LONGEST_PAUSE", times.longest_pause),
                (chassis.pipeline, "BATCH_ITEMS", times.batch),
                (chassis.deferred, "LONGEST", times.longest_deferred),
                (payment_service.domain.payment, "UNRESOLVED_AFTER", timedelta(seconds=times.unresolved_after)),
                (payment_service.providers, "opened", self._provider),
                (notification_service.domain.notification, "LONGEST_DELAY", timedelta(seconds=times.longest_mail)),
                (notification_service.sending, "LEASE", timedelta(seconds=times.mail_lease)),
                (notification_service.sending, "STEP", 0.45 * times.mail_lease),
                (notification_service.sending, "RECORD", 0.4 * times.mail_lease),
                (notification_service.sending, "_mailer", lambda _settings, _sender: self.post),
                *self.bug(self.shop),
            ):
                stack.enter_context(patch.object(module, name, value))
            for package in ("chassis", "order_service", "inventory_service", "payment_service", "notification_service"):
                logger.disable(package)
                stack.callback(logger.enable, package)
            try:
                yield
            finally:
                world.loop.close()
                random.setstate(state)
                gc.enable()

    @asynccontextmanager
    async def _provider(self, settings: Any) -> AsyncIterator[InProcess]:
        yield InProcess(self.provider, settings.provider_timeout)  # type: ignore[arg-type]
