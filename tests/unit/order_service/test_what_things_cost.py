"""Prices are the shop's own, of the newest version that was told."""

import pytest

from order_service.domain import pricing
from order_service.domain.pricing import CurrencyMismatch, PriceChanged, SkuUnknown
from tests.support.order_service import MUG, TEA, TOTAL, a_product, euro, lines, products, upserted


def test_a_product_that_was_not_known_is_kept():
    assert pricing.keep(None, upserted(name="Red mug", version=4)) == a_product(MUG, name="Red mug", version=4)


@pytest.mark.parametrize(("version", "kept"), [(1, False), (2, False), (3, True)])
def test_only_a_newer_version_replaces_a_product(version, kept):
    product = pricing.keep(a_product(version=2), upserted(price=999, version=version))

    assert product == (a_product(price=999, version=3) if kept else None)


def test_lines_cost_what_the_products_cost():
    priced = pricing.price(lines((MUG, 2), (TEA, 1), (MUG, 1)), products())

    assert [(line.line_no, line.sku, line.total) for line in priced.lines] == [
        (1, MUG, 2598),
        (2, TEA, 499),
        (3, MUG, 1299),
    ]
    assert priced.total == euro(TOTAL + 1299)


def test_unknown_and_archived_products_are_not_for_sale():
    known = {MUG: a_product(active=False), TEA: a_product(TEA), "VASE": None}

    with pytest.raises(SkuUnknown) as refusal:
        pricing.price(lines((MUG, 1), (TEA, 1), ("VASE", 1)), known)

    assert refusal.value.errors == (
        ("#/lines/0/sku", "sku_unknown", "MUG-RED is not for sale"),
        ("#/lines/2/sku", "sku_unknown", "VASE is not for sale"),
    )


def test_an_order_has_one_currency():
    with pytest.raises(CurrencyMismatch) as refusal:
        pricing.price(lines(), products(a_product(MUG), a_product(TEA, currency="USD")))

    assert refusal.value.errors == (("#/lines/1/sku", "currency_mismatch", "not in EUR"),)


@pytest.mark.parametrize("expected", [None, euro(TOTAL)])
def test_the_expected_total_or_none_is_fine(expected):
    pricing.check_expected(pricing.price(lines(), products()), expected)


def test_another_total_than_expected_is_refused_with_the_new_one():
    with pytest.raises(PriceChanged, match="The total is 3097 EUR now") as refusal:
        pricing.check_expected(pricing.price(lines(), products()), euro(3000))

    assert refusal.value.total == euro(TOTAL)
    assert refusal.value.errors == (("#/expected_total", "price_changed", "3097 EUR"),)


def test_a_total_expected_in_another_currency_is_refused():
    dollars = euro(TOTAL).model_copy(update={"currency": "USD"})

    with pytest.raises(CurrencyMismatch) as refusal:
        pricing.check_expected(pricing.price(lines(), products()), dollars)

    assert refusal.value.errors == (("#/expected_total/currency", "currency_mismatch", "not in EUR"),)
