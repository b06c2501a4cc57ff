"""How the bench waits for a shop to settle and to come to rest: with few questions, and until nothing is left."""

import pytest

from chassis.ids import new_id
from ordermill.bench import rest
from ordermill.errors import Failure


class Orders:
    """Open orders, the last one last; each question closes what its turn says, and is written down."""

    def __init__(self, *turns):
        self._turns = list(turns)
        self.asked = []

    async def fetchval(self, sql, *arguments):
        still_open = self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]
        self.asked.append("by its key" if arguments else "for the last")
        return arguments[0] in still_open if arguments else next(reversed(still_open), None)


class Waiting:
    """What waits, by kind, at each question: of all kinds, and then of one."""

    def __init__(self, *turns):
        self._turns = list(turns)
        self.asked = []

    async def fetch(self, _sql, _since):
        self.asked.append("all")
        return list(self._turns.pop(0).items())

    async def fetchval(self, sql, *_since):
        self.asked.append("mails" if "notifications" in sql else "one")
        return self._turns.pop(0)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch):
    monkeypatch.setattr(rest, "LOOKS_EACH", 0.0)
    monkeypatch.setattr(rest, "RESTS_EACH", 0.0)


async def test_the_last_open_order_is_watched_by_its_key_and_then_any_other_that_is_open():
    first, last = new_id(), new_id()
    orders = Orders([first, last], [first, last], [first], [first], [first], [])

    await rest.Rest(orders, {}, 60.0).settled(lambda: 0)

    assert orders.asked == [
        "for the last", "by its key", "by its key", "for the last", "by its key", "by its key", "for the last",
    ]  # fmt: skip


async def test_orders_that_stay_open_while_nothing_happens_are_a_failure():
    with pytest.raises(Failure, match="orders are open"):
        await rest.Rest(Orders([new_id()]), {}, 0.0).settled(lambda: 0)


async def test_what_waits_most_is_asked_alone_and_at_last_all_is_asked_at_once():
    waiting = Waiting({"mails": 3, "cancelling": 1}, 2, 0, {"mails": 0, "cancelling": 1}, 0, {"mails": 0})

    await rest.Rest(waiting, {}, 60.0).rested(None)

    assert waiting.asked == ["all", "mails", "mails", "all", "one", "all"]
