"""The catalogue that a new shop begins with."""

from contracts.stock import ProductUpserted
from inventory_service.domain.product import CreateProduct
from inventory_service.seeds import seed_catalogue


def test_the_seeds_are_the_same_each_time_and_each_product_has_stock():
    seeds = seed_catalogue(300)

    created, adjusted = seeds[::2], seeds[1::2]
    assert seeds == seed_catalogue(300)
    assert [each.sku for each in created] == [each.sku for each in adjusted]
    assert len({each.sku for each in created}) == 300
    assert all(each.delta >= 100 for each in adjusted)


def test_the_first_product_is_a_red_mug():
    first, _ = seed_catalogue(1)

    assert isinstance(first, CreateProduct)
    assert (first.sku, first.name, first.price.amount, first.price.currency) == ("MUG-RED", "Red mug", 1299, "EUR")


def test_every_seed_can_be_told():
    for seed in seed_catalogue(300)[::2]:
        ProductUpserted(sku=seed.sku, name=seed.name, price=seed.price, active=seed.active, version=1)
