"""What waits for the pipeline, and how an event is kept for later."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from chassis.context import start
from chassis.decisions import Cause
from chassis.deferred import Deferred
from chassis.ids import new_id
from chassis.items import Again, Command, Item, Parcel, Waiting
from contracts.envelope import decode
from tests.support.envelopes import enveloped
from tests.support.ledger import Credit, decisions, refunded

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def an_item(entry, body, envelope=None, index=0):
    cause = Cause(new_id(), NOW, "system", "req_1")
    return Item(body, decisions.rules[type(body)], cause, entry, envelope, index)


def a_command():
    body = Credit(uuid4(), 1)
    return an_item(Command(body, new_id(), "system", start(), None, None, None), body)


def a_fact(index=0, **given):
    envelope = enveloped(refunded())
    return an_item(Parcel(new_id(), [envelope, envelope], None), envelope.data, envelope, index)


def an_event_again(attempts):
    envelope = enveloped(refunded())
    row = Deferred(new_id(), 4, envelope.type, envelope.subject, "[]", attempts, "boom")
    return an_item(Again(row, envelope, None), envelope.data, envelope, 4)


def test_a_command_and_a_deferred_event_are_one_item_and_a_parcel_as_many_as_its_events():
    assert (a_command().entry.size, an_event_again(1).entry.size, a_fact().entry.size) == (1, 1, 2)


def test_a_fact_waits_behind_its_subject_and_commands_and_deferred_events_behind_nobody():
    fact = a_fact()

    assert fact.waits_for == fact.subject == str(fact.body.order_id)
    assert an_event_again(1).waits_for is None
    assert (a_command().subject, a_command().waits_for) == ("", None)


def test_a_fact_that_fails_is_kept_with_one_attempt():
    fact = a_fact(index=1)

    kept = fact.deferred("ValueError()")

    assert (kept.message_id, kept.index, kept.topic) == (fact.entry.message_id, 1, "refund.succeeded")
    assert (kept.subject, kept.attempts, kept.error, kept.parked) == (fact.subject, 1, "ValueError()", False)
    assert decode(kept.topic, kept.body.encode()) == [fact.envelope]


def test_a_fact_that_only_waits_burns_no_attempt():
    kept = a_fact().deferred("")

    assert (kept.attempts, kept.error) == (0, "waits behind an earlier event of the same subject")


def test_an_event_that_fails_again_counts_on_and_is_parked_at_the_eighth_time():
    seventh, eighth = an_event_again(6).deferred("boom"), an_event_again(7).deferred("boom")

    assert (seventh.attempts, seventh.parked) == (7, False)
    assert (eighth.attempts, eighth.parked) == (8, True)
    assert eighth.index == 4


def test_a_command_is_never_deferred():
    with pytest.raises(TypeError):
        a_command().deferred("boom")


def test_what_took_too_long_before_is_taken_alone_and_all_keep_their_order():
    waiting, loop = Waiting(), asyncio.new_event_loop()
    entries = [_again(loop, error) for error in ("boom", "TooLong()", "TooLong()", "boom", "boom")]
    for entry in entries:
        waiting.put(entry)

    taken = [waiting.take(200, 0.0) for _ in range(4)]

    assert taken == [entries[:1], entries[1:2], entries[2:3], entries[3:]]
    assert waiting.take(200, 0.0) == []
    loop.close()


def _again(loop, error):
    envelope = enveloped(refunded())
    row = Deferred(new_id(), 0, envelope.type, envelope.subject, "[]", 1, error)
    return Again(row, envelope, loop.create_future())
