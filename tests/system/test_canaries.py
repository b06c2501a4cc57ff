"""A customer's whole story with unmistakable data, which is looked for afterwards wherever it has no business."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import httpx2
import pytest

from chassis.broker import exchange_of
from ordermill.services import SERVICES
from tests.support.canaries import Canaries, Places, Tap, a_tap, canaries, in_files, in_the_database
from tests.support.eventually import eventually
from tests.support.people import Person, a_key, a_product, logged_in, uuid_of
from tests.support.running_shop import RunningShop

ORDERS = {"order_service.orders", "order_service.idempotency"}
ALLOWED = {
    "email": {"auth_service.users", "notification_service.notifications"},
    "phone_number": {"auth_service.users"},
    "name": {"auth_service.users", "notification_service.notifications", *ORDERS},
    "client": {"auth_service.sessions"},
    **dict.fromkeys(("line1", "line2", "city", "region", "postal_code", "note", "metadata"), ORDERS),
}
SERVERS = ("postgres", "rabbitmq", "mailbox")


@pytest.fixture
async def admin(shop: RunningShop, client: httpx2.AsyncClient) -> Person:
    return await logged_in(client, "admin@ordermill.example", shop.secret("demo.admin"))


@asynccontextmanager
async def tapped(shop: RunningShop) -> AsyncIterator[Tap]:
    async with await aio_pika.connect((await shop.ps())["broker_url"]) as connection:
        yield await a_tap(connection, map(exchange_of, SERVICES))


class Story:
    """One customer, from registration to erasure."""

    def __init__(self, client: httpx2.AsyncClient, it: Canaries) -> None:
        self.client = client
        self.it = it
        self.login = {"email": it.personal["email"], "password": it.secret["password"]}
        client.headers["User-Agent"] = it.personal["client"]

    async def registers(self) -> Person:
        told = {name: self.it.personal[name] for name in ("email", "phone_number")}
        account = {**told, "password": self.it.secret["password"], "full_name": self.it.personal["name"]}
        assert (await self.client.post("/auth/register", json=account)).status_code == 201
        assert (await self.client.post("/auth/register", json=account)).status_code == 409
        assert (await self.client.post("/auth/register", json={**account, "phone_number": "x"})).status_code == 422
        return await self.signs_in()

    async def signs_in(self) -> Person:
        wrong = {**self.login, "password": self.it.secret["wrong password"]}
        assert (await self.client.post("/auth/login", json=wrong)).status_code == 401
        form = {"username": wrong["email"], "password": wrong["password"]}
        assert (await self.client.post("/auth/token", data=form)).status_code == 401
        tokens = (await self.client.post("/auth/login", json=self.login)).raise_for_status().json()
        renewed = await self.client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        person = Person(self.client, self.login["email"], renewed.raise_for_status().json()["access_token"])
        key = (await person.post("/auth/api-keys", {"name": "till", "scopes": ["orders:read"]})).json()["api_key"]
        await Person(self.client, "", key).get("/orders")
        self.it.secret.update({"access token": tokens["access_token"], "refresh token": tokens["refresh_token"]})
        self.it.secret.update({"second access token": renewed.json()["access_token"], "API key": key})
        self.it.secret["second refresh token"] = renewed.json()["refresh_token"]
        return person

    async def shows_what_it_should_not(self, person: Person, order: dict[str, Any]) -> None:
        """The number of a card where its token belongs, and and every secret in an address and in odd headers."""
        for path, body in (
            ("/orders", self.order("NONE-SUCH", self.it.secret["card"])),
            ("/orders", self.order("NONE-SUCH", f"card_{self.it.secret['card']}")),
            (f"/orders/{order['id']}/payments", {"token": self.it.secret["card"]}),
            ("/payments", {"order_id": order["id"], "token": f"tok_{self.it.secret['card']}"}),
        ):
            answer = await person.post(path, body, **{"Idempotency-Key": a_key()})
            assert (answer.status_code, self.it.found_in(answer.text)) == (422, set())
        for secret in self.it.secret.values():
            said = {
                "traceparent": secret,
                "tracestate": f"a={secret}",
                "Referer": secret,
                "Cookie": f"session={secret}",
            }
            query = {"cursor": secret, "access_token": secret}
            answer = await person.client.get("/products", params=query, headers=said)
            assert answer.status_code in {200, 400, 422}
        assert (await person.client.get("/products", headers={"Authorization": "Bearer x"})).status_code == 401

    def order(self, sku: str, token: str) -> dict[str, Any]:
        lines = ("name", "line1", "line2", "city", "region", "postal_code")
        return {
            "lines": [{"sku": sku, "quantity": 1}],
            "shipping_address": {**{name: self.it.personal[name] for name in lines}, "country": "NL"},
            "payment": {"token": token},
            "note": self.it.personal["note"],
            "metadata": {"gift for": self.it.personal["metadata"]},
        }

    async def ordered(self, person: Person, sku: str, token: str) -> dict[str, Any]:
        placed: dict[str, Any] = (await person.order(self.order(sku, token))).raise_for_status().json()
        return placed


async def _the_whole_story(shop: RunningShop, story: Story, staff: Person) -> dict[str, Any]:
    """The order that came back."""
    person = await story.registers()
    sku = await a_product(staff)
    declined = await story.ordered(person, sku, "tok_declined")
    cancelled = await story.ordered(person, sku, "tok_ok")
    returned = await story.ordered(person, sku, "tok_ok")
    await person.reaches(declined, payment_status="failed")
    await story.shows_what_it_should_not(person, declined)
    (await person.pay(declined, "tok_ok")).raise_for_status()
    for order in (declined, cancelled, returned):
        await person.reaches(order, status="confirmed")
    (await person.cancel(cancelled)).raise_for_status()
    await person.reaches(cancelled, status="cancelled")
    [task] = (await staff.get("/tasks", order_id=returned["id"]))["data"]
    (await staff.post(f"/tasks/{task['id']}/complete", {"carrier": "DHL"})).raise_for_status()
    shipped = await person.reaches(returned, status="shipped")
    (await staff.post(f"/shipments/{shipped['shipments'][0]['id']}/delivery")).raise_for_status()
    back = {"order_id": returned["id"], "lines": [{"sku": sku, "quantity": 1, "restocked": 1}]}
    (await staff.post("/returns", back, **{"Idempotency-Key": a_key()})).raise_for_status()
    await person.reaches(returned, payment_status="refunded")
    change = {"current_password": story.it.secret["password"], "new_password": story.it.secret["new password"]}
    (await person.post("/auth/password", change)).raise_for_status()
    await person.get("/auth/me/export")

    async def all_mails_are_there() -> bool:
        return len(await shop.mails(person.email)) >= 5

    await eventually(all_mails_are_there)
    return returned


async def _in_files(shop: RunningShop, it: Canaries) -> Places:
    """What is found in the shop's own files, and of secrets also in those of its servers."""
    everywhere = await asyncio.to_thread(in_files, shop.home, Canaries(secret=it.secret))
    ours = await asyncio.to_thread(in_files, shop.home, it, SERVERS)
    return {**everywhere, **ours}


