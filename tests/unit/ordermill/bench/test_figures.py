"""Quantiles, rates and ratios of a run."""

import pytest

from ordermill.bench import figures


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1.0), (0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_a_quantile_is_the_smallest_value_that_has_that_share_at_or_below_it(share, value):
    assert figures.quantile([float(number) for number in range(1, 101)], share) == value


def test_a_spread_is_in_milliseconds_and_none_of_nothing():
    assert figures.spread_ms([0.003, 0.001, 0.002]) == {"p50": 2.0, "p95": 3.0, "p99": 3.0, "max": 3.0}
    assert figures.spread_ms([]) is None


def test_rates_are_those_of_each_tenth_so_that_a_slower_end_is_seen():
    even = [number / 10 for number in range(1, 51)]
    slower = [5 + number / 5 for number in range(1, 51)]

    assert figures.rates([*slower, *even], 0.0) == [10] * 5 + [5] * 5
    assert figures.rates([1.0, 2.0], 0.0) == []


def test_what_was_not_there_before_grew_from_nothing():
    assert figures.differences({"old": 5.0, "new": 2.0}, {"old": 3.0, "gone": 1.0}) == {"old": 2.0, "new": 2.0}


def test_amounts_are_divided_among_orders_and_not_among_none():
    assert figures.per({"shop.api": 0.5}, 1_000, 1e6) == {"shop.api": 500.0}
    assert figures.per({"shop.api": 0.5}, 0) == {}


def test_a_ratio_with_what_is_not_known_is_not_known():
    assert figures.ratio(6.0, 4.0) == 1.5
    assert (figures.ratio(None, 4.0), figures.ratio(6.0, 0.0), figures.ratio(6.0, None)) == (None, None, None)
