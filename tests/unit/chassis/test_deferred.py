"""How long an event waits after it has failed."""

from datetime import timedelta
from uuid import UUID

import pytest

from chassis.deferred import ATTEMPTS, Deferred, _wait, delay

PARCEL = UUID(int=1)


@pytest.mark.parametrize(("attempts", "longest"), [(0, 1), (1, 2), (3, 8), (8, 256), (10, 900), (60, 900)])
def test_the_wait_has_full_jitter_under_a_power_of_two_and_fifteen_minutes(attempts, longest):
    waits = [delay(attempts) for _ in range(200)]

    assert timedelta(0) <= min(waits) < timedelta(seconds=longest / 4)
    assert timedelta(seconds=longest * 3 / 4) < max(waits) <= timedelta(seconds=longest)


def test_an_event_is_tried_eight_times():
    assert ATTEMPTS == 8


def test_a_careful_event_does_not_wait_and_one_that_failed_does():
    failed = Deferred(PARCEL, 3, "order.created", "o", "[]", 5, "boom")
    careful = Deferred(PARCEL, 3, "order.created", "o", "[]", 0, "redelivered", careful=True)

    assert _wait(careful) == timedelta()
    assert _wait(failed) > timedelta()
    assert failed.key == (PARCEL, 3)
