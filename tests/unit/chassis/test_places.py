"""Whose requests are counted together."""

import pytest

from chassis.places import place_of


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7108", "203.0.113.8"),
        ("64:ff9b::cb00:7107", "203.0.113.7"),
        ("64:ff9b::cb00:7108", "203.0.113.8"),
        ("2002:cb00:7107:1::9", "203.0.113.7"),
        ("64:ff9b:1::cb00:7108", "64:ff9b:1::/64"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_an_address_of_ipv6_stands_for_its_network(address, place):
    assert place_of(address) == place


def test_a_place_may_be_as_large_as_a_site():
    assert place_of("2001:db8:1:2::9", 48) == place_of("2001:db8:1:3::9", 48) == "2001:db8:1::/48"
    assert place_of("203.0.113.7", 48) == "203.0.113.7"
