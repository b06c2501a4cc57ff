"""Calls to the provider, outside of every transaction: claim and commit, ask, record each answer when it is known.

A charge is claimed by the step that makes it, and handed over; what others left, and what is due later, is looked for.
Whoever takes over a call that may have been made looks it up first, then repeats the same key. Only answers end a call.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from uuid import UUID

from loguru import logger

from chassis import tracing
from chassis.app import Parts
from chassis.context import Context, new_traceparent
from chassis.database import OUTAGE
from chassis.handover import Handover
from chassis.items import Unavailable
from contracts.types import OrderId
from payment_service import providers
from payment_service.domain.answer import ProviderAnswered
from payment_service.domain.due import DueCall
from payment_service.domain.payment import Answer, Outcome
from payment_service.domain.room import Room
from payment_service.providers import InProcess, OverHttp, Said
from payment_service.simulator_books import Charge, Return
from payment_service.store.calls import claim_calls, give_back_calls

CLAIMED_AT_ONCE = 200
NOTHING_SAID = Answer(outcome=Outcome.UNKNOWN, code="not_found")
OTHER_MONEY = Answer(outcome=Outcome.UNKNOWN, code="other_money")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LANDING, GIVING_BACK = 1.5, 0.5


@dataclass(slots=True, eq=False)
class Own:
    """What only payment_service has: the provider, and the calls to it that are out; none begins once all landed.

    ``out`` are their keys, and whose calls they are; ``strange`` are those under which the provider holds other money
    than we asked for, as far as this process saw.
    """

    provider: InProcess | OverHttp
    handover: Handover
    flights: set[asyncio.Task[None]] = field(default_factory=set)
    out: dict[str, UUID] = field(default_factory=dict)
    strange: set[str] = field(default_factory=set)
    landed: bool = False


@asynccontextmanager
async def opened(parts: Parts) -> AsyncIterator[Own]:
    """At the end calls that are out have a moment to be answered; what is cut then is given back."""
    async with providers.opened(parts.settings) as provider:
        own = Own(provider, _handover(parts))
        try:
            yield own
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LANDING):
                    while own.flights:
                        await asyncio.wait(own.flights)
            own.landed, cut = True, list(own.out)
            for flight in own.flights:
                flight.cancel()
            await asyncio.gather(*own.flights, return_exceptions=True)
            await _give_back(parts, cut)


async def _give_back(parts: Parts, keys: Sequence[str]) -> None:
    """Whoever looks next looks these calls up; where the database does not answer, once their lease is over."""
    if keys:
        with suppress(*OUTAGE):
            async with asyncio.timeout(GIVING_BACK), parts.database.transaction() as tx:
                await give_back_calls(tx, keys)


def _handover(parts: Parts) -> Handover:
    return Handover(
        lease=parts.settings.lease,
        spare=lambda: parts.settings.calls_in_flight - len(parts.own.out),
        begin=lambda calls, _since: _begin(parts, calls),
        offers=partial(_offers, parts),
    )


def _offers(parts: Parts, claimed: Sequence[DueCall]) -> Callable[[DueCall], bool]:
    room = _room(parts, claimed)
    return lambda call: room.take(call.customer_id)


def _room(parts: Parts, claimed: Sequence[DueCall] = ()) -> Room:
    """What is free now. What a batch and a look claim at the same time is known to each other by its number only."""
    own: Own = parts.own
    taken = Counter([*own.out.values(), *(call.customer_id for call in claimed)])
    return Room(parts.settings.calls_in_flight, own.handover.room, taken)


async def step(parts: Parts) -> bool:
    """Claims what is due, as long as not too many calls are out, and does not wait for their answers."""
    room = _room(parts)
    most = min(CLAIMED_AT_ONCE, room.at_once)
    if most <= 0:
        return False
    with parts.own.handover.reserved(most):
        async with parts.database.transaction() as tx:
            claimed = await claim_calls(tx, most, parts.settings.lease, closed_to=room.closed_to)
        _begin(parts, claimed)
    return len(claimed) >= most


def _begin(parts: Parts, claimed: Sequence[DueCall]) -> None:
    own: Own = parts.own
    # What is out here already has a new lease now. Where recording takes longer than a lease, calls that are asked for
    # again and again queue up their answers without end (test_a_slow_database.py).
    begun = () if own.landed else [call for call in claimed if call.key not in own.out]
    for calls in _kinds(begun):
        own.out.update((call.key, call.customer_id) for call in calls)
        with logger.contextualize(service=parts.service.name):
            flight = asyncio.create_task(_fly(parts, calls))
        own.flights.add(flight)
        flight.add_done_callback(own.flights.discard)


def _kinds(claimed: Sequence[DueCall]) -> Iterable[Sequence[DueCall]]:
    """Charges and refunds, new ones and such that may have been made: each kind is asked for in one go."""
    kinds: dict[tuple[bool, bool], list[DueCall]] = {}
    for call in claimed:
        kinds.setdefault((call.is_charge, call.asked_before), []).append(call)
    return kinds.values()


async def _fly(parts: Parts, calls: Sequence[DueCall]) -> None:
    own: Own = parts.own
    waiting, began = {call.key: call for call in calls}, time.perf_counter()
    records: list[asyncio.Task[None]] = []
    try:
        async for said in _asked(own.provider, calls):
            heard = [(waiting[key], answer or NOTHING_SAID) for key, answer in said]
            answered = [_answered(call, _believed(own, call, answer), began) for call, answer in heard]
            records.append(asyncio.create_task(_record(parts, waiting, answered)))
        await asyncio.gather(*records)
    except Exception as failure:  # noqa: BLE001 -- the leases run out, and whoever takes the calls looks them up
        logger.opt(exception=failure).error("{} calls are given up until their lease ends", len(waiting))
    finally:
        for record in records:
            record.cancel()
        _end(own, waiting)


async def _asked(provider: InProcess | OverHttp, calls: Sequence[DueCall]) -> AsyncIterator[Sequence[Said]]:
    """What the provider says to calls of one kind (see ``_kinds``): the first of them shows what all of them are.

    What may have been asked before is looked up, and asked again, under the same key, only where it is not found.
    """
    fresh = calls
    if calls[0].asked_before:
        fresh = []
        by_key = {call.key: call for call in calls}
        find = provider.find if calls[0].is_charge else provider.find_refund
        async for said in find(list(by_key)):
            fresh.extend(by_key[key] for key, answer in said if answer is None)
            if known := [one for one in said if one.answer is not None]:
                yield known
    if fresh:
        asking = provider.charge(_charges(fresh)) if fresh[0].is_charge else provider.refund(_returns(fresh))
        async for said in asking:
            yield said


def _charges(calls: Iterable[DueCall]) -> list[Charge]:
    return [
        Charge(key=c.key, order_id=c.order_id, token=c.method or "", amount=c.amount, currency=c.currency)
        for c in calls
    ]


def _returns(calls: Iterable[DueCall]) -> list[Return]:
    return [Return(key=c.key, charge_key=c.charge_key or "", amount=c.amount) for c in calls]


def _answered(call: DueCall, answer: Answer, began: float) -> tuple[ProviderAnswered, Context]:
    if answer.outcome is Outcome.UNKNOWN:
        answer = replace(answer, again_after=again_after(call.tries))
    command = ProviderAnswered(order_id=OrderId(call.order_id), key=call.key, answer=answer)
    name = "charge" if call.is_charge else "refund"
    trace = tracing.called("payment_service", name, call.traceparent or new_traceparent(), began)
    return command, Context(call.correlation_id, trace)


def _believed(own: Own, call: DueCall, answer: Answer) -> Answer:
    """The answer; where it is about other money it is none of ours, and the call stays in doubt."""
    if answer.outcome is Outcome.UNKNOWN:
        return answer
    if answer.held == call.asked:
        own.strange.discard(call.key)
        return answer
    if call.key not in own.strange:
        own.strange.add(call.key)
        logger.error("under {} we asked for {}, and the provider holds {}", call.key, call.asked, answer.held)
    return OTHER_MONEY


def _end(own: Own, keys: Iterable[str]) -> None:
    for key in keys:
        del own.out[key]


async def _record(
    parts: Parts, waiting: dict[str, DueCall], answered: Sequence[tuple[ProviderAnswered, Context]]
) -> None:
    """Hands answers to the pipeline, again and again while the database is away; what waits for them waits no more.

    What fails alone is logged by the pipeline; its call is looked up when its lease ends.
    """
    unsaved = answered
    while True:
        replies = await parts.pipeline.submit_each(unsaved, actor="provider")
        unsaved = [one for one, reply in zip(unsaved, replies, strict=True) if isinstance(reply, Unavailable)]
        if not unsaved:
            break
        await asyncio.sleep(FIRST_PAUSE)
    _end(parts.own, [waiting.pop(command.key).key for command, _ in answered])


def again_after(tries: int) -> timedelta:
    """When to ask again: after half a second at first, then after twice as long each time, up to 30 s, with jitter."""
    pause = min(FIRST_PAUSE * 2 ** min(tries, 10), LONGEST_PAUSE)
    return timedelta(seconds=random.uniform(0.8 * pause, 1.2 * pause))  # noqa: S311 -- jitter is no secret
