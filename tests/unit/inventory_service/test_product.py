"""The catalogue's rules."""

import pytest

from contracts.stock import ProductUpserted
from contracts.types import UnitPrice
from inventory_service.domain import product
from inventory_service.domain.product import CreateProduct, Offer, UpdateProduct
from tests.support.inventory_service import LATER, NOW, a_product

PRICE = UnitPrice(amount=1299, currency="EUR")


def test_a_new_product_is_told_with_version_one():
    command = CreateProduct(sku="MUG-RED", name="Red mug", description="330 ml", price=PRICE)

    created, events = product.create(None, command, NOW)

    assert created == a_product()
    assert events == (ProductUpserted(sku="MUG-RED", name="Red mug", price=PRICE, active=True, version=1),)


def test_a_sku_is_taken_even_by_an_archived_product():
    command = CreateProduct(sku="MUG-RED", name="Other", description="", price=PRICE)

    with pytest.raises(product.SkuTaken):
        product.create(a_product(active=False), command, NOW)


def test_a_changed_price_is_told_with_the_next_version():
    dearer = UnitPrice(amount=1399, currency="EUR")

    updated, events = product.update(a_product(), UpdateProduct(sku="MUG-RED", version=1, price=dearer), LATER)

    assert updated == a_product(price=dearer, version=2, updated_at=LATER)
    assert events == (ProductUpserted(sku="MUG-RED", name="Red mug", price=dearer, active=True, version=2),)


def test_an_update_that_changes_nothing_tells_nothing():
    updated, events = product.update(a_product(), UpdateProduct(sku="MUG-RED", version=1, name="Red mug"), LATER)

    assert updated == a_product()
    assert events == ()


def test_an_update_of_an_old_version_is_refused():
    with pytest.raises(product.ProductChanged):
        product.update(a_product(version=2), UpdateProduct(sku="MUG-RED", version=1, name="Mug"), LATER)


def test_an_unknown_product_is_neither_updated_nor_archived():
    with pytest.raises(product.ProductUnknown):
        product.update(None, UpdateProduct(sku="MUG-RED", version=1), LATER)
    with pytest.raises(product.ProductUnknown):
        product.archive(None, LATER)


def test_an_archived_product_is_off_sale_and_told_once():
    archived, events = product.archive(a_product(), LATER)
    again, silence = product.archive(archived, LATER)

    assert archived.offer == Offer(sku="MUG-RED", active=False)
    assert [event.active for event in events] == [False]
    assert (again, silence) == (archived, ())


def test_republishing_tells_known_products_as_they_are():
    events = product.republish([a_product(version=7), None])

    assert events == (ProductUpserted(sku="MUG-RED", name="Red mug", price=PRICE, active=True, version=7),)


def test_a_product_and_its_offer_are_known_by_their_sku():
    assert a_product().key == a_product().offer.key == "MUG-RED"