async def test_personal_data_stays_in_its_places_and_goes_when_it_is_erased(
    shop: RunningShop, client: httpx2.AsyncClient, staff: Person, admin: Person
):
    # given
    it = canaries()
    story = Story(client, it)

    # when
    async with tapped(shop) as tap:
        order = await _the_whole_story(shop, story, staff)
        [user] = (await admin.get("/users", email=it.personal["email"]))["data"]
        kept = await in_the_database(shop, it)
        (await client.delete(f"/users/{user['id']}", headers=admin.authorized)).raise_for_status()

        # then
        async def nothing_is_left() -> bool:
            return await in_the_database(shop, it) == {}

        try:
            await eventually(nothing_is_left)
        except TimeoutError:
            assert await in_the_database(shop, it) == {}
        parcels = await tap.parcels()

    assert {name: left for name, places in kept.items() if (left := places - ALLOWED.get(name, set()))} == {}
    assert kept.keys() == ALLOWED.keys()  # so it would have been found
    assert {name for parcel in parcels for name in it.found_in(parcel)} == set()
    assert await _in_files(shop, it) == {}
    assert await _in_the_metrics(shop, it) == {}
    # And what may be told is found in the same places: so the rest would have been.
    told = Canaries(personal={"in parcels": str(uuid_of(order)), "in logs": order["id"]})
    assert {name for parcel in parcels for name in told.found_in(parcel)} == {"in parcels"}
    assert "log/shop.api.log" in (await _in_files(shop, told))["in logs"]


async def _in_the_metrics(shop: RunningShop, it: Canaries) -> Places:
    async with httpx2.AsyncClient(trust_env=False) as client:
        urls = [process["url"] for process in (await shop.processes()).values() if process["url"]]
        pages = {url: (await client.get(f"{url}/metrics")).text for url in urls if url != shop.mailbox}
    return {url: found for url, page in pages.items() if (found := it.found_in(page))}
