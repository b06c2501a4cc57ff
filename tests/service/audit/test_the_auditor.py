"""The auditor's process: gauges of what changed lately and, once a day, of everything; health as a worker's."""

import asyncio
from datetime import UTC, datetime, time, timedelta

import httpx2
import pytest
from loguru import logger

from chassis import health, heartbeat
from ordermill.audit import INVARIANTS, Kind, snapshot, watching
from ordermill.audit.question import Verdict
from ordermill.audit.settings import Settings
from ordermill.audit.watching import Auditor
from ordermill.host import application
from tests.support.database import as_role
from tests.support.eventually import eventually


def settings(url, **given):
    return Settings(database_url=as_role(url, "auditor"), **given)


def soon(after):
    return (datetime.now(UTC) + after).timetz()


@pytest.fixture
def logged():
    lines = []
    sink = logger.add(lambda message: lines.append((message.record["level"].name, message.record["message"])))
    yield lines
    logger.remove(sink)


async def gauges(client) -> dict[str, float]:
    text = (await client.get("/metrics")).text
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith("ordermill_")]
    return {name: float(value) for name, _, value in lines}


async def test_the_process_shows_what_is_broken_until_it_is_mended(shop, monkeypatch, logged):
    # given
    monkeypatch.setenv("ORDERMILL_AUDITOR_DATABASE_URL", as_role(shop.url, "auditor"))
    monkeypatch.setenv("ORDERMILL_AUDITOR_EVERY", "PT0.05S")
    monkeypatch.setattr("ordermill.audit.watching.SHARE", 0)
    await shop.sql("UPDATE inventory_service.stock SET on_hand = on_hand + 1 WHERE sku = 'MUG-RED'")
    await shop.changes_now()
    app = application(["auditor"], "api")
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://auditor")
    always = [each.id for each in INVARIANTS.values() if each.kind is Kind.ALWAYS]
    broken = 'ordermill_invariant_broken{id="S1",of="recent"}'

    async def all_are_shown() -> bool:
        return len([name for name in await gauges(client) if name.startswith("ordermill_invariant_broken")]) >= len(
            always
        )

    async def is_broken() -> bool:
        return (await gauges(client)).get(broken) == 1

    async def is_mended() -> bool:
        return (await gauges(client)).get(broken) == 0

    async with client, app.router.lifespan_context(app):
        # when
        await eventually(is_broken)
        ready = await client.get("/readyz")
        await shop.sql("UPDATE inventory_service.stock SET on_hand = on_hand - 1 WHERE sku = 'MUG-RED'")
        await eventually(is_mended)
        await eventually(all_are_shown)
        shown = await gauges(client)

    # then
    assert ready.status_code == 200
    for gauge in ("invariant_broken", "audit_time_seconds", "audit_seconds"):
        assert {id_ for id_ in INVARIANTS if f'ordermill_{gauge}{{id="{id_}",of="recent"}}' in shown} == {*always}
    assert shown['ordermill_audit_time_seconds{id="X1",of="recent"}'] > 0
    assert shown['ordermill_audit_seconds{id="X1",of="recent"}'] > 0
    promise = INVARIANTS["S1"].promise
    said = [line for line in logged if line[1].startswith("S1")]
    assert said == [("ERROR", f"S1 is broken by 1 rows: {promise}"), ("INFO", f"S1 holds again: {promise}")]


async def test_a_promise_that_cannot_be_asked_is_shown_as_one_that_is_broken(shop, logged):
    # given
    await shop.sql(
        """UPDATE order_service.orders SET lines = '[{{"sku": "LAMP", "quantity": "a secret"}}]'
           WHERE id = '{confirmed}'""".format(**shop.orders)  # noqa: S608 -- our own words
    )
    told = settings(shop.url, every=timedelta(days=1), whole_at=soon(timedelta(seconds=0.3)), rest=timedelta(0))
    auditor = Auditor(told)

    # when
    async with auditor.running():
        await eventually(lambda: ("X1", "whole") in auditor._seen or ("E8", "whole") in auditor._seen)

    # then
    unasked = {line.partition(" ")[0] for level, line in logged if level == "ERROR" and "cannot be asked" in line}
    assert unasked
    assert {watching.BROKEN.labels(id_, "whole")._value.get() for id_ in unasked} == {1}
    assert watching.AUDITED_AT.labels("S1", "whole")._value.get() > 0
    assert await auditor.checks() == {"audit": None}
    assert "secret" not in str(logged)


def test_a_line_is_said_where_a_broken_promise_cannot_be_asked_any_more_and_again_where_it_can(logged):
    auditor, promise = Auditor(Settings(database_url="postgresql://x")), INVARIANTS["S1"]
    by_one, unasked = Verdict(promise, [{}], 0.0, 1), Verdict(promise, [{}], 0.0, 1, "division by zero")

    for verdict in (by_one, by_one, unasked, unasked, by_one, Verdict(promise, [], 0.0, 0)):
        auditor._show("recent", verdict)

    assert [line.removesuffix(f": {promise.promise}") for _, line in logged] == [
        "S1 is broken by 1 rows",
        "S1 cannot be asked",
        "S1 is broken by 1 rows",
        "S1 holds again",
    ]


@pytest.mark.parametrize("path", ["/livez", "/health", "/version"])
async def test_it_answers_for_its_health_as_a_worker_does(day, monkeypatch, path):
    monkeypatch.setenv("ORDERMILL_AUDITOR_DATABASE_URL", as_role(day.url, "auditor"))
    app = application(["auditor"], "api")

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://auditor") as client:
        answer = await client.get(path)

    assert answer.status_code == 200


