"""The catalogue: public to read, staff's to change."""

from fastapi import APIRouter, Response

from chassis.http import Answer, Edge, IfMatch, IfNoneMatch, Listing, Paging, Staff, etag, found, listing
from chassis.problems import problems
from contracts.types import Sku
from inventory_service.domain.product import ArchiveProduct, CreateProduct, Product, UpdateProduct
from inventory_service.domain.stock import Stock
from inventory_service.schemas import AvailabilityView, ProductCreate, ProductUpdate, ProductView
from inventory_service.store.catalogue import find_product, list_products
from inventory_service.store.shelves import find_stock

router = APIRouter(tags=["products"])


@router.get("/products", operation_id="listProducts", responses=problems("cursor_invalid", "validation_failed"))
async def list_all(edge: Edge, page: Paging, *, active: bool = True) -> Listing[ProductView]:
    """List products by sku: those on sale, or with `active=false` the archived ones. Needs no token."""
    async with edge.read() as tx:
        rows = await list_products(tx, page, active=active)
    return listing(page, rows, ProductView.model_validate, lambda product: (product.sku,))


@router.get(
    "/products/{sku}",
    operation_id="getProduct",
    response_model=ProductView,
    responses=problems("not_found", "validation_failed"),
)
async def get_product(edge: Edge, sku: Sku, _known: IfNoneMatch = None) -> Response:
    """Show a product: its version is the `ETag`. Needs no token."""
    async with edge.read() as tx:
        product = found(await find_product(tx, sku))
    return edge.tagged(ProductView.model_validate(product), product.version)


@router.get(
    "/products/{sku}/availability",
    operation_id="getAvailability",
    responses=problems("not_found", "validation_failed"),
)
async def get_availability(edge: Edge, sku: Sku) -> AvailabilityView:
    """Ask how many of a product can be sold now. Needs no token."""
    async with edge.read() as tx:
        product = found(await find_product(tx, sku))
        stocks = await find_stock(tx, [sku])
    available = stocks.get(sku, Stock(sku=sku, levels=())).available
    return AvailabilityView(sku=sku, available=available, active=product.active)


@router.post(
    "/products",
    operation_id="createProduct",
    status_code=201,
    response_model=ProductView,
    responses=problems("token_missing", "forbidden", "sku_taken", "validation_failed", "unknown_field"),
)
async def create_product(_caller: Staff, edge: Edge, body: ProductCreate) -> Response:
    """Put a product on sale: its stock comes by adjustments. For staff."""
    command = CreateProduct(
        sku=body.sku, name=body.name, description=body.description, price=body.price.money, active=body.active
    )
    return await edge.submit(command, _created)


@router.patch(
    "/products/{sku}",
    operation_id="updateProduct",
    response_model=ProductView,
    responses=problems(
        "token_missing", "forbidden", "not_found", "version_mismatch", "precondition_required", "validation_failed"
    ),
)
async def update_product(_caller: Staff, edge: Edge, sku: Sku, version: IfMatch, body: ProductUpdate) -> Response:
    """Change a product: only if nobody else did since its `ETag` was read (`If-Match`). For staff.

    Orders keep the price that they were placed at.
    """
    command = UpdateProduct(
        sku=sku,
        version=version,
        name=body.name,
        description=body.description,
        price=body.price.money if body.price else None,
        active=body.active,
    )
    return await edge.submit(command, _changed)


@router.delete(
    "/products/{sku}",
    operation_id="archiveProduct",
    status_code=204,
    responses=problems("token_missing", "forbidden", "not_found", "validation_failed"),
)
async def archive_product(_caller: Staff, edge: Edge, sku: Sku) -> Response:
    """Take a product off sale: orders that name it keep it. For staff."""
    return await edge.submit(ArchiveProduct(sku=sku), lambda _product: Answer(None, 204))


def _created(product: Product) -> Answer:
    headers = {"ETag": etag(product.version), "Location": f"/api/v1/products/{product.sku}"}
    return Answer(ProductView.model_validate(product), 201, headers)


def _changed(product: Product) -> Answer:
    return Answer(ProductView.model_validate(product), headers={"ETag": etag(product.version)})
