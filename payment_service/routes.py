"""The HTTP edge of payment_service: payments and refunds to read, a method to give, webhooks, doubts to settle."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from chassis.http import Answer, Customer, Edge, IdempotencyKey, Listing, Paging, Staff, etag, found, listing
from chassis.ids import OrderRef, PaymentRef, typeid
from chassis.problems import problems
from contracts.types import OrderId, UserId
from payment_service import providers, schemas
from payment_service.cards import CARDS
from payment_service.domain import payment as domain
from payment_service.domain.attempt import CreatePayment
from payment_service.domain.notice import ReceiveNotice, SignatureInvalid
from payment_service.domain.payment import Payment, PaymentStatus
from payment_service.domain.resolution import Books, ResolvePayment, in_question
from payment_service.schemas import PaymentCreate, PaymentResolve, PaymentView, RefundView, payment_view
from payment_service.signatures import Signed, is_genuine
from payment_service.store.listings import find_payment, list_payments, list_refunds
from payment_service.store.notices import list_contradictions

router = APIRouter(tags=["payments"])
PROVIDERS = ("simulated",)


@router.get("/payments", operation_id="listPayments", responses=problems("token_missing", "cursor_invalid"))
async def list_all(
    caller: Customer,
    edge: Edge,
    page: Paging,
    order_id: Annotated[list[OrderRef] | None, Query()] = None,
    status: Annotated[list[PaymentStatus] | None, Query()] = None,
) -> Listing[PaymentView]:
    """List your payments, the newest first: staff see everybody's."""
    owner = None if caller.is_staff else caller.user_id
    async with edge.read() as tx:
        rows = await list_payments(tx, page, owner, order_id or (), status or ())
    return listing(page, rows, payment_view, lambda row: (row.created_at, row.id))


@router.get("/payments/test-tokens", operation_id="listTestTokens")
async def list_test_tokens(_edge: Edge) -> schemas.TestTokens:
    """List the simulated provider's test cards, and what each of them does. Needs no token."""
    return schemas.TestTokens(data=[schemas.token_view(token, card) for token, card in CARDS.items()])


@router.post(
    "/payments",
    operation_id="createPayment",
    status_code=201,
    response_model=PaymentView,
    responses=problems(
        "idempotency_key_missing", "token_missing", "not_found", "order_not_payable", "validation_failed"
    ),
)
async def create_payment(caller: Customer, edge: Edge, key: IdempotencyKey, body: PaymentCreate) -> Response:
    """Pay an order that was placed without a way of paying: its first attempt.

    It goes on by itself: read the order. After a decline this is 409 `order_not_payable`, and the way is
    `POST /orders/{order_id}/payments`.
    """
    command = CreatePayment(order_id=OrderId(body.order_id), customer_id=UserId(caller.user_id), method=body.token)
    return await edge.submit(command, _created, key=key, operation="createPayment", body=body)


def _created(payment: Payment) -> Answer:
    location = f"/api/v1/payments/{typeid('pay', payment.id)}"
    return Answer(payment_view(payment), 201, {"Location": location, "ETag": etag(payment.version)})


@router.get("/payments/{id}", operation_id="getPayment", responses=problems("token_missing", "not_found"))
async def get_payment(caller: Customer, edge: Edge, id: PaymentRef, response: Response) -> PaymentView:  # noqa: A002 -- the path's name
    """Show a payment and its attempts: staff see beside it what the provider told against it."""
    async with edge.read() as tx:
        payment = found(await find_payment(tx, id, None if caller.is_staff else caller.user_id))
        contradicting = await list_contradictions(tx, payment.order_id) if caller.is_staff else []
    response.headers["ETag"] = etag(payment.version)
    return payment_view(payment, contradicting)


@router.get(
    "/payments/{id}/refunds",
    operation_id="listRefunds",
    responses=problems("token_missing", "not_found", "cursor_invalid"),
)
async def list_payment_refunds(caller: Customer, edge: Edge, page: Paging, id: PaymentRef) -> Listing[RefundView]:  # noqa: A002 -- the path's name
    """List what went back of a payment, the newest first."""
    async with edge.read() as tx:
        found(await find_payment(tx, id, None if caller.is_staff else caller.user_id))
        rows = await list_refunds(tx, page, id)
    return listing(page, rows, schemas.refund_view, lambda row: (row["requested_at"], row["refund_id"]))


@router.post(
    "/payments/{id}/resolve",
    operation_id="resolvePayment",
    response_model=PaymentView,
    responses=problems(
        "idempotency_key_missing", "token_missing", "forbidden", "not_found", "payment_not_resolvable", "upstream_error"
    ),
)
async def resolve_payment(
    _caller: Staff,
    edge: Edge,
    key: IdempotencyKey,
    id: PaymentRef,  # noqa: A002 -- the path's name
    body: PaymentResolve,
) -> Response:
    """Settle a payment that stays unresolved, on evidence. For staff.

    Never against the provider's books, which are asked first (409 `payment_not_resolvable`).
    """
    async with edge.read() as tx:
        payment = found(await find_payment(tx, id, None))
    asked = in_question(payment)
    command = ResolvePayment(
        order_id=payment.order_id,
        outcome=body.outcome,
        evidence=body.evidence,
        key=asked.call.key if asked else "",
        books=await _books(edge.parts.own.provider, asked),
    )
    return await edge.submit(command, _resolved, key=key, operation="resolvePayment", body=body)


async def _books(provider: Any, asked: domain.Attempt | domain.Refund | None) -> Books:
    if asked is None:
        return Books(answer=None)
    find = provider.find if isinstance(asked, domain.Attempt) else provider.find_refund
    [[said]] = [said async for said in find([asked.call.key])]
    return Books(answer=said.answer)


def _resolved(payment: Payment) -> Answer:
    return Answer(payment_view(payment), 200, {"ETag": etag(payment.version)})


@router.post(
    "/payments/webhooks/{provider}",
    operation_id="receiveProviderWebhook",
    responses=problems("signature_invalid", "not_found", "validation_failed"),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def receive_provider_webhook(
    provider: str,
    request: Request,
    edge: Edge,
    signed: Annotated[Signed, Header()],
) -> schemas.WebhookReceived:
    """Take what the payment provider tells: signed as Standard Webhooks has it, without a token.

    Each `webhook-id` is stored once and answered at once; it is applied afterwards.
    """
    found(provider if provider in PROVIDERS else None)
    body = await request.body()
    secret = edge.parts.settings.webhook_secret.get_secret_value()
    if not is_genuine(secret, signed, body, time.time()):
        raise SignatureInvalid
    told = _told(body)
    if (outcome := providers.outcome_of(told.type.rpartition(".")[2])) is not domain.Outcome.UNKNOWN:
        data = told.data
        held = providers.held(data.amount, data.currency)
        answer = domain.Answer(outcome=outcome, reference=data.reference, code=data.code, held=held)
        command = ReceiveNotice(
            provider=provider,
            event_id=signed.webhook_id,
            type=told.type,
            order_id=OrderId(data.order_id),
            call_key=data.key,
            answer=answer,
        )
        await edge.parts.pipeline.submit(command, actor=provider)
    return schemas.WebhookReceived()


def _told(body: bytes) -> schemas.Webhook:
    try:
        return schemas.Webhook.model_validate_json(body)
    except ValidationError as failure:
        errors = [{**error, "loc": ("body", *error["loc"])} for error in failure.errors()]
        raise RequestValidationError(errors) from None
