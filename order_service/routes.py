"""order_service over HTTP: translate, hand to the pipeline, answer."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from chassis.context import about_order
from chassis.http import (
    Answer,
    Caller,
    Customer,
    Edge,
    IdempotencyKey,
    IfNoneMatch,
    Listing,
    Paging,
    Staff,
    TimelessPaging,
    found,
    listing,
    listing_json,
    respond,
)  # fmt: skip
from chassis.ids import OrderRef, UserRef, new_id, parse_typeid, typeid
from chassis.problems import problems
from contracts.types import OrderId, UserId
from order_service import answers, following, schemas, store
from order_service.answers import order_json
from order_service.domain.cancellation import CancelOrder, reason_of
from order_service.domain.life import PayOrder
from order_service.domain.order import Order
from order_service.domain.pricing import price
from order_service.domain.status import OrderStatus
from order_service.own import FEW_LINES

router = APIRouter(tags=["orders"])

_NEWEST = 2**31 - 1  # version that PostgreSQL can be asked for


async def _named(order_id: OrderRef) -> UUID:
    about_order(typeid("ord", order_id))
    return order_id


OrderNamed = Annotated[UUID, Depends(_named)]


def _owner(caller: Caller) -> UserId | None:
    return None if caller.is_staff else UserId(caller.user_id)


async def _after_waiting(edge: Edge, answer: Answer, reference: str, seconds: int) -> Response:
    """The answer with the state that the order reached within these seconds. Whatever fails here, the order stands."""
    if not seconds:
        return respond(answer)
    if (order := await following.settled(edge, parse_typeid("ord", reference), seconds)) is None:
        return respond(answer)
    reached = answers.shown(order)
    applied = {**answer.headers, **reached.headers, "Preference-Applied": f"wait={seconds}"}
    return respond(replace(answer, body=reached.body, headers=applied))


@router.post(
    "/quotes",
    operation_id="createQuote",
    response_model=schemas.Quote,
    responses=problems("validation_failed", "sku_unknown", "currency_mismatch", "unavailable"),
)
async def create_quote(body: schemas.QuoteCreate, edge: Edge) -> Response:
    """Ask what an order would cost, and what is available now: nothing is held. Needs no token."""
    async with edge.parts.own.quotes.turn(edge.site):
        lines = schemas.numbered(body.lines)
        skus = sorted({line.sku for line in lines})
        async with edge.read() as tx:
            known = {product.sku: product for product in await store.find_products(tx, skus)}
        priced = price(lines, {sku: known.get(sku) for sku in skus})
        available = await edge.parts.own.availability.of(skus)
    return respond(Answer(answers.quote_json(priced, available)))


@router.post(
    "/orders",
    operation_id="createOrder",
    status_code=201,
    response_model=schemas.Order,
    responses=problems(
        "idempotency_key_missing", "token_missing", "price_changed", "idempotency_key_in_use", "validation_failed",
        "idempotency_key_reused", "sku_unknown", "currency_mismatch", "unavailable",
    ),
)  # fmt: skip
async def create_order(
    body: schemas.OrderCreate, caller: Customer, edge: Edge, key: IdempotencyKey, prefer: following.Prefer = None
) -> Response:
    """Place an order: 201 as soon as it is stored.

    What becomes of it is in its `status`: `rejected` when there is too little stock, `awaiting_payment` with `failure`
    when the card is declined. `Prefer: wait=N` waits for that, N seconds and 30 at most; else read it again.
    """
    terms = edge.parts.settings
    command = body.command(new_id(), caller.user_id, terms.pay_by, terms.settle_by)
    async with edge.parts.own.large.turn(edge.site) if len(body.lines) > FEW_LINES else nullcontext():
        answer = await edge.run(command, answers.created, key=key, operation="createOrder", body=body)
    # Not the id made above: under a key that was used before, this is the first request's answer, about its order.
    _, _, reference = answer.headers["Location"].rpartition("/")
    about_order(reference)
    return await _after_waiting(edge, answer, reference, following.seconds(prefer))


@router.get(
    "/orders",
    operation_id="listOrders",
    response_model=Listing[schemas.Order],
    responses=problems("token_missing", "cursor_invalid"),
)
async def list_orders(
    caller: Customer,
    edge: Edge,
    page: Paging,
    customer_id: Annotated[list[UserRef] | None, Query()] = None,
    status: Annotated[list[OrderStatus] | None, Query()] = None,
) -> Response:
    """List your orders, the newest first: staff see everybody's, and may ask for a `customer_id`'s."""
    customers = customer_id if caller.is_staff else [caller.user_id]
    if not caller.is_staff and customer_id is not None and caller.user_id not in customer_id:
        customers = []
    async with edge.read() as tx:
        orders = await store.list_orders(tx, page, customers, status or [])
    # Models of a page of orders of a hundred lines would hold up everybody for a fifth of a second.
    return respond(Answer(listing_json(page, orders, order_json, lambda order: (order.created_at, order.id))))


@router.get(
    "/orders/{order_id}",
    operation_id="getOrder",
    response_model=schemas.Order,
    responses=problems("token_missing", "not_found"),
)
async def get_order(order_id: OrderNamed, caller: Customer, edge: Edge, _known: IfNoneMatch = None) -> Response:
    """Show an order as it stands: its version is the `ETag`."""
    async with edge.read() as tx:
        order = found(await store.find_order(tx, order_id, _owner(caller)))
    return edge.tagged(schemas.Order.of(order), order.version)


@router.post(
    "/orders/{order_id}/cancel",
    operation_id="cancelOrder",
    status_code=202,
    response_model=schemas.Order,
    responses=problems("token_missing", "forbidden", "not_found", "order_not_cancellable", "unavailable"),
)
async def cancel_order(
    order_id: OrderNamed, caller: Customer, edge: Edge, body: schemas.OrderCancel | None = None
) -> Response:
    """Ask to cancel: 202, `cancelled` once stock and money are back, 409 once something has left."""
    reason = reason_of(body.reason if body else None, is_staff=caller.is_staff)
    command = CancelOrder(order_id=OrderId(order_id), owner=_owner(caller), reason=reason)
    return await edge.submit(command, answers.accepted)


@router.post(
    "/orders/{order_id}/payments",
    operation_id="payOrder",
    status_code=202,
    response_model=schemas.Order,
    responses=problems(
        "idempotency_key_missing", "token_missing", "not_found", "order_not_payable", "validation_failed", "unavailable"
    ),
)
async def pay_order(
    order_id: OrderNamed, body: schemas.PaymentGiven, caller: Customer, edge: Edge, key: IdempotencyKey
) -> Response:
    """Pay again after a decline: one that was never tried is paid by `POST /payments` (409 here)."""
    command = PayOrder(order_id=OrderId(order_id), owner=_owner(caller), method=body.token)
    return await edge.submit(command, answers.accepted, key=key, operation="payOrder", body=body)


@router.post(
    "/orders/{order_id}/refunds",
    operation_id="refundOrder",
    status_code=202,
    response_model=schemas.OrderRefund,
    responses=problems(
        "idempotency_key_missing", "token_missing", "forbidden", "not_found", "refund_exceeds_paid",
        "validation_failed", "currency_mismatch", "unavailable",
    ),
)  # fmt: skip
async def refund_order(
    order_id: OrderNamed, body: schemas.RefundCreate, _caller: Staff, edge: Edge, key: IdempotencyKey
) -> Response:
    """Give money back without goods: an amount, or without one all that is left. For staff."""
    return await edge.submit(body.command(order_id), _refunding, key=key, operation="refundOrder", body=body)


def _refunding(order: Order) -> Answer:
    return Answer(schemas.OrderRefund.newest(order), 202)


@router.get(
    "/orders/{order_id}/events",
    operation_id="listOrderEvents",
    responses=problems("token_missing", "not_found", "cursor_invalid"),
)
async def list_order_events(
    order_id: OrderNamed, caller: Customer, edge: Edge, page: TimelessPaging
) -> Listing[schemas.OrderEvent]:
    """List what happened to an order, the oldest first."""
    (after,) = page.seen(int) or (0,)
    async with edge.read() as tx:
        found(await store.find_order(tx, order_id, _owner(caller)))
        entries = await store.list_history(tx, order_id, after, page.limit + 1)
    return listing(page, entries, schemas.OrderEvent.model_validate, lambda entry: (entry.version,))


async def _followed(order_id: OrderNamed, caller: Customer, edge: Edge) -> AsyncIterator[Order]:
    with following.looking_on(edge):
        async with edge.read() as tx:
            order = found(await store.find_order(tx, order_id, _owner(caller)))
        yield order


@router.get(
    "/orders/{order_id}/stream",
    operation_id="streamOrder",
    response_class=EventSourceResponse,
    responses=problems("token_missing", "not_found", "unavailable"),
)
async def stream_order(
    order: Annotated[Order, Depends(_followed)], edge: Edge, last_event_id: Annotated[int, Header(ge=0, le=_NEWEST)] = 0
) -> AsyncIterator[ServerSentEvent]:
    """Follow an order by server-sent events: after `Last-Event-ID`, until its end or the token's."""
    async for entry in following.steps(edge.parts, order, last_event_id, edge.scope["caller"]):
        data = schemas.OrderEvent.model_validate(entry).model_dump_json(by_alias=True)
        yield ServerSentEvent(event="order", id=str(entry.version), raw_data=data)
