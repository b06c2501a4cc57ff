"""The HTTP edge of inventory_service."""

import pytest
from prometheus_client import REGISTRY

from chassis.ids import new_id, typeid
from chassis.tokens import Role
from contracts.types import OrderId
from inventory_service import catalogue
from inventory_service.domain.product import RepublishProducts
from inventory_service.seeds import seed_catalogue
from tests.support.inventory_service import an_order_created
from tests.support.neighbours import saying

MUG = {"sku": "MUG-RED", "name": "Red mug", "price": {"amount": 1299, "currency": "EUR"}}


async def test_a_product_lives_under_its_etag(inventory):
    created = await inventory.call("POST", "/products", json=MUG, status=201)
    changed = await inventory.call("PATCH", "/products/MUG-RED", json={"name": "Mug"}, If_Match='"1"')
    stale = await inventory.call("PATCH", "/products/MUG-RED", json={"name": "x"}, If_Match='"1"', status=412)
    blind = await inventory.call("PATCH", "/products/MUG-RED", json={"name": "x"}, status=428)
    read = await inventory.http.get("/api/v1/products/MUG-RED")
    unchanged = await inventory.http.get("/api/v1/products/MUG-RED", headers={"If-None-Match": '"2"'})

    assert (created.headers["ETag"], created.headers["Location"]) == ('"1"', "/api/v1/products/MUG-RED")
    assert created.json() | {"created_at": "", "updated_at": ""} == {
        **MUG,
        "description": "",
        "active": True,
        "version": 1,
        "created_at": "",
        "updated_at": "",
    }
    assert (changed.headers["ETag"], changed.json()["name"]) == ('"2"', "Mug")
    assert (stale.json()["code"], blind.json()["code"]) == ("version_mismatch", "precondition_required")
    assert (read.headers["ETag"], read.json()["name"]) == ('"2"', "Mug")
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert await inventory.told() == ["product.upserted", "product.upserted"]


async def test_a_product_is_named_in_one_line_and_what_was_named_before_is_read(inventory):
    await inventory.call("POST", "/products", json=MUG, status=201)
    await inventory.rows("UPDATE inventory_service.products SET name = U&'Red\\000Amug\\202E' RETURNING sku")

    refused = await inventory.call("POST", "/products", json=MUG | {"name": "Red\nmug"}, status=422)
    read = await inventory.call("GET", "/products/MUG-RED")
    changed = await inventory.call("PATCH", "/products/MUG-RED", json={"active": False}, If_Match='"1"')

    assert [(each["pointer"], each["code"]) for each in refused.json()["errors"]] == [("#/name", "invalid")]
    assert read.json()["name"] == changed.json()["name"] == "Red\nmug\u202e"
    assert await inventory.told() == ["product.upserted", "product.upserted"]


async def test_a_sku_is_taken_once(inventory):
    await inventory.call("POST", "/products", json=MUG, status=201)

    again = await inventory.call("POST", "/products", json=MUG, status=409)

    assert again.json()["code"] == "sku_taken"


async def test_an_archived_product_is_off_the_list_but_can_be_read(inventory):
    await inventory.stocked()

    await inventory.call("DELETE", "/products/MUG-RED", status=204)
    await inventory.hear(an_order_created(order_id=OrderId(new_id())))

    assert (await inventory.call("GET", "/products")).json()["data"] == []
    (archived,) = (await inventory.call("GET", "/products?active=false")).json()["data"]
    assert archived["active"] is False
    assert (await inventory.http.get("/api/v1/products/MUG-RED")).json()["active"] is False
    assert (await inventory.told())[-1] == "stock.rejected"
    unknown = await inventory.call("DELETE", "/products/NOPE", status=404)
    assert unknown.json()["code"] == "not_found"


async def test_the_catalogue_is_read_page_by_page_without_a_token(inventory):
    for seed in seed_catalogue(5):
        await inventory.parts.pipeline.submit(seed)
    skus, cursor = [], ""

    while cursor is not None:
        page = (await inventory.http.get("/api/v1/products?limit=2" + (f"&cursor={cursor}" if cursor else ""))).json()
        skus += [product["sku"] for product in page["data"]]
        cursor = page["next_cursor"]

    assert skus == ["BOTTLE-RED", "CAP-RED", "MUG-RED", "NOTEBOOK-RED", "SHIRT-RED"]


async def test_a_list_of_what_has_no_time_of_its_creation_takes_none(inventory):
    refused = await inventory.call("GET", "/stock?created_after=2100-01-01T00:00:00Z", status=422)

    assert "created_after" in refused.json()["detail"]


@pytest.mark.parametrize("path", ["/products", "/stock", "/tasks", "/reservations", "/stock/MUG-RED/movements"])
async def test_a_cursor_that_was_made_up_is_refused(inventory, path):
    await inventory.stocked()

    response = await inventory.call("GET", f"{path}?cursor=WzEsMiwzXQ==", status=400)

    assert response.json()["code"] == "cursor_invalid"


