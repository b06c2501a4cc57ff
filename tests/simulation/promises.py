"""The promises (docs/promises.md): what must not be at any instant, and what has to be once the faults have stopped."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from json import loads
from typing import Any
from uuid import UUID

from notification_service.domain.mails import TEMPLATES
from tests.simulation.people import People
from tests.simulation.post import Post
from tests.simulation.provider import Provider
from tests.simulation.shop import Shop
from tests.support.memory.tables import Key, Row

LEGAL = {
    None: {"pending"},
    "pending": {"awaiting_payment", "rejected", "cancelling"},
    "awaiting_payment": {"confirmed", "cancelling"},
    "confirmed": {"partially_shipped", "shipped", "delivered", "cancelling"},
    "partially_shipped": {"shipped", "delivered"},
    "shipped": {"delivered", "partially_shipped"},
    "delivered": set(),
    "cancelling": {"cancelled", "confirmed", "partially_shipped", "shipped", "delivered"},
    "rejected": set(),
    "cancelled": set(),
}
GOOD = {"confirmed", "partially_shipped", "shipped", "delivered"}
ENDED = {"rejected", "cancelled", *GOOD}

# What is left to do in each table, and the promise that it will be done.
OPEN: tuple[tuple[str, str, Callable[[Row], bool]], ...] = (
    ("orders", "O3", lambda row: row["status"] not in ENDED),
    ("outbox", "E1", lambda row: row["published_at"] is None),
    ("deferred", "E7, E8", lambda _row: True),
    ("payments", "P6", lambda row: row["status"] in {"processing", "unknown", "reversing"}),
    ("refunds", "P6", lambda row: row["status"] in {"requested", "sent", "unknown"}),
    ("webhook_events", "P6", lambda row: row["status"] in {"received", "parked"}),
    ("notifications", "N1", lambda row: row["status"] in {"queued", "sending", "waiting"}),
)
_SHOWN = ("id", "order_id", "subject", "topic", "status", "state", "last_error")


def _told(row: Row) -> dict[str, Any]:
    return {name: str(row[name]) for name in _SHOWN if row.get(name) is not None}


class Promises:
    """Looks at every commit, and at the end."""

    def __init__(self, shop: Shop, people: People, provider: Provider, post: Post) -> None:
        self.shop = shop
        self.people = people
        self.provider = provider
        self.post = post
        self._look_again = 0.0
        self._moved: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        shop.schemas["order_service"].on_commit = self._orders_changed
        shop.schemas["inventory_service"].on_commit = self._stock_changed

    def _broken(self, promise: str) -> None:
        self.shop.world.broken(promise)

    # --- at any instant

    def _orders_changed(self, before: dict[str, dict[Key, Row | None]]) -> None:
        tables = self.shop.schemas["order_service"].tables
        for key, was in before.get("orders", {}).items():
            row = tables["orders"].rows[key]
            status, version = (was["status"], was["version"]) if was else (None, 0)
            while version < row["version"]:
                version += 1
                entry = tables["order_history"].rows.get((row["id"], version))
                if entry is None:
                    self._broken(f"O6: {row['id']} has no history of version {version}")
                    break
                if entry["from_status"] != status or entry["to_status"] not in LEGAL[status] | {status}:
                    self._broken(f"O5: {row['id']} goes from {status} to {entry['to_status']} by {entry['cause']}")
                status = entry["to_status"]
            if row["status"] != status:
                self._broken(f"O6: {row['id']} is {row['status']}, its history says {status}")
            if row["total"] != sum(line["quantity"] * line["unit_price"] for line in row["lines"]):
                self._broken(f"O8: the total of {row['id']} is not the sum of its lines")

    def _stock_changed(self, before: dict[str, dict[Key, Row | None]]) -> None:
        tables = self.shop.schemas["inventory_service"].tables
        for key in before.get("stock_movements", {}):
            moved = tables["stock_movements"].rows[key]
            sums = self._moved[moved["sku"], moved["warehouse"]]
            sums[0] += moved["delta"]
            sums[1] += moved["reserved_delta"]
        for key in before.get("stock", {}) | before.get("stock_movements", {}):
            self._shelf(tables["stock"].rows[key if len(key) == 2 else key[1:3]])

    def _shelf(self, row: Row) -> None:
        moved, reserved = self._moved[row["sku"], row["warehouse"]]
        on_hand = self.shop.opening[row["sku"], row["warehouse"]] + moved
        if (row["on_hand"], row["reserved"]) != (on_hand, reserved):
            self._broken(f"S1, S2: {row['sku']} has {row['on_hand']}, {row['reserved']}, moved {on_hand}, {reserved}")
        if not 0 <= row["reserved"] <= row["on_hand"] + row["backorder_limit"] or row["on_hand"] < 0:
            self._broken(f"S3: {row['sku']} is oversold: {row['reserved']} of {row['on_hand']}")

    # --- once the faults have stopped

    def is_drained(self) -> bool:
        now = self.shop.world.loop.time()
        if now < self._look_again:
            return False
        self._look_again = now + 2.0
        return next(self.left(), None) is None

    def left(self) -> Iterator[str]:
        """What is not done yet."""
        if self.people.waiting > 0:
            yield f"{self.people.waiting} customers wait for an answer"
        if not self.shop.broker.is_idle:
            yield "E3: there are messages in the broker"
        for service in self.shop.schemas:
            for table, promise, is_open in OPEN:
                if table in self.shop.schemas[service].tables:
                    rows = [row for row in self.shop.rows(service, table) if is_open(row)]
                    yield from (f"{promise}: in {service}.{table} is left {_told(row)}" for row in rows)

    def check_the_end(self) -> None:
        if left := next(self.left(), None):
            self._broken(left)
            return
        orders = {row["id"]: row for row in self.shop.rows("order_service", "orders")}
        for promise in (
            *self._handled(),
            *self._accepted(orders),
            *self._money(orders),
            *self._stock(orders),
            *self._shipped(orders),
            *self._mails(),
        ):
            self._broken(promise)

    def _accepted(self, orders: dict[UUID, Row]) -> Iterator[str]:
        for (_, key), order_id in self.people.told.items():
            if order_id not in orders:
                yield f"O1: the order {order_id}, accepted under {key}, is lost"
        keys = Counter(
            (row["user_id"], row["key"])
            for row in self.shop.rows("order_service", "idempotency")
            if row["operation"] == "createOrder"
        )
        if len(keys) != len(orders):
            yield f"O2: {len(orders)} orders under {len(keys)} keys"

    def _money(self, orders: dict[UUID, Row]) -> Iterator[str]:
        provider = self.provider
        ledger: defaultdict[tuple[UUID, str], int] = defaultdict(int)
        for entry in self.shop.rows("payment_service", "ledger"):
            ledger[entry["order_id"], entry["kind"]] += entry["amount"]
        for order_id in {*provider.captured, *orders}:
            captured, returned = provider.captured[order_id], provider.returned[order_id]
            if order_id not in orders:
                yield f"P7: money for {order_id}, which does not exist"
                continue
            row = orders[order_id]
            if (ledger[order_id, "capture"], ledger[order_id, "refund"]) != (captured, returned):
                yield f"P4: the ledger of {order_id} is not the provider's"
            if captured not in {0, row["total"]}:
                yield f"P3: {captured} of {row['total']} is captured for {order_id}"
            granted = sum(r["amount"] for r in row["refunds"] if r["status"] == "succeeded")
            owed = row["total"] - granted if row["status"] in GOOD else 0
            if captured - returned != owed:
                yield f"P5: {order_id} is {row['status']}, {captured - returned} is kept, {owed} is owed"

    def _stock(self, orders: dict[UUID, Row]) -> Iterator[str]:
        reservations = {row["order_id"]: row for row in self.shop.rows("inventory_service", "reservations")}
        for order_id, row in orders.items():
            status = reservations[order_id]["status"] if order_id in reservations else None
            held = {"committed", "consumed"} if row["status"] in GOOD else {"released", "void", "rejected"}
            if status not in held:
                yield f"S5, S6: {order_id} is {row['status']}, its stock {status}"

    def _shipped(self, orders: dict[UUID, Row]) -> Iterator[str]:
        left: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
        for row in self.shop.rows("inventory_service", "stock_movements"):
            if row["kind"] == "ship":
                left[row["order_id"]][row["sku"]] -= row["delta"]
        for row in self.shop.rows("inventory_service", "reservations"):
            if row["order_id"] not in orders:
                yield f"S4: there is a reservation for {row['order_id']}, which does not exist"
                continue
            lines: Counter[str] = Counter()
            for line in orders[row["order_id"]]["lines"]:
                lines[line["sku"]] += line["quantity"]
            gone = left[row["order_id"]]
            if gone - lines or (row["status"] == "consumed" and gone != lines):
                yield f"S4: of {row['order_id']} have left {dict(gone)}, ordered were {dict(lines)}"

    def _handled(self) -> Iterator[str]:
        """Every parcel by everybody who listens to it, and nothing else."""
        for name in self.shop.schemas:
            parcels = {row["id"] for row in self._parcels() if name in self.shop.broker.bound.get(row["topic"], ())}
            inbox = {row["message_id"] for row in self.shop.rows(name, "inbox")}
            yield from (f"E3: {name} has not handled {parcel}" for parcel in parcels - inbox)
            yield from (f"E4: nobody told {parcel}, which {name} has handled" for parcel in inbox - parcels)

    def _parcels(self) -> Iterator[Row]:
        for name in self.shop.schemas:
            yield from self.shop.rows(name, "outbox")

    def _mails(self) -> Iterator[str]:
        """One for each event of the list of mails."""
        topics = {kind.topic for kind in TEMPLATES}
        expected = Counter(
            event["id"] for row in self._parcels() if row["topic"] in topics for event in loads(row["events"])
        )
        found = Counter(str(row["event_id"]) for row in self.shop.rows("notification_service", "notifications"))
        if found != expected:
            yield f"N1: too many mails {found - expected}, too few {expected - found}"
        if any(count != 1 for count in expected.values()):
            yield "E6: an event was told twice"
