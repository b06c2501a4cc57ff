"""Which instance is asked, which one rests, and when it is asked again."""

import asyncio
from contextlib import ExitStack

import pytest

from gateway import instances
from gateway.connections import Unreached
from gateway.instances import AllOut, Full, Instance, Instances


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def these(clock, count=2):
    return Instances([f"http://order-{number}" for number in range(count)], clock=clock)


def fail(instance, times=3):
    for _ in range(times):
        instance.failed()


def test_the_least_busy_one_is_asked(clock):
    several = these(clock, 3)
    with ExitStack() as busy:
        for instance, requests in zip(several._all, (2, 1, 3), strict=True):
            for _ in range(requests):
                busy.enter_context(instance.asked())
        assert several.choose() is several._all[1]
    assert [instance.pending for instance in several._all] == [0, 0, 0]


def test_a_request_whose_answer_has_begun_is_not_pending_any_more(clock):
    several = these(clock, 1)
    one = several._all[0]

    with one.asked() as first, one.asked():
        first.close()
        assert one.pending == 1
    assert one.pending == 0


def test_equals_take_turns(clock):
    several = these(clock, 3)
    assert [several._all.index(several.choose()) for _ in range(5)] == [0, 1, 2, 0, 1]


def test_one_that_was_tried_already_is_the_last_choice(clock):
    several = these(clock)
    one, other = several._all
    with other.asked():
        assert several.choose(besides=one) is other
        fail(other)
        assert several.choose(besides=one) is one


def test_one_that_fails_three_times_in_a_row_rests_and_comes_back(clock):
    several = these(clock)
    one, other = several._all
    fail(one, 2)
    one.answered()
    fail(one, 2)
    assert one.is_able
    one.failed()

    assert [several.choose() for _ in range(2)] == [other, other]
    clock.now += 1
    assert one.is_able


def test_after_its_rest_one_request_tries_it_before_others_do(clock):
    several = these(clock)
    one, _ = several._all
    fail(one)
    clock.now += 1

    with one.asked():
        assert not one.is_able
        one.answered()
        assert one.is_able


def test_a_trial_that_takes_its_time_is_followed_by_another_after_a_second(clock):
    one = these(clock)._all[0]
    fail(one)
    clock.now += 1

    with one.asked():
        clock.now += instances.TRIAL
        assert one.is_able
        with one.asked():
            assert not one.is_able


def test_a_trial_that_told_nothing_is_followed_by_another(clock):
    one = these(clock)._all[0]
    fail(one)
    clock.now += 1
    with one.asked():
        pass
    assert one.is_able


def test_who_fails_again_rests_twice_as_long_and_at_most_half_a_minute(clock):
    one = these(clock)._all[0]
    rests = []
    fail(one)
    for _ in range(7):
        rests.append(one.out_until - clock.now)
        clock.now = one.out_until
        with one.asked():
            one.failed()
    assert rests == [1, 2, 4, 8, 16, 30, 30]


def test_many_that_fail_at_once_are_one_reason_to_rest(clock):
    one = these(clock)._all[0]
    fail(one, 50)
    assert one.out_until == clock.now + 1


def test_when_all_rest_nobody_is_asked_and_it_is_said_when_to_come_again(clock):
    several = these(clock)
    one, other = several._all
    fail(one)
    clock.now += 0.7
    fail(other)

    with pytest.raises(AllOut) as refused:
        several.choose()
    assert refused.value.again_in == 1
    for _ in range(3):
        clock.now += 30
        with one.asked(), other.asked():
            fail(one, 1)
            fail(other, 1)
    with pytest.raises(AllOut) as refused:
        several.choose()
    assert refused.value.again_in == 8


def test_there_is_an_end_of_requests_to_one_service(clock, monkeypatch):
    monkeypatch.setattr(instances, "AT_MOST", 1)
    several = these(clock, 1)
    with several.choose().asked(), pytest.raises(Full):
        several.choose()


class Unreachable:
    """Connections that are tried until everybody gives up."""

    name = "order-0"

    def __init__(self):
        self.given_up = asyncio.Event()

    async def take(self, *, new):
        await self.given_up.wait()
        raise Unreached


@pytest.mark.parametrize("answers_others", [True, False])
async def test_who_is_slow_to_accept_and_answers_others_does_not_rest(clock, answers_others):
    one = Instance(None, clock)
    one.connections = Unreachable()

    trying = asyncio.gather(*(one.connected() for _ in range(3)), return_exceptions=True)
    await asyncio.sleep(0)
    clock.now += 1
    if answers_others:
        one.answered()
    one.connections.given_up.set()
    failures = await trying

    assert [type(failure) for failure in failures] == [Unreached] * 3
    assert one.is_able == answers_others