async def test_availability_is_public_and_falls_with_each_order(inventory):
    await inventory.stocked(on_hand=5)
    await inventory.hear(an_order_created(("MUG-RED", 2), order_id=OrderId(new_id())))

    answer = await inventory.http.get("/api/v1/products/MUG-RED/availability")

    assert answer.json() == {"sku": "MUG-RED", "available": 3, "active": True}
    assert (await inventory.http.get("/api/v1/products/NOPE/availability")).status_code == 404


async def test_an_adjustment_is_done_once_for_its_key(inventory):
    await inventory.stocked(on_hand=5)
    headers = inventory.headers()
    body = {"delta": 4, "reason": "counted"}
    url = "/api/v1/stock/MUG-RED/adjustments"

    first = await inventory.http.post(url, json=body, headers=headers)
    second = await inventory.http.post(url, json=body, headers=headers)
    other = await inventory.http.post(url, json={**body, "delta": 3}, headers=headers)

    assert (first.status_code, first.json()["kind"], first.json()["delta"]) == (201, "adjust", 4)
    assert (second.json(), second.headers["Idempotent-Replayed"]) == (first.json(), "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await inventory.call("GET", "/stock/MUG-RED")).json()["on_hand"] == 9


async def test_what_is_reserved_cannot_be_taken_away(inventory):
    await inventory.stocked(on_hand=5)
    await inventory.hear(an_order_created(("MUG-RED", 4), order_id=OrderId(new_id())))

    refused = await inventory.call(
        "POST", "/stock/MUG-RED/adjustments", json={"delta": -2, "reason": "damaged"}, status=409
    )

    assert (refused.json()["code"], refused.json()["detail"]) == (
        "stock_reserved",
        "MUG-RED: 5 on hand, 4 of them held for orders.",
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"delta": 0, "reason": "counted"}, "validation_failed"),
        ({"delta": 1, "reason": "gift"}, "validation_failed"),
        ({"delta": 1, "reason": "counted", "warehouse": "far"}, "validation_failed"),
        ({"delta": 1, "reason": "counted", "note": "x"}, "unknown_field"),
    ],
)
async def test_a_wrong_adjustment_is_refused(inventory, body, code):
    await inventory.stocked()

    refused = await inventory.call("POST", "/stock/MUG-RED/adjustments", json=body, status=422)

    assert refused.json()["code"] == code


async def test_stock_of_an_unknown_product_is_not_found(inventory):
    body = {"delta": 1, "reason": "received"}

    assert (await inventory.call("POST", "/stock/NOPE/adjustments", json=body, status=404)).json()[
        "code"
    ] == "not_found"
    await inventory.call("GET", "/stock/NOPE", status=404)


async def test_stock_is_listed_and_the_low_ones_apart(inventory):
    await inventory.stocked("CAP-RED", on_hand=50)
    await inventory.stocked("MUG-RED", on_hand=5)
    await inventory.call("POST", "/products", json={**MUG, "sku": "PEN-RED"}, status=201)

    every = (await inventory.call("GET", "/stock")).json()["data"]
    low = (await inventory.call("GET", "/stock?low=true")).json()["data"]
    empty = (await inventory.call("GET", "/stock/PEN-RED")).json()

    assert [stock["sku"] for stock in every] == ["CAP-RED", "MUG-RED"]
    assert low == [
        {
            "sku": "MUG-RED",
            "on_hand": 5,
            "reserved": 0,
            "available": 5,
            "warehouses": [
                {
                    "warehouse": "main",
                    "on_hand": 5,
                    "reserved": 0,
                    "available": 5,
                    "backorder_limit": 0,
                    "low_threshold": 5,
                    "low": True,
                }
            ],
        }
    ]
    assert (empty["available"], empty["warehouses"]) == (0, [])


@pytest.mark.parametrize("path", ["/stock", "/stock/MUG-RED", "/tasks", "/reservations", "/stock/MUG-RED/movements"])
async def test_customers_do_not_see_the_warehouse(inventory, path):
    refused = await inventory.call("GET", path, role=Role.CUSTOMER, status=403)

    assert refused.json()["code"] == "forbidden"


async def test_reservations_are_listed_newest_first_page_by_page(inventory):
    await inventory.stocked()
    orders = [OrderId(new_id()) for _ in range(3)]
    for order_id in orders:
        await inventory.hear(an_order_created(order_id=order_id))

    first = (await inventory.call("GET", "/reservations?limit=2")).json()
    rest = (await inventory.call("GET", f"/reservations?limit=2&cursor={first['next_cursor']}")).json()
    held = (await inventory.call("GET", "/reservations?status=held&status=committed")).json()
    one = (await inventory.call("GET", f"/reservations?order_id={typeid('ord', orders[1])}")).json()

    listed = [reservation["order_id"] for reservation in first["data"] + rest["data"]]
    assert listed == [typeid("ord", order_id) for order_id in reversed(orders)]
    assert [reservation["status"] for reservation in first["data"] + rest["data"]] == ["rejected", "held", "held"]
    assert len(held["data"]) == 2
    assert one["data"][0]["holds"] == [
        {"sku": "MUG-RED", "warehouse": "main", "quantity": 2, "shipped": 0, "returned": 0}
    ]


