"""What inventory_service answers over HTTP."""

from fastapi import APIRouter

from inventory_service.routes import catalogue, shipping, stock, tasks

router = APIRouter()
for part in (catalogue, stock, tasks, shipping):
    router.include_router(part.router)
internal = stock.internal
