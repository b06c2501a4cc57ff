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

    def trace(self, tracer: tracing.Tracer, service: str, seconds: float) -> None:
        """Its span, as long as its batch took (OpenTelemetry's conventions for messaging)."""
        item, entry = self.item, self.item.entry
        if (own := item.cause.traceparent) is None:
            return
        name, told = self.line()
        attributes = {"ordermill.outcome": self.outcome, "ordermill.order_id": told.get("order_id", "")}
        if isinstance(entry, Command):
            tracer.span(
                service, name, "INTERNAL", own, entry.context.traceparent, seconds=seconds, attributes=attributes
            )
        elif item.envelope is not None:
            attributes |= {"messaging.system": "rabbitmq", "messaging.message.id": str(item.envelope.id)}
            came = item.envelope.traceparent
            tracer.span(service, name, "CONSUMER", own, came, seconds=seconds, attributes=attributes)


def tell(service: str, settled: Sequence[Settled], seconds: float) -> None:
    """Counts, logs and traces what a batch that took so long has settled."""
    for (kind, outcome), count in Counter([(type(item.body), how) for item, how in settled]).items():
        telemetry.ITEMS.labels(service, kind.__name__, outcome).inc(count)
    info_each(service, partial(map, Settled.line, tuple(settled)))
    if (tracer := tracing.current) is not None:
        for each in settled:
            each.trace(tracer, service, seconds)
