"""An order's way through all services is one trace, in which everything comes from something that was told."""

from tests.support.collector import parent_of, spans
from tests.support.database import a_copy
from tests.support.lively_shop import a_lively_shop


async def test_an_order_is_one_tree_from_the_request_to_the_mail(postgres, template):
    async with a_copy(postgres, template) as url, a_lively_shop(url) as shop:
        body = {"sku": "MUG-RED", "name": "Mug", "price": {"amount": 1299, "currency": "EUR"}}
        await shop.call("POST", "/products", body)
        await shop.call("POST", "/stock/MUG-RED/adjustments", {"delta": 9, "reason": "received", "warehouse": "main"})
        await shop.settle()
        with spans() as kept:
            await shop.place("traced", ("MUG-RED", 1))
            await shop.settle()
        told = list(kept.get_finished_spans())

    placed = next(span for span in told if span.name == "PlaceOrder")
    way = [span for span in told if span.context.trace_id == placed.context.trace_id]
    roots = [span for span in way if span.parent is None]
    assert [span.name for span in roots] == ["POST /api/v1/orders"]
    assert [span.name for span in way if span.parent and parent_of(span, way) is None] == []
    assert len({span.context.span_id for span in way}) == len(way)

    came_from = {(span.name, parent_of(span, way).name) for span in way if span.parent}
    assert came_from >= {
        ("PlaceOrder", "POST /api/v1/orders"),
        ("OrderCreated", "PlaceOrder"),
        ("StockReserved", "OrderCreated"),
        ("charge", "PaymentRequested"),
        ("ProviderAnswered", "charge"),
        ("PaymentSucceeded", "ProviderAnswered"),
        ("OrderConfirmed", "PaymentSucceeded"),
    }
    about = {span.attributes.get("ordermill.order_id") for span in way} - {None}
    assert len(about) == 1
    services = {span.resource.attributes["service.name"] for span in way}
    assert services == {"order_service", "inventory_service", "payment_service", "notification_service"}
