"""What became of an item, as it is counted, logged and traced once its batch is committed."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple
from uuid import UUID

from chassis import telemetry, tracing
from chassis.ids import typeid
from chassis.items import Command, Item
from chassis.logging import Line, info_each


class Settled(NamedTuple):
    """An item and what became of it: done, refused, failed, deferred, or why it was ignored."""

    item: Item
    outcome: str

    def line(self) -> Line:
        """What the log says of it. Where it is about an order, the line says which."""
        body, cause = self.item.body, self.item.cause
        told = {
            "outcome": self.outcome,
            "request_id": cause.correlation_id,
            "trace_id": (cause.traceparent or "")[3:35],
        }
        if isinstance(order_id := getattr(body, "order_id", None), UUID):
            told["order_id"] = typeid("ord", order_id)
        return type(body).__name__, told

    def span(self, service: str, own: str, seconds: float) -> tracing.Span:
        """It as a span, as long as its batch took (OpenTelemetry's conventions for messaging)."""
        entry, envelope = self.item.entry, self.item.envelope
        name, told = self.line()
        attributes = {"ordermill.outcome": self.outcome, "ordermill.order_id": told.get("order_id", "")}
        if envelope is not None:
            attributes |= {"messaging.system": "rabbitmq", "messaging.message.id": str(envelope.id)}
            return tracing.Span(service, name, "CONSUMER", own, envelope.traceparent, seconds, attributes)
        came = entry.context.traceparent if isinstance(entry, Command) else None
        return tracing.Span(service, name, "INTERNAL", own, came, seconds, attributes)


def tell(service: str, settled: Sequence[Settled], seconds: float) -> None:
    """Counts, logs and traces what a batch that took so long has settled."""
    for (kind, outcome), count in Counter([(type(item.body), how) for item, how in settled]).items():
        telemetry.ITEMS.labels(service, kind.__name__, outcome).inc(count)
    info_each(service, partial(map, Settled.line, tuple(settled)))
    if trace := tracing.current:
        for each in settled:
            if own := each.item.cause.traceparent:
                trace(each.span(service, own, seconds))
