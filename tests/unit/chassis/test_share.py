"""How many items a batch may have after some that took too long."""

import pytest

from chassis.items import Command, Parcel
from chassis.share import WHILE, Share


def commands(many):
    return [Command(None, None, "system", None, None, None, None) for _ in range(many)]


def parcels(*sizes):
    return [Parcel(None, [None] * size, None) for size in sizes]


def test_as_long_as_nothing_takes_too_long_a_batch_is_whole():
    share = Share()

    assert share.of(200, 1e9) == 200
    assert not share.is_least


@pytest.mark.parametrize(
    ("entries", "most"), [(commands(200), 50), (parcels(60, 20), 20), (commands(7), 1), (commands(2), 1)]
)
def test_what_took_too_long_together_is_tried_by_the_quarter(entries, most):
    share = Share()

    share.lessen(entries, 0.0)

    assert share.of(200, 0.0) == most
    assert share.is_least is (most == 1)


def test_one_parcel_is_alone_however_many_events_it_has():
    share = Share()

    share.lessen(parcels(100), 0.0)

    assert (share.of(200, 0.0), share.is_least) == (1, True)


def test_what_takes_too_long_again_and_again_is_alone_in_the_end():
    share, taken = Share(), []

    while not share.is_least:
        taken.append(share.of(200, 0.0))
        share.lessen(commands(taken[-1]), 0.0)

    assert taken == [200, 50, 12, 3]


def test_after_a_while_it_is_twice_as_many_and_whole_in_the_end():
    share = Share()
    share.lessen(commands(13), 100.0)

    grown = [share.of(200, 100.0 + WHILE * n) for n in (0, 0.9, 1, 2, 2.5, 3, 10)]

    assert grown == [3, 3, 6, 12, 12, 24, 200]
    assert share.of(200, 1e9) == 200
