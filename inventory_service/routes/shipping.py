"""What happens to shipments after they have left: deliveries and returns."""

from fastapi import APIRouter, Response

from chassis.http import Answer, Edge, IdempotencyKey, Staff, found
from chassis.ids import ShipmentRef
from chassis.problems import problems
from contracts.stock import ReturnReceived
from contracts.types import OrderId, ReturnedLine, ShipmentId
from inventory_service.domain.reservation import Reservation
from inventory_service.domain.shipping import ReceiveReturn, RecordDelivery
from inventory_service.schemas import ReturnCreate, ReturnView, ShipmentView
from inventory_service.store.shelves import find_order_of_shipment

router = APIRouter(tags=["shipments"])


@router.post(
    "/shipments/{shipment_id}/delivery",
    operation_id="recordDelivery",
    response_model=ShipmentView,
    responses=problems("token_missing", "forbidden", "not_found", "validation_failed"),
)
async def record_delivery(_caller: Staff, edge: Edge, shipment_id: ShipmentRef) -> Response:
    """Note that a shipment has arrived. For staff."""
    shipment = ShipmentId(shipment_id)
    async with edge.read() as tx:
        order_id = found(await find_order_of_shipment(tx, shipment))

    def delivered(reservation: Reservation) -> Answer:
        return Answer(ShipmentView.model_validate(next(s for s in reservation.shipments if s.id == shipment)))

    return await edge.submit(RecordDelivery(order_id=order_id, shipment_id=shipment), delivered)


@router.post(
    "/returns",
    operation_id="receiveReturn",
    status_code=201,
    response_model=ReturnView,
    responses=problems(
        "idempotency_key_missing", "token_missing", "forbidden", "not_found", "too_many_returns", "validation_failed"
    ),
)
async def receive_return(_caller: Staff, edge: Edge, body: ReturnCreate, key: IdempotencyKey) -> Response:
    """Take goods back. For staff.

    They are paid back at the price that they were bought for; `restocked` of them can be sold again.
    """
    lines = tuple(ReturnedLine(sku=line.sku, quantity=line.quantity, restocked=line.restocked) for line in body.lines)
    command = ReceiveReturn(order_id=OrderId(body.order_id), lines=lines)
    return await edge.submit(command, _received, key=key, operation="receiveReturn", body=body)


def _received(event: ReturnReceived) -> Answer:
    return Answer(ReturnView.of(event), 201)
