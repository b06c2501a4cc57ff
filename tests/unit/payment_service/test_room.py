"""Whose calls may begin: half of the places are anybody's, and of the rest nobody has more than an eighth."""

from collections import Counter
from itertools import count, takewhile
from uuid import UUID

import pytest

from payment_service.domain.room import Room

SLOW, OTHER, THIRD = UUID(int=1), UUID(int=2), UUID(int=3)
PLACES = 400


def a_room(**taken: int) -> Room:
    """With so many taken by ``slow``, ``other`` and ``third``."""
    customers = {"slow": SLOW, "other": OTHER, "third": THIRD}
    return Room(PLACES, PLACES - sum(taken.values()), Counter({customers[name]: out for name, out in taken.items()}))


def all_that_may(room: Room, customer_id: UUID) -> int:
    """As many calls of theirs as may begin."""
    return sum(1 for _ in takewhile(lambda _: room.take(customer_id), count()))


def test_a_lone_customer_has_half_of_the_places():
    room = a_room()

    assert (all_that_may(room, SLOW), room.free, room.taken) == (200, 200, {SLOW: 200})


def test_what_one_customer_leaves_is_open_to_another_but_not_all_of_it():
    room = a_room(slow=200)

    assert (all_that_may(room, OTHER), all_that_may(room, SLOW), all_that_may(room, THIRD)) == (23, 0, 20)


def test_it_takes_more_than_thirty_slow_customers_to_leave_no_place():
    room = a_room()

    for customer in range(32):
        all_that_may(room, UUID(int=customer))

    assert (room.free, room.take(UUID(int=32)), room.take(UUID(int=33))) == (1, True, False)


def test_the_last_place_is_for_who_has_none():
    room = a_room(slow=1, third=398)

    assert (room.take(SLOW), room.take(OTHER), room.take(THIRD)) == (False, True, False)


def test_where_more_are_out_than_there_are_places_nobody_begins():
    room = a_room(slow=401)

    assert (room.take(OTHER), room.at_once) == (False, -1)


def test_it_is_closed_to_those_alone_who_have_their_share():
    assert a_room(slow=200, other=24, third=2).closed_to == [SLOW, OTHER]
    assert a_room(slow=199).closed_to == []


@pytest.mark.parametrize(("taken", "at_once"), [(0, 200), (199, 1), (200, 25), (393, 1), (399, 1), (400, 0)])
def test_so_many_begin_together_that_nobody_has_more_than_two_shares(taken, at_once):
    assert a_room(slow=taken).at_once == at_once
