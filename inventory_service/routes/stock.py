"""Stock, its movements and what is reserved of it: for staff; and what quotes ask, for order_service."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from chassis.http import (
    Answer,
    Edge,
    IdempotencyKey,
    Listing,
    Paging,
    Staff,
    TimelessPaging,
    asked_by,
    found,
    listing,
)
from chassis.ids import OrderRef
from chassis.problems import problems
from contracts.types import OrderId, Sku
from inventory_service.domain.movement import Movement
from inventory_service.domain.reservation import Reservation, Status
from inventory_service.domain.stock import AdjustStock, Stock
from inventory_service.schemas import (
    AvailabilityAsked,
    AvailabilityTold,
    MovementView,
    ReservationView,
    StockAdjust,
    StockView,
)
from inventory_service.store.catalogue import find_product
from inventory_service.store.reservations import list_reservations
from inventory_service.store.shelves import find_stock, list_movements, list_stock

router = APIRouter(tags=["stock"])
internal = APIRouter()


@router.get("/stock", operation_id="listStock", responses=problems("token_missing", "forbidden", "cursor_invalid"))
async def list_all(_caller: Staff, edge: Edge, page: TimelessPaging, *, low: bool | None = None) -> Listing[StockView]:
    """List stock by sku: with `low=true` what has run low in some warehouse. For staff."""
    async with edge.read() as tx:
        rows = await list_stock(tx, page, low=low)
    return listing(page, rows, StockView.of, lambda stock: (stock.sku,))


@router.get(
    "/stock/{sku}",
    operation_id="getStock",
    responses=problems("token_missing", "forbidden", "not_found", "validation_failed"),
)
async def get_stock(_caller: Staff, edge: Edge, sku: Sku) -> StockView:
    """Show the stock of a sku, by warehouse. For staff."""
    async with edge.read() as tx:
        found(await find_product(tx, sku))
        stocks = await find_stock(tx, [sku])
    return StockView.of(stocks.get(sku, Stock(sku=sku, levels=())))


@router.post(
    "/stock/{sku}/adjustments",
    operation_id="adjustStock",
    status_code=201,
    response_model=MovementView,
    responses=problems(
        "idempotency_key_missing", "token_missing", "forbidden", "not_found", "stock_reserved", "validation_failed"
    ),
)
async def adjust_stock(_caller: Staff, edge: Edge, sku: Sku, body: StockAdjust, key: IdempotencyKey) -> Response:
    """Add units to a warehouse or take them off: never below what is reserved (409). For staff."""
    command = AdjustStock(sku=sku, delta=body.delta, reason=body.reason, warehouse=body.warehouse)
    return await edge.submit(command, _moved, key=key, operation="adjustStock", body=body)


def _moved(movement: Movement) -> Answer:
    return Answer(MovementView.of(movement), 201)


@router.get(
    "/stock/{sku}/movements",
    operation_id="listMovements",
    responses=problems("token_missing", "forbidden", "not_found", "cursor_invalid"),
)
async def list_of_sku(_caller: Staff, edge: Edge, sku: Sku, page: Paging) -> Listing[MovementView]:
    """List what moved the stock of a sku, the newest first. For staff."""
    async with edge.read() as tx:
        found(await find_product(tx, sku))
        rows = await list_movements(tx, page, sku)
    return listing(page, rows, MovementView.of, lambda movement: (movement.created_at, movement.id))


@router.get(
    "/reservations",
    operation_id="listReservations",
    responses=problems("token_missing", "forbidden", "cursor_invalid", "validation_failed"),
)
async def list_reserved(
    _caller: Staff,
    edge: Edge,
    page: Paging,
    status: Annotated[list[Status], Query(max_length=10)] = [],  # noqa: B006 -- FastAPI copies defaults
    order_id: Annotated[list[OrderRef], Query(max_length=100)] = [],  # noqa: B006 -- FastAPI copies defaults
) -> Listing[ReservationView]:
    """List what is held for orders, the newest first. For staff."""
    async with edge.read() as tx:
        rows = await list_reservations(tx, page, statuses=status, order_ids=[OrderId(each) for each in order_id])
    return listing(page, rows, ReservationView.model_validate, _place)


def _place(reservation: Reservation) -> tuple[object, ...]:
    return reservation.created_at, reservation.order_id


@internal.post("/internal/availability", operation_id="tellAvailability")
async def tell_availability(
    _caller: Annotated[None, asked_by("order_service")], edge: Edge, asked: AvailabilityAsked
) -> AvailabilityTold:
    async with edge.read() as tx:
        stocks = await find_stock(tx, asked.skus)
    return AvailabilityTold(available={sku: stocks[sku].available if sku in stocks else 0 for sku in asked.skus})
