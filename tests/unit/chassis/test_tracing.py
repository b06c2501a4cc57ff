"""Spans: what they name as their parents, which are told, and that nobody pays for them where nobody is told."""

import asyncio
import time

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from chassis import context, spans, tracing
from chassis.boundary import Boundary
from chassis.ids import new_id
from tests.support import collector

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = TRACE[:-2] + "00"


async def hello(scope, receive, send):
    await PlainTextResponse("hello")(scope, receive, send)


async def asked(path="/orders", **headers):
    transport = httpx2.ASGITransport(Boundary(hello, "order_service"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
        await client.get(path, headers=headers)
    await asyncio.sleep(0)


def test_without_anybody_to_tell_a_trace_stays_as_it_is():
    assert tracing.step(TRACE, new_id(), "order_service") == TRACE
    assert tracing.entered(TRACE) == TRACE
    assert tracing.called("payment_service", "charge", TRACE, time.perf_counter()) == TRACE


def test_an_item_is_in_the_same_span_each_time_it_is_decided_and_in_another_one_elsewhere():
    item = new_id()
    with collector.spans():
        here, again = (tracing.step(TRACE, item, "order_service") for _ in range(2))
        there = tracing.step(TRACE, item, "payment_service")

    assert here == again
    assert len({TRACE, here, there}) == 3
    assert {each[:36] + each[52:] for each in (here, there)} == {TRACE[:36] + TRACE[52:]}
    assert context.start(None, there).traceparent == there  # well-formed


async def test_a_request_begins_a_trace_of_its_own():
    with collector.spans() as told:
        await asked("/orders/ord_01m7xv52z2e5ptsd32m3cp17cd/events")

    [span] = told.get_finished_spans()
    assert (span.name, span.parent, span.kind.name) == ("GET /orders/{id}/events", None, "SERVER")
    assert span.attributes["http.response.status_code"] == 200
    assert span.resource.attributes["service.name"] == "order_service"
    assert span.end_time >= span.start_time > 0


async def test_a_request_of_somebody_who_traces_is_within_theirs():
    with collector.spans() as told:
        await asked(traceparent=TRACE)

    [span] = told.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE[3:35]
    assert f"{span.parent.span_id:016x}" == TRACE[36:52]
    assert span.context.span_id != span.parent.span_id


def test_a_call_is_within_what_made_it_and_what_follows_is_within_the_call():
    with collector.spans() as told:
        own = tracing.called("payment_service", "charge", TRACE, time.perf_counter())

    [span] = told.get_finished_spans()
    assert (span.name, span.kind.name) == ("charge", "CLIENT")
    assert f"{span.parent.span_id:016x}" == TRACE[36:52]
    assert f"{span.context.span_id:016x}" == own[36:52]


@pytest.mark.parametrize(
    ("traceparent", "share", "is_told"),
    [(TRACE, 1.0, True), (TRACE, 0.0, False), (UNSAMPLED, 1.0, False), (TRACE, 0.51, False), (TRACE, 0.52, True)],
)
def test_a_share_of_the_traces_is_told_whole_and_those_that_nobody_wants_are_not(traceparent, share, is_told):
    with collector.spans(share) as told:
        for _ in range(3):
            tracing.called("payment_service", "charge", traceparent, time.perf_counter())

    assert len(told.get_finished_spans()) == (3 if is_told else 0)


def test_a_collector_is_sent_everything_before_the_process_ends():
    with collector.a_collector() as (url, sent), spans.told(url, 1.0):
        tracing.called("payment_service", "charge", TRACE, time.perf_counter())
        tracing.called("order_service", "refund", TRACE, time.perf_counter())

    assert tracing.current is None
    assert sorted(sent.told) == [("order_service", "refund"), ("payment_service", "charge")]


def test_a_collector_that_is_away_holds_nobody_up():
    with spans.told("http://127.0.0.1:1", 1.0):
        tracing.called("payment_service", "charge", TRACE, time.perf_counter())

    assert tracing.current is None
