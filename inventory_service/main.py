"""inventory_service as it is hosted: its parts, and what its refusals are called over HTTP."""

from chassis.app import Loop, Service
from inventory_service import catalogue, handlers, routes, tables
from inventory_service.domain import product, shipping, stock, task
from inventory_service.settings import Settings
from inventory_service.store import STORE

service = Service(
    name="inventory_service",
    settings=Settings,
    metadata=tables.metadata,
    decisions=handlers.decisions,
    store=STORE,
    router=routes.router,
    internal=routes.internal,
    refusals={
        product.SkuTaken: "sku_taken",
        product.ProductUnknown: "not_found",
        product.ProductChanged: "version_mismatch",
        stock.StillReserved: "stock_reserved",
        stock.WarehouseUnknown: "validation_failed",
        task.TaskUnknown: "not_found",
        task.TaskClosed: "task_closed",
        task.TaskChanged: "version_mismatch",
        task.BoundToOrder: "task_closed",
        shipping.NotOnHand: "insufficient_stock",
        shipping.ShipmentUnknown: "not_found",
        shipping.NotShipped: "validation_failed",
        shipping.TooManyReturns: "too_many_returns",
    },
    loops=(Loop("catalogue", catalogue.measure, every=10.0, woken=False),),
)
