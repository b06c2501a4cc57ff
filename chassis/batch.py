"""One batch: claim, load, decide, save, tell, in one transaction; and the same item by item where the batch fails."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from loguru import logger

from chassis import tracing
from chassis.database import OUTAGE, TooLong, Transaction
from chassis.decisions import Cause, Decisions, Key, State
from chassis.deferred import Deferred, DeferredEvents
from chassis.handover import Handed
from chassis.idempotency import Answer, Claim, Claims, Scope, Taken, again
from chassis.inbox import Claimed, Inbox
from chassis.items import Again, Command, Entry, Item, Parcel
from chassis.outbox import Outbox, Told
from chassis.settled import Settled
from chassis.store import Change, Store
from contracts.envelope import Envelope


@dataclass(slots=True)
class Work:
    """What a service gives the pipeline, and where the pipeline keeps its own."""

    decisions: Decisions
    store: Store
    refusals: tuple[type[Exception], ...]
    inbox: Inbox
    outbox: Outbox
    deferred: DeferredEvents
    claims: Claims


@dataclass(slots=True)
class Batch:
    """The entries that are settled together.

    ``outcomes`` holds what each caller is told once the commit is known, ``answered`` what was stored under each key,
    ``handed`` what a loop is given then; ``tells`` is whether there is something in the outbox then. ``is_last`` is
    whether it cannot be made any smaller.
    """

    work: Work
    entries: Sequence[Entry]
    handed: Handed
    is_last: bool = False
    outcomes: dict[Entry, Any] = field(default_factory=dict)
    settled: list[Settled] = field(default_factory=list)
    answered: dict[Scope, tuple[Claim, Answer]] = field(default_factory=dict)
    tells: bool = False

    def forget(self, now: float) -> None:
        """Back to where nothing was tried; ``now`` is the event loop's time."""
        self.handed.forget(now)
        self.outcomes.clear()
        self.settled.clear()
        self.answered.clear()
        self.tells = False

    async def together(self, tx: Transaction) -> None:
        """All items as one: one load, one save. Raises whatever one of them raises."""
        claimed, items = await self._claim(tx)
        held_up = [item for item in items if item.waits_for in claimed.held_up]
        await self.work.deferred.add(tx, [row for item in held_up for row in self._deferred(item)])
        await self._settle(tx, [item for item in items if item not in held_up] if held_up else items)

    async def one_by_one(self, tx: Transaction) -> None:
        """Each item in its savepoint: the one that fails alone is deferred, or answered with it; the rest stand."""
        claimed, items = await self._claim(tx)
        held_up, later = set(claimed.held_up), list[Deferred]()
        for item in items:
            if item.waits_for in held_up:
                later += self._deferred(item)
            elif (failure := await self._alone(tx, item)) is not None:
                held_up.add(item.subject)
                later += self._failed(item, failure)
        await self.work.deferred.add(tx, later)

    async def none(self, tx: Transaction) -> None:
        """Nothing is tried, since it takes too long: each item is deferred, or answered with it."""
        _, items = await self._claim(tx)
        later = [row for item in items for row in self._failed(item, TooLong())]
        await self.work.deferred.add(tx, later)

    async def _alone(self, tx: Transaction, item: Item) -> Exception | None:
        try:
            async with tx.savepoint():
                await self._settle(tx, [item])
        except OUTAGE:
            raise
        except Exception as failure:  # noqa: BLE001 -- whatever it is, it is this item's alone, and is kept with it
            return failure
        return None

    def _failed(self, item: Item, failure: Exception) -> list[Deferred]:
        logger.opt(exception=failure).error("{} failed alone", type(item.body).__name__)
        if not isinstance(item.entry, Command):
            return self._deferred(item, repr(failure))
        self.outcomes[item.entry] = failure
        self.settled.append(Settled(item, "failed"))
        return []

    def _deferred(self, item: Item, error: str = "") -> list[Deferred]:
        self.settled.append(Settled(item, "deferred"))
        return [item.deferred(error)]

    async def _claim(self, tx: Transaction) -> tuple[Claimed, list[Item]]:
        parcels = [entry for entry in self.entries if isinstance(entry, Parcel)]
        subjects = [envelope.subject for parcel in parcels for envelope in parcel.envelopes]
        claimed = await self.work.inbox.claim(tx, [parcel.message_id for parcel in parcels], subjects)
        retries = [entry.row for entry in self.entries if isinstance(entry, Again)]
        taken = await self.work.deferred.take(tx, retries)
        answers = await self._answers(tx)
        return claimed, list(self._items(claimed, taken, answers))

    async def _answers(self, tx: Transaction) -> dict[Entry, Answer | Exception | None]:
        keyed = [(entry, entry.claim) for entry in self.entries if isinstance(entry, Command) and entry.claim]
        if not keyed:
            return {}
        taken = await self.work.claims.take(tx, [claim for _, claim in keyed])
        return {entry: _for(claim, taken[claim.scope]) for entry, claim in keyed}

    def _items(
        self, claimed: Claimed, taken: set[tuple[UUID, int]], answers: dict[Entry, Answer | Exception | None]
    ) -> Iterator[Item]:
        fresh = set(claimed.fresh)
        for entry in self.entries:
            if isinstance(entry, Command):
                if (answer := answers.get(entry)) is None:
                    yield self._command(entry, claimed.now)
                else:
                    self.outcomes[entry] = answer
            elif isinstance(entry, Parcel):
                if entry.message_id in fresh:
                    fresh.discard(entry.message_id)
                    yield from (self._fact(entry, e, n, claimed.now) for n, e in enumerate(entry.envelopes))
            elif entry.row.key in taken:
                taken.discard(entry.row.key)
                yield self._fact(entry, entry.envelope, entry.row.index, claimed.now)

    def _command(self, entry: Command, now: datetime) -> Item:
        context, lease = entry.context, self.handed.lease
        trace = tracing.step(context.traceparent, entry.id, self.work.decisions.service)
        cause = Cause(entry.id, now, entry.actor, context.request_id, trace, lease)
        return Item(entry.body, self.work.decisions.rules[type(entry.body)], cause, entry)

    def _fact(self, entry: Parcel | Again, envelope: Envelope[Any], index: int, now: datetime) -> Item:
        teller = envelope.source.removeprefix("/")
        came, lease = envelope.traceparent, self.handed.lease
        trace = tracing.step(came, envelope.id, self.work.decisions.service) if came else None
        cause = Cause(envelope.id, now, teller, envelope.correlationid, trace, lease)
        return Item(envelope.data, self.work.decisions.rules[type(envelope.data)], cause, entry, envelope, index)

    async def _settle(self, tx: Transaction, items: Sequence[Item]) -> None:
        if not items:
            return
        keys = {key for item in items for key in item.rule.names(item.body)}
        makers = [(item.rule.makes, item) for item in items if item.rule.makes]
        keys.update(key for makes, item in makers for key in makes(item.body, item.cause))
        things = await self.work.store.load(tx, keys)
        run = _Run(self.work, things, self.answered, self.handed)
        for item in items:
            run.take(item)
        await self.work.store.save(tx, run.changes)
        await self.work.outbox.add(tx, run.told)
        await self.work.claims.store(tx, [(claim, answer) for claim, answer in run.answered.values()])
        await tx.flush()
        self.answered |= run.answered
        self.outcomes |= run.outcomes
        self.settled.extend(run.settled)
        self.tells |= bool(run.told)
        self.handed.works.extend(run.works)


