"""Plots: where the axes end, and that every point is where its value is."""

import re
from xml.etree import ElementTree as ET

import pytest

from ordermill.plots import Plot, decades, svg, tick

POINTS = [(1_000, 200), (100_000, 100), (10_000, 150)]


def places(text):
    [line] = re.findall(r'<polyline class="line" points="([^"]+)"', text)
    return [tuple(map(float, place.split(","))) for place in line.split()]


@pytest.mark.parametrize(
    ("values", "ends"), [([1_000, 1_000_000], (3, 6)), ([2_000], (3, 4)), ([2, 20_000], (0, 5)), ([10], (1, 2))]
)
def test_the_axis_ends_at_powers_of_ten(values, ends):
    assert decades(values) == ends


@pytest.mark.parametrize(("highest", "step"), [(190, 50), (420, 100), (1_000, 250), (3_643, 1_000), (99, 20), (0, 0.1)])
def test_five_round_steps_reach_beyond_the_highest_value(highest, step):
    assert tick(highest) == step


def test_points_are_joined_in_order_and_stand_where_their_values_are():
    first, middle, last = places(svg(Plot("Cost", "orders", POINTS)))

    assert (first[0], last[0]) == (64, 616)
    assert middle[0] == pytest.approx((first[0] + last[0]) / 2)
    assert first[1] < middle[1] < last[1]


def test_it_is_xml_whatever_the_words_are_and_has_colours_for_light_and_dark():
    text = svg(Plot("a < b & c", "orders", POINTS))

    assert ET.fromstring(text).find("{http://www.w3.org/2000/svg}title").text == "a < b & c"  # noqa: S314 -- it is ours
    assert "prefers-color-scheme: dark" in text
