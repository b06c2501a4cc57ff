"""Every SQL statement of inventory_service. STORE holds its things in the order in which their rows are locked."""

from chassis.store import Rows, SqlStore
from inventory_service.domain.movement import Movement
from inventory_service.domain.product import Offer, Product
from inventory_service.domain.reservation import Reservation
from inventory_service.domain.stock import Stock, Warehouse
from inventory_service.domain.task import Task
from inventory_service.store.catalogue import keep_with_products, load_offers, lock_products, save_products
from inventory_service.store.reservations import lock_reservations, named, save_reservations
from inventory_service.store.shelves import load_warehouses, lock_stock, save_movements, save_stock, save_warehouses
from inventory_service.store.tasks import lock_tasks, save_tasks

ROWS = (
    Rows(Reservation, save=save_reservations, load=lock_reservations, names=named),
    Rows(Task, save=save_tasks, load=lock_tasks),
    Rows(Product, save=save_products, load=lock_products),
    Rows(Offer, save=keep_with_products, load=load_offers),
    Rows(Warehouse, save=save_warehouses, load=load_warehouses),
    Rows(Stock, save=save_stock, load=lock_stock),
    Rows(Movement, save=save_movements),
)
STORE = SqlStore(*ROWS)