async def test_everything_is_audited_once_a_day(shop):
    # given
    await shop.sql("UPDATE order_service.orders SET refunded_total = 1 WHERE id = '{confirmed}'".format(**shop.orders))  # noqa: S608 -- our own words
    told = settings(shop.url, every=timedelta(days=1), whole_at=soon(timedelta(seconds=0.3)), rest=timedelta(seconds=1))
    auditor = Auditor(told)

    async def is_seen() -> bool:
        return auditor._seen.get(("P5", "whole")) == (1, "")

    # when
    async with auditor.running():
        await eventually(is_seen)

    # then
    # What was parked on purpose is parked: nobody told the auditor.
    assert {key for key, (count, _) in auditor._seen.items() if count} == {("P5", "whole"), ("E8", "whole")}


@pytest.fixture
def never_ends(monkeypatch):
    """Audits that began and do not end, and no patience with them."""
    begun = []

    async def audit(_url, _question):
        begun.append("everything")
        await asyncio.Event().wait()

    async def look(_database, invariants, _question):
        begun.extend(each.id for each in invariants)
        await asyncio.Event().wait()

    monkeypatch.setattr(watching, "audit", audit)
    monkeypatch.setattr(snapshot, "look", look)
    monkeypatch.setattr(watching, "LONGEST", 0.0)
    monkeypatch.setattr(heartbeat, "ALLOWED", 0.2)
    return begun


async def test_an_auditor_that_is_stuck_is_not_alive_and_one_that_waits_for_its_time_is(never_ends):
    auditor = Auditor(Settings(database_url="postgresql://x", whole_at=soon(timedelta(hours=12))))

    async with auditor.running():
        await eventually(lambda: heartbeat.stuck() != {})
        stuck, alive = heartbeat.stuck(), health.alive()

    assert (set(stuck), alive.status_code, never_ends) == ({"audit"}, 503, ["S1"])


async def test_an_auditor_whose_look_at_everything_is_stuck_is_not_alive(never_ends):
    auditor = Auditor(Settings(database_url="postgresql://x", whole_at=soon(timedelta(seconds=0.1))))

    async with auditor.running():
        await eventually(lambda: "whole audit" in heartbeat.stuck())


async def test_an_auditor_is_given_as_long_as_an_audit_may_take(never_ends, monkeypatch):
    monkeypatch.setattr(watching, "LONGEST", 900.0)

    async with Auditor(Settings(database_url="postgresql://x")).running():
        await eventually(lambda: heartbeat.ages().get("audit", 0.0) > 2 * heartbeat.ALLOWED)
        assert heartbeat.stuck() == {}


@pytest.fixture
def looks(monkeypatch):
    """At which promise it looked, each at once; the first look and the third one fail, and nobody rests."""
    seen = []

    async def look(_database, invariants, question):
        [invariant] = invariants
        seen.append((invariant.id, question.recent, question.most))
        if len(seen) in {1, 3}:
            raise ConnectionError
        return [Verdict(invariant, [], 0.0, 0)]

    monkeypatch.setattr(snapshot, "look", look)
    monkeypatch.setattr(watching, "SHARE", 0)
    return seen


async def test_it_looks_at_one_promise_after_the_other_and_passes_by_one_that_cannot_be_asked(looks):
    told = Settings(database_url="postgresql://x", every=timedelta(0), recent=timedelta(minutes=1), most=7)
    always = [each.id for each in INVARIANTS.values() if each.kind is Kind.ALWAYS]

    async with Auditor(told).running():
        await eventually(lambda: len(looks) > len(always))

    assert looks[: len(always) + 1] == [(id_, timedelta(minutes=1), 7) for id_ in [*always, always[0]]]


@pytest.mark.parametrize(("took", "pause"), [(0.001, 0.5), (0.01, 0.5), (0.1, 5.0), (3.0, 150.0)])
def test_it_rests_fifty_times_as_long_as_a_look_took_and_looks_no_more_often_than_told(took, pause):
    always = [each for each in INVARIANTS.values() if each.kind is Kind.ALWAYS]
    auditor = Auditor(Settings(database_url="postgresql://x", every=timedelta(seconds=0.5) * len(always)))

    assert auditor._pause(took) == pytest.approx(pause)


async def test_a_database_that_is_away_is_the_reason_why_it_is_not_ready():
    auditor = Auditor(Settings(database_url="postgresql://auditor:test@127.0.0.1:1/x"))
    before = await auditor.checks()

    async def has_failed() -> bool:
        return await auditor.checks() == {"audit": "ConnectionRefusedError"}

    async with auditor.running():
        await eventually(has_failed)

    assert before == {"audit": "has not audited yet"}


@pytest.mark.parametrize(
    ("now", "hours"),
    [("2026-01-01T00:00+00:00", 3.0), ("2026-01-01T03:00+00:00", 24.0), ("2026-01-01T21:00+00:00", 6.0)],
)
async def test_the_whole_is_audited_at_the_next_such_time_of_the_day(now, hours):
    auditor = Auditor(Settings(database_url="postgresql://x", whole_at=time(3)))

    assert auditor._until_whole(datetime.fromisoformat(now)) == timedelta(hours=hours)


async def test_the_owners_url_is_nothing_for_it(monkeypatch):
    monkeypatch.delenv("ORDERMILL_AUDITOR_DATABASE_URL", raising=False)
    monkeypatch.setenv("ORDERMILL_DATABASE_URL", "postgresql://owner")

    with pytest.raises(ValueError, match="database_url"):
        Settings()
