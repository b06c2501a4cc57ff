"""Spans for an OpenTelemetry collector. Imported by processes that have one, and by nobody else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from chassis import tracing
from chassis.tracing import Span

_WAITING = 20_000  # spans; what is more is dropped, since an order does not wait for a collector
_PATIENCE = 2  # seconds for a collector to take what it is sent, at the end too
_SAMPLED = "01"
_FLAGS = TraceFlags(TraceFlags.SAMPLED)


class Spans:
    """Keeps of all traces a share, the same ones in every process, and hands their spans over.

    Args:
        processor: takes spans that are over.
        share: from 0 to 1.
    """

    def __init__(self, processor: SpanProcessor, share: float) -> None:
        self._processor = processor
        self._below = round(share * 2**64)

    def __call__(self, span: Span) -> None:
        """Hands over a span that has ended just now, if its trace is kept."""
        if not self._keeps(span.traceparent):
            return
        ended = time.time_ns()
        told = ReadableSpan(
            span.name,
            context=_named(span.traceparent),
            parent=_named(span.parent) if span.parent else None,
            resource=_resource(span.service),
            attributes=dict(span.attributes),
            kind=SpanKind[span.kind],
            start_time=ended - int(span.seconds * 1e9),
            end_time=ended,
        )
        self._processor.on_end(told)

    def _keeps(self, traceparent: str) -> bool:
        """One of the share, and of those that whoever began it wants to have."""
        return traceparent[53:] == _SAMPLED and int(traceparent[19:35], 16) < self._below


@contextmanager
def told(url: str, share: float) -> Iterator[None]:
    """While it is open, spans go to the collector at this URL (OTLP over HTTP: ``http://collector:4318``)."""
    exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=_PATIENCE)
    processor = BatchSpanProcessor(exporter, max_queue_size=_WAITING, schedule_delay_millis=1000)
    tracing.current = Spans(processor, share)
    try:
        yield
    finally:
        tracing.current = None
        processor.shutdown()  # type: ignore[no-untyped-call]


def _named(traceparent: str) -> SpanContext:
    return SpanContext(int(traceparent[3:35], 16), int(traceparent[36:52], 16), is_remote=False, trace_flags=_FLAGS)


@cache
def _resource(service: str) -> Resource:
    return Resource.create({"service.name": service, "service.namespace": "ordermill"})
