"""Where spans go in tests: into a list, or to a collector of OpenTelemetry on a socket of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from chassis import tracing
from chassis.spans import Spans


@contextmanager
def spans(share: float = 1.0) -> Iterator[InMemorySpanExporter]:
    """What this process tells meanwhile."""
    kept = InMemorySpanExporter()
    tracing.current = Spans(SimpleSpanProcessor(kept), share)
    try:
        yield kept
    finally:
        tracing.current = None


def parent_of(span: ReadableSpan, told: list[ReadableSpan]) -> ReadableSpan | None:
    """The span that it came from, if it was told."""
    parents = {each.context.span_id: each for each in told if each.context.trace_id == span.context.trace_id}
    return parents.get(span.parent.span_id) if span.parent else None


class Collector:
    """Takes OTLP over HTTP; ``told`` holds the services and names of the spans that came."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.told += [(names["service.name"], span.name) for scope in resource.scope_spans for span in scope.spans]


@contextmanager
def a_collector() -> Iterator[tuple[str, Collector]]:
    """Its URL, and what it was sent."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", collector
    finally:
        server.shutdown()
        server.server_close()