class _Run:
    """Items decided one after the other, each on what the ones before it left."""

    __slots__ = ("answered", "changes", "handed", "known", "outcomes", "settled", "things", "told", "work", "works")

    def __init__(
        self, work: Work, things: dict[Key, Any], known: Mapping[Scope, tuple[Claim, Answer]], handed: Handed
    ) -> None:
        self.work = work
        self.handed = handed
        handed.look()
        self.things = things
        self.known = known
        self.changes: dict[Key, Change] = {}
        self.told: list[Told] = []
        self.answered: dict[Scope, tuple[Claim, Answer]] = {}
        self.outcomes: dict[Entry, Any] = {}
        self.settled: list[Settled] = []
        self.works: list[Any] = []

    def take(self, item: Item) -> None:
        """Decides one item; a refusal is its caller's alone and changes nothing."""
        claim = item.entry.claim if isinstance(item.entry, Command) else None
        if claim and (twin := self.answered.get(claim.scope) or self.known.get(claim.scope)):
            self.outcomes[item.entry] = again(*twin, claim)
            return
        try:
            outcome = self._decide(item, claim)
        except self.work.refusals as refusal:
            self._refused(item, refusal)
        else:
            self.outcomes[item.entry] = outcome

    def _decide(self, item: Item, claim: Claim | None) -> Any:
        cause = item.cause
        if cause.lease and self.handed.room <= 0:
            cause = self.handed.without(cause)
        decision = item.rule.decide(State(self.things), item.body, cause)
        if decision.hands_over and not all(map(self.handed.takes, decision.hands_over)):
            decision = item.rule.decide(State(self.things), item.body, cause._replace(lease=None))
        render = item.entry.render if isinstance(item.entry, Command) else None
        answer = render(decision.reply) if render else None
        for thing in decision.changes:
            key = (type(thing), thing.key)
            known = self.changes.get(key)
            self.changes[key] = Change(known.before if known else self.things.get(key), thing)
            self.things[key] = thing
        for place, event in enumerate(decision.events):
            self.told.append(Told(event, item.cause, place, decision.sequence))
        if claim and answer:
            self.answered[claim.scope] = (claim, answer)
        if decision.hands_over:
            self.handed.reserve(len(decision.hands_over))
            self.works.extend(decision.hands_over)
        self.settled.append(Settled(item, decision.ignored or "done"))
        return answer or decision.reply

    def _refused(self, item: Item, refusal: Exception) -> None:
        if not isinstance(item.entry, Command):
            raise TypeError(item.body) from refusal
        self.outcomes[item.entry] = refusal
        self.settled.append(Settled(item, "refused"))


def _for(claim: Claim, taken: Taken) -> Answer | Exception | None:
    return again(*taken, claim) if isinstance(taken, tuple) else taken
