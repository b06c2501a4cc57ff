"""The HTTP side: POST /orders with a token checked, an idempotency key stored, the order and its event committed."""

from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any

import httpx2
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from jose import JWTError, jwk, jwt
from jose.backends.base import Key
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.ids import OrderRef, UserRef, parse_typeid, typeid
from contracts.orders import OrderCreated
from contracts.types import Money, OrderedLine, OrderId, PricedLine, Quantity, Sku, UserId, order_number
from tests.performance.usual_way.database import Session, log_to_stderr, settings
from tests.performance.usual_way.messaging import tell
from tests.performance.usual_way.tables import IdempotencyKey, Order, OrderHistory, Product

Text = Annotated[str, Field(min_length=1, max_length=200)]

log_to_stderr()
app = FastAPI()
keys: dict[str, Key] = {}


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LineCreate(Body):
    sku: Sku
    quantity: Quantity


class Address(Body):
    name: Text
    line1: Text
    line2: Text | None = None
    city: Text
    region: Text | None = None
    postal_code: Annotated[str, Field(min_length=1, max_length=20)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class PaymentGiven(Body):
    token: Annotated[str, Field(max_length=140)]


class OrderCreate(Body):
    lines: Annotated[list[LineCreate], Field(min_length=1, max_length=100)]
    shipping_address: Address
    payment: PaymentGiven
    expected_total: Money | None = None
    note: Annotated[str, Field(max_length=500)] | None = None
    metadata: dict[str, str] = {}


class OrderView(BaseModel):
    id: OrderRef
    number: str
    status: str
    customer_id: UserRef
    currency: str
    lines: list[PricedLine]
    total: Money
    shipping_address: Address
    attempt: int
    note: str | None
    metadata: dict[str, str]
    version: int
    created_at: datetime
    updated_at: datetime
    confirmed_at: datetime | None


async def key_of(kid: str) -> Key:
    """The key to check with; all keys are fetched when one is asked for that is not known."""
    if kid not in keys:
        async with httpx2.AsyncClient() as client:
            fetched = (await client.get(settings.jwks_url)).raise_for_status().json()
        keys.update({each["kid"]: jwk.construct(each, each["alg"]) for each in fetched["keys"]})
    if kid not in keys:
        raise JWTError
    return keys[kid]


async def current_customer(credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> UserId:
    token = credentials.credentials
    try:
        key = await key_of(jwt.get_unverified_header(token)["kid"])
        claims = jwt.decode(token, key, algorithms=["ES256"], audience="ordermill", issuer=settings.issuer)
        return UserId(parse_typeid("usr", claims["sub"]))
    except (JWTError, KeyError, ValueError) as wrong:
        raise HTTPException(401, "The token is not valid.") from wrong


@app.post("/api/v1/orders", status_code=201, response_model=OrderView)
async def create_order(
    body: OrderCreate,
    customer_id: Annotated[UserId, Depends(current_customer)],
    idempotency_key: Annotated[str, Header(min_length=1, max_length=255)],
) -> Response:
    fingerprint = sha256(body.model_dump_json().encode()).hexdigest()
    try:
        async with Session.begin() as session:
            if known := await session.get(IdempotencyKey, (customer_id, idempotency_key)):
                return replayed(known, fingerprint)
            order = await place(session, body, customer_id)
            location, content = f"/api/v1/orders/{typeid('ord', order.id)}", shown(order)
            session.add(
                IdempotencyKey(
                    customer_id=customer_id,
                    key=idempotency_key,
                    fingerprint=fingerprint,
                    location=location,
                    body=content,
                )
            )
    except IntegrityError as twin:
        raise HTTPException(409, "A request with this key is still running.", {"Retry-After": "1"}) from twin
    logger.info("POST /api/v1/orders 201 order {}", order.id)
    return Response(content, 201, {"Location": location}, "application/json")


def replayed(known: IdempotencyKey, fingerprint: str) -> Response:
    if known.fingerprint != fingerprint:
        raise HTTPException(422, "The key was used for another request.")
    headers = {"Location": known.location, "Idempotent-Replayed": "true"}
    return Response(known.body, 201, headers, "application/json")


async def place(session: AsyncSession, body: OrderCreate, customer_id: UserId) -> Order:
    lines = await priced(session, body.lines)
    currency = lines[0].unit_price.currency
    order = Order(
        customer_id=customer_id,
        status="pending",
        currency=currency,
        lines=[line.model_dump() for line in lines],
        total=sum(line.total for line in lines),
        shipping_address=body.shipping_address.model_dump(),
        method=body.payment.token,
        note=body.note,
        details=body.metadata,
    )
    if body.expected_total not in {None, Money(amount=order.total, currency=currency)}:
        raise HTTPException(409, "The price has changed.")
    session.add(order)
    await session.flush()
    session.add(OrderHistory(order_id=order.id, version=1, to_status="pending", cause="place_order"))
    ordered = tuple(OrderedLine(line_no=line.line_no, sku=line.sku, quantity=line.quantity) for line in lines)
    tell(session, OrderCreated(order_id=OrderId(order.id), customer_id=customer_id, lines=ordered))
    return order


async def priced(session: AsyncSession, lines: list[LineCreate]) -> list[PricedLine]:
    skus = {line.sku for line in lines}
    products = {each.sku: each for each in await session.scalars(select(Product).where(Product.sku.in_(skus)))}
    if products.keys() != skus:
        raise HTTPException(422, "A sku is not for sale.")
    return [price(line_no, line, products[line.sku]) for line_no, line in enumerate(lines, 1)]


def price(line_no: int, line: LineCreate, product: Product) -> PricedLine:
    unit_price = Money(amount=product.price, currency=product.currency)
    return PricedLine(line_no=line_no, sku=line.sku, name=product.name, quantity=line.quantity, unit_price=unit_price)


def shown(order: Order) -> str:
    same: dict[str, Any] = {name: getattr(order, name) for name in OrderView.model_fields if name in Order.__table__.c}
    rest = {"number": order_number(order.id), "metadata": order.details}
    total = Money(amount=order.total, currency=order.currency)
    return OrderView.model_validate({**same, **rest, "total": total}).model_dump_json()


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    async with Session() as session:
        await session.execute(text("SELECT 1"))
    return {"status": "ready"}
