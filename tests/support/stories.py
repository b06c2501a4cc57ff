"""What happens to orders in a shop, from a day on which everything does: the database that the audit is tried on."""

from uuid import UUID

from chassis.ids import typeid
from contracts.accounts import UserErased
from contracts.types import Role
from payment_service.domain.payment import Outcome
from tests.support.lively_shop import LivelyShop

PASSWORD = "correct horse battery"
ERASED = UUID("01900000-0000-7000-8000-00000000e5ed")


async def a_day(shop: LivelyShop) -> None:
    """Every story, and then rest. The names of the orders say what became of them."""
    await _open(shop)
    await _orders_that_go_well(shop)
    await _orders_that_end_early(shop)
    await _orders_that_come_back(shop)
    await _what_a_person_has_to_see_to(shop)
    await _people(shop)
    await _messages_that_arrive_oddly(shop)
    await shop.settle()
    await shop.send_mails()
    await shop.settle()


async def _open(shop: LivelyShop) -> None:
    for sku, amount in (("MUG-RED", 1299), ("TEA-GREEN", 499), ("LAMP", 9900), ("FREE", 0)):
        body = {"sku": sku, "name": sku.title(), "price": {"amount": amount, "currency": "EUR"}}
        await shop.call("POST", "/products", body)
    await shop.sql("INSERT INTO inventory_service.warehouses VALUES ('north', 5)")
    for sku, warehouse, delta in (("MUG-RED", "main", 400), ("TEA-GREEN", "main", 400), ("LAMP", "north", 40),
                                  ("FREE", "main", 9)):  # fmt: skip
        stocked = {"delta": delta, "reason": "received", "warehouse": warehouse}
        await shop.call("POST", f"/stock/{sku}/adjustments", stocked)
    await shop.call("POST", "/stock/TEA-GREEN/adjustments", {"delta": -3, "reason": "damaged", "warehouse": "main"})
    await shop.settle()


async def _orders_that_go_well(shop: LivelyShop) -> None:
    await shop.place("confirmed")
    await shop.place("free", ("FREE", 1))
    await shop.place("partly shipped", ("MUG-RED", 1), ("LAMP", 1))
    await shop.place("shipped")
    await shop.place("shipped apart", ("MUG-RED", 1), ("LAMP", 1))
    await shop.place("delivered", ("MUG-RED", 3))
    await shop.place("slow", token="tok_slow")
    await shop.place("told three times", token="tok_duplicate_webhook")
    await shop.place("broken twice", token="tok_processing_error")
    await shop.place("silent", token="tok_timeout")
    await shop.place("paid later", token=None)
    await shop.place("paid at the second try", token="tok_declined")
    await shop.settle()
    later = typeid("ord", shop.orders["paid later"])
    await shop.call("POST", "/payments", {"order_id": later, "token": "tok_ok"}, role=Role.CUSTOMER)
    await shop.pay("paid at the second try", "tok_ok")
    await shop.settle()
    await shop.ship("partly shipped", 1)
    await shop.ship("shipped")
    await shop.ship("shipped apart")
    await shop.deliver(await shop.ship("delivered"))
    await shop.settle(shuffled=True)


async def _orders_that_end_early(shop: LivelyShop) -> None:
    await shop.place("rejected", ("LAMP", 900))
    await shop.place("declined", token="tok_declined")
    await shop.place("declined for good", token="tok_declined")
    await shop.place("without a card", token=None)
    await shop.place("overdue", token="tok_declined")
    await shop.place("cancelled before it was paid", token=None)
    await shop.settle()
    await shop.cancel("cancelled before it was paid")
    for _ in range(2):
        await shop.pay("declined for good", "tok_expired_card")
        await shop.settle()
    await shop.sql(
        "UPDATE order_service.orders SET pay_by = now(), due_at = now() - interval '1 s' WHERE id = $1",
        shop.orders["overdue"],
    )
    await shop.place("cancelled at once")
    await shop.cancel("cancelled at once")
    await shop.place("cancelled while it was charged")
    await shop.place("cancelled while it was declined", token="tok_declined")
    for _ in range(9):
        await shop.place("cancelled", ("MUG-RED", 1))
        await shop.cancel("cancelled")
    await shop.carry(shuffled=True)
    for name in ("cancelled while it was charged", "cancelled while it was declined"):
        await shop.answer(name, Outcome.UNKNOWN)
        await shop.cancel(name)
        await shop.carry()
        await shop.answer(name, Outcome.UNKNOWN)
    await shop.sql("UPDATE payment_service.payment_attempts SET due_at = now() WHERE status = 'unknown'")
    await shop.settle()


async def _orders_that_come_back(shop: LivelyShop) -> None:
    await shop.place("cancelled after it was paid")
    await shop.place("cancelled too late", ("MUG-RED", 2))
    await shop.place("returned", ("MUG-RED", 3), ("TEA-GREEN", 1))
    await shop.place("refunded for goodwill", ("MUG-RED", 1))
    await shop.place("refunded whole", ("MUG-RED", 1))
    await shop.place("refused refund", ("MUG-RED", 1), token="tok_refund_fails")
    await shop.settle()
    await shop.cancel("cancelled after it was paid")
    await shop.ship("cancelled too late")
    await shop.cancel("cancelled too late")
    await shop.deliver(await shop.ship("returned"))
    await shop.refund("refunded for goodwill", 100)
    await shop.refund("refunded whole", 1299)
    await shop.refund("refused refund", 100)
    await shop.settle(shuffled=True)
    await shop.take_back("returned", "MUG-RED", 2, 1)
    await shop.settle()


async def _what_a_person_has_to_see_to(shop: LivelyShop) -> None:
    await shop.place("reversal refused", ("MUG-RED", 1), token="tok_refund_fails")
    await shop.settle()
    await shop.cancel("reversal refused")
    await shop.settle()
    await shop.place("unresolved", ("MUG-RED", 1))
    await shop.carry()
    await shop.answer("unresolved")
    long_ago = "now() - interval '1 h'"
    await shop.sql(f"UPDATE payment_service.payment_attempts SET unknown_since = {long_ago} WHERE order_id = $1",  # noqa: S608 -- our own words
                   shop.orders["unresolved"])  # fmt: skip
    await shop.answer("unresolved")
    await shop.sql("UPDATE inventory_service.stock SET backorder_limit = 5 WHERE sku = 'FREE'")
    await shop.place("on backorder", ("FREE", 11))
    await shop.settle()


async def _people(shop: LivelyShop) -> None:
    ada = {"email": "ada@example.com", "password": PASSWORD}
    await shop.call("POST", "/auth/register", ada)
    tokens = await shop.call("POST", "/auth/login", ada)
    await shop.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    await shop.place("of somebody who was erased", user=ERASED)
    await shop.settle()
    await shop.tell("auth_service", UserErased(user_id=ERASED, locale="de"))
    await shop.settle()
    await shop.ship("of somebody who was erased")
    await shop.settle()


async def _messages_that_arrive_oddly(shop: LivelyShop) -> None:
    """Two that nobody can read."""
    for message, listener, topic in zip(
        shop.poisoned, ("order_service", "notification_service"), ("stock.reserved", "order.confirmed"), strict=True
    ):
        await shop.consumers[listener].settle(str(message), topic, b"[{]", redelivered=False)