async def test_a_task_is_created_changed_replaced_and_deleted(inventory):
    created = await inventory.call("POST", "/tasks", json={"title": "Sweep"}, status=201)
    path = created.headers["Location"].removeprefix("/api/v1")
    changed = await inventory.call("PATCH", path, json={"priority": "critical", "title": "Mop"}, If_Match='"1"')
    replaced = await inventory.call("PUT", path, json={"title": "Dust"}, If_Match='"2"')
    read = await inventory.call("GET", path)
    await inventory.call("PATCH", path, json={"title": None}, If_Match='"3"', status=422)
    await inventory.call("DELETE", path, status=204)

    assert (created.json()["status"], created.headers["ETag"]) == ("pending", '"1"')
    assert (changed.json()["title"], changed.json()["priority"], changed.json()["version"]) == ("Mop", "critical", 2)
    assert (replaced.json()["title"], replaced.json()["priority"]) == ("Dust", "medium")
    assert read.json() == replaced.json()
    await inventory.call("GET", path, status=404)
    assert (await inventory.call("GET", "/tasks")).json()["data"] == []


async def test_a_task_is_due_on_a_day_that_the_calendar_has(inventory):
    far = {"title": "Count the mugs", "due_at": "9999-12-31T23:59:59-01:00"}

    created = await inventory.call("POST", "/tasks", json=far, status=422)
    listed = await inventory.call("GET", "/tasks?created_after=0001-01-01T00:00:00%2B01:00", status=422)
    await inventory.call("POST", "/tasks", json=far | {"due_at": "9999-12-31T23:59:59Z"}, status=201)

    assert created.json()["errors"][0]["pointer"] == "#/due_at"
    assert listed.json()["errors"][0]["pointer"] == "query:created_after"


async def test_tasks_are_filtered_by_assignee_and_time(inventory):
    assignee = typeid("usr", new_id())
    await inventory.call("POST", "/tasks", json={"title": "Mine", "assignee": assignee}, status=201)
    await inventory.call("POST", "/tasks", json={"title": "Anyone's"}, status=201)

    mine = (await inventory.call("GET", f"/tasks?assignee={assignee}")).json()["data"]
    none = (await inventory.call("GET", "/tasks?created_after=2100-01-01T00:00:00Z")).json()["data"]
    both = (await inventory.call("GET", "/tasks?limit=1&created_before=2100-01-01T00:00:00Z")).json()
    rest = (await inventory.call("GET", f"/tasks?limit=1&cursor={both['next_cursor']}")).json()

    assert ([task["title"] for task in mine], none) == (["Mine"], [])
    assert [page["data"][0]["title"] for page in (both, rest)] == ["Anyone's", "Mine"]
    assert (both["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)


async def test_deliveries_and_returns_of_nothing_are_refused(inventory):
    await inventory.call("POST", f"/shipments/{typeid('shp', new_id())}/delivery", status=404)
    line = {"sku": "MUG-RED", "quantity": 1, "restocked": 1}
    body = {"order_id": typeid("ord", new_id()), "lines": [line]}

    await inventory.call("POST", "/returns", json=body, status=404)
    too_many = await inventory.call("POST", "/returns", json={**body, "lines": [{**line, "restocked": 2}]}, status=422)

    assert too_many.json()["code"] == "validation_failed"


async def test_order_service_alone_asks_what_is_available(inventory):
    await inventory.stocked(on_hand=7)
    asked = {"skus": ["MUG-RED", "NOPE"]}

    refused = [
        await inventory.http.post("/internal/availability", json=asked, headers=headers)
        for headers in ({}, saying("payment_service", "inventory_service"), saying("order_service", "auth_service"))
    ]
    told = await inventory.http.post(
        "/internal/availability", json=asked, headers=saying("order_service", "inventory_service")
    )

    assert [answer.status_code for answer in refused] == [401, 403, 401]
    assert told.json() == {"available": {"MUG-RED": 7, "NOPE": 0}}


async def test_products_are_told_again_as_they_are(inventory):
    await inventory.stocked()

    told = await inventory.parts.pipeline.submit(RepublishProducts(skus=("MUG-RED", "NOPE")))

    assert told == 1
    assert await inventory.told() == ["product.upserted", "stock.low", "product.upserted"]


async def test_the_catalogue_counts_its_versions(inventory):
    await inventory.stocked()
    await inventory.call("PATCH", "/products/MUG-RED", json={"name": "Mug"}, If_Match='"1"')

    assert await catalogue.measure(inventory.parts) is False

    counted = REGISTRY.get_sample_value("ordermill_catalogue_versions", {"service": "inventory_service"})
    assert counted == 2
