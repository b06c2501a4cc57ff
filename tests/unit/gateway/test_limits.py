"""How often one may ask, what answers tell of it, and where it is counted."""

from collections import Counter

import pytest

from chassis.problems import Problem
from gateway import limits as gateway_limits
from gateway.limits import Limits, Quota, refuse_too_many, told, told_raw
from tests.support.gateway import talking

TWICE = Quota.of("address", "2/minute")


class Clock:
    now = 1_000_020.5

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


async def test_a_quota_is_spent_by_each_for_themselves(clock):
    limits = Limits(clock=clock)
    mine = [await limits.spend(TWICE, "mine") for _ in range(3)]
    yours = await limits.spend(TWICE, "yours")
    other = await limits.spend(Quota.of("principal", "2/minute"), "mine")

    assert [(spent.in_time, spent.left) for spent in (*mine, yours, other)] == [
        (True, 1),
        (True, 0),
        (False, 0),
        (True, 1),
        (True, 1),
    ]


async def test_a_new_window_forgets_the_one_before(clock):
    limits = Limits(clock=clock)
    for number in range(1_000):
        await limits.spend(TWICE, f"{number}")
    clock.now += 60
    again = await limits.spend(TWICE, "1")

    assert (again.left, limits._own._by_name["address"][1]) == (1, {"1": 1})


async def test_the_answer_tells_the_policy_and_what_is_left(clock):
    limits = Limits(clock=clock)
    spent = [await limits.spend(TWICE, "mine"), await limits.spend(Quota.of("principal", "100/second"), "me")]

    assert told(spent) == {
        "RateLimit-Policy": '"address";q=2;w=60, "principal";q=100;w=1',
        "RateLimit": '"address";r=1;t=60, "principal";r=99;t=1',
    }
    assert told_raw(spent)[1] == (b"ratelimit", b'"address";r=1;t=60, "principal";r=99;t=1')
    assert told_raw([]) == []


async def test_who_asks_too_often_is_told_when_to_come_again(clock):
    limits = Limits(clock=clock)
    clock.now += 30
    spent = [await limits.spend(TWICE, "mine") for _ in range(3)]
    refuse_too_many(spent[:2])

    with pytest.raises(Problem) as refused:
        refuse_too_many(spent[2:])
    assert [refused.value.status, refused.value.code] == [429, "rate_limited"]
    assert refused.value.detail == "At most 2 per 1 minute for one address."
    assert refused.value.headers == {
        "Retry-After": "30",
        "RateLimit-Policy": '"address";q=2;w=60',
        "RateLimit": '"address";r=0;t=30',
    }


def test_a_rate_is_read_at_the_start():
    with pytest.raises(ValueError, match="couldn't parse"):
        Quota.of("address", "often")


class Redis:
    """As much of Redis as a count needs."""

    def __init__(self):
        self.counts = Counter()

    async def converse(self, reader, writer):
        while line := await reader.readline():
            words = [await self._word(reader) for _ in range(int(line[1:]))]
            writer.write(self._answer(*words))

    async def _word(self, reader):
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:-2]

    def _answer(self, name, *words):
        if name == b"HELLO":
            return b"%1\r\n+proto\r\n:3\r\n"
        if name != b"EVALSHA":
            return b"+OK\r\n"
        _, _, key, _, amount = words
        self.counts[key] += int(amount)
        return b":%d\r\n" % self.counts[key]


async def test_several_gateways_count_together_and_each_for_itself_while_redis_is_away(clock, monkeypatch):
    monkeypatch.setattr(gateway_limits, "ANSWERS_WITHIN", 5.0)
    redis = Redis()
    async with talking(redis.converse) as url:
        one, other = (Limits(url.replace("http", "redis"), clock) for _ in range(2))
        together = [(await limits.spend(TWICE, "mine")).left for limits in (one, other)]
        over = await one.spend(TWICE, "mine")
        for limits in (one, other):
            await limits.aclose()
    alone = [(await limits.spend(TWICE, "mine")).left for limits in (one, other)]

    assert [together, over.in_time, alone] == [[1, 0], False, [1, 1]]
    assert redis.counts == {b"LIMITS:address/mine/16667": 3}


async def test_a_storage_that_does_not_answer_is_asked_again_after_a_while(clock, monkeypatch):
    monkeypatch.setattr(gateway_limits, "ANSWERS_WITHIN", 0.05)
    asked = []

    async def silent(reader, _writer):
        asked.append(1)
        await reader.read()

    async with talking(silent) as url:
        limits = Limits(url.replace("http", "redis"), clock)
        left = [(await limits.spend(TWICE, "mine")).left for _ in range(2)]
        assert [left, len(asked)] == [[1, 0], 1]
        clock.now += 1
        await limits.spend(TWICE, "mine")
        assert len(asked) == 2
        await limits.aclose()
