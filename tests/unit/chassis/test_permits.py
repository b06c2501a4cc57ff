"""Of one place no more is worked on than there is room left for others, however it is given back."""

from contextlib import suppress

import pytest

from chassis.permits import Permits

HERE, THERE = "192.0.2.1", "198.51.100.7"


def taken(permits, *places):
    """As many as each may have, who take turns until nobody may have one more."""
    while not all(permits.is_full(place) for place in places):
        for place in places:
            if not permits.is_full(place):
                permits.take(place)
    return [permits._by_place[place] for place in places]


@pytest.mark.parametrize(("places", "shares"), [(1, [256]), (2, [171, 171]), (9, [52, 52, *[51] * 7])])
def test_places_share_and_leave_as_much_for_one_more(places, shares):
    permits = Permits(512)

    assert taken(permits, *range(places)) == shares
    assert not permits.is_full("a newcomer")


def test_where_nothing_is_left_nobody_is_let_in():
    permits = Permits(2)
    for place in (HERE, THERE):
        permits.take(place)

    assert permits.is_full(None)
    assert permits.is_full("a newcomer")


def test_what_rests_leaves_its_place_to_others_and_comes_back_to_it():
    permits = Permits(1)
    permit = permits.take(HERE)

    with permit.resting(), permit.resting():
        assert not permits.is_full(HERE)
    assert permits.is_full(HERE)


@pytest.mark.parametrize("back_while_it_rests", [True, False])
def test_a_permit_is_given_back_once_whatever_happens(back_while_it_rests):
    permits = Permits(1)
    permit = permits.take(HERE)

    with suppress(RuntimeError), permit.resting():
        if back_while_it_rests:
            permit.give_back()
        raise RuntimeError
    permit.give_back()
    permit.give_back()

    assert (permits.count, dict(permits._by_place)) == (0, {})
