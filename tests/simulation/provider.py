"""A payment provider as bad as they come: it forgets to answer, answers late, is busy. But it honours its keys."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from payment_service.simulator import Replies, Work
from payment_service.simulator_books import Charge, Reply, Return
from tests.simulation.loop import Begins
from tests.simulation.world import World

Known = Callable[[Sequence[str]], Replies]
DECLINES = {"tok_declined": "card_declined", "tok_poor": "insufficient_funds"}


@dataclass(frozen=True, slots=True)
class Charged:
    """What the books hold under a key of a charge."""

    asked: Charge
    reply: Reply
    visible_at: float


@dataclass(frozen=True, slots=True)
class Returned:
    """What the books hold under a key of a refund."""

    asked: Return
    order_id: UUID
    reply: Reply


class Provider:
    """The provider: what is asked of it lands, perhaps, in its books, and what they say is answered, perhaps."""

    def __init__(self, world: World, tell: Callable[[dict[str, Any]], None]) -> None:
        self.world = world
        self.books = self
        self.charges: dict[str, Charged] = {}
        self.returns: dict[str, Returned] = {}
        self.captured: defaultdict[UUID, int] = defaultdict(int)
        self.returned: defaultdict[UUID, int] = defaultdict(int)
        self._tell = tell
        self._unrefundable: dict[UUID, bool] = {}

    # --- what the adapter asks

    def charge(self, asked: Sequence[Charge]) -> Iterator[Work]:
        for one in asked:
            yield Work([one.key], self._asked([one.key], partial(self._book_charge, one), self._known_charges))

    def refund(self, asked: Sequence[Return]) -> Iterator[Work]:
        for one in asked:
            yield Work([one.key], self._asked([one.key], partial(self._book_return, one), self._known_returns))

    def find(self, keys: Sequence[str]) -> Begins:
        return self._asked(keys, lambda: None, self._known_charges)

    def find_refunds(self, keys: Sequence[str]) -> Begins:
        return self._asked(keys, lambda: None, self._known_returns)

    def _asked(self, keys: Sequence[str], book: Callable[[], None], known: Known) -> Begins:
        return Begins(self._answered, keys, book, known)

    async def tell(self, _post: object) -> bool:
        """It tells by itself, over the network, not from inside of the service."""
        return False

    async def _answered(self, keys: Sequence[str], book: Callable[[], None], known: Known) -> Replies:
        world, faults = self.world, self.world.faults
        await world.travel(world.provider_takes)
        if world.happens(faults.call_lost):
            raise world.gone()
        if world.happens(faults.busy):
            return {key: Reply("error", "processing_error") for key in keys}
        if world.happens(faults.lands_late):
            world.loop.later(world.rng.uniform(0, 3 * world.times.provider_timeout), book)
            await asyncio.sleep(2 * world.times.provider_timeout)
            raise world.gone()
        book()
        await world.travel(world.provider_takes)
        if world.happens(faults.answer_lost):
            await asyncio.sleep(world.rng.choice((0, 2)) * world.times.provider_timeout)
            raise world.gone()
        return known(keys)

    # --- the books

    def _book_charge(self, one: Charge) -> None:
        if one.key in self.charges:
            return
        code = DECLINES.get(one.token)
        reply = Reply("declined" if code else "captured", code, f"ch_{len(self.charges)}", one.amount, one.currency)
        self.charges[one.key] = Charged(one, reply, self.world.loop.time() + self._hidden())
        if code is None:
            if self.captured[one.order_id] > self.returned[one.order_id]:
                self.world.broken(f"P1: {one.order_id} is charged twice, under {one.key}")
            self.captured[one.order_id] += one.amount
        self._told("charge", one.key, one.order_id, reply)

    def _hidden(self) -> float:
        return self.world.times.hidden if self.world.happens(self.world.faults.busy) else 0.0

    def _book_return(self, one: Return) -> None:
        if one.key in self.returns:
            return
        charge = self.charges[one.charge_key]
        order_id = charge.asked.order_id
        refused = self._refuses(order_id)
        said = ("refused", "refund_refused") if refused else ("succeeded", None)
        reply = Reply(*said, f"re_{one.key}", one.amount, charge.asked.currency)
        self.returns[one.key] = Returned(one, order_id, reply)
        if not refused:
            self.returned[order_id] += one.amount
            if self.returned[order_id] > self.captured[order_id]:
                self.world.broken(f"P2: more is returned for {order_id} than was captured, under {one.key}")
        self._told("refund", one.key, order_id, reply)

    def _refuses(self, order_id: UUID) -> bool:
        if self.world.faults.refund_refused == 0:
            return False
        if order_id not in self._unrefundable:
            self._unrefundable[order_id] = self.world.happens(self.world.faults.refund_refused)
        return self._unrefundable[order_id]

    def _known_charges(self, keys: Sequence[str]) -> Replies:
        now, hidden = self.world.loop.time(), Reply("in_progress")
        found = {key: self.charges[key] for key in keys if key in self.charges}
        return {key: one.reply if one.visible_at <= now else hidden for key, one in found.items()}

    def _known_returns(self, keys: Sequence[str]) -> Replies:
        return {key: self.returns[key].reply for key in keys if key in self.returns}

    def _told(self, kind: str, key: str, order_id: UUID, reply: Reply) -> None:
        data = {"key": key, "order_id": order_id, "reference": reply.reference, "code": reply.code}
        data |= {"amount": reply.amount, "currency": reply.currency}
        self._tell({"event_id": f"evt_{key}", "type": f"{kind}.{reply.status}", "outcome": reply.status, **data})
