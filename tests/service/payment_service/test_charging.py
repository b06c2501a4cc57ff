"""The charging loop: leases, what is out at once, providers and databases that are away."""

import asyncio
from datetime import timedelta

import pytest

from payment_service import charging
from payment_service.domain.payment import Answer, Outcome
from payment_service.providers import Said
from payment_service.simulator_books import Charge, Return
from payment_service.store.calls import claim_calls
from tests.service.payment_service.conftest import at_work, comes_to, patient

FOR_LONG = timedelta(hours=1)
KEYS_OF = "SELECT key FROM payment_service.payment_attempts WHERE order_id = $1"
DUE_NOW = "UPDATE payment_service.payment_attempts SET due_at = now() RETURNING 1"


def with_times(settings, **changes):
    return patient(settings, simulator_scale=1.0, **changes)


@pytest.fixture
def brisk(monkeypatch):
    """Calls that are out at the end are cut soon."""
    monkeypatch.setattr(charging, "LANDING", 0.01)


async def test_a_slow_card_holds_up_nobody_and_is_charged_once_by_whoever_takes_it_over(settings, brisk):
    async with at_work(with_times(settings)) as payments:
        slow = await payments.asked("tok_slow")
        await comes_to(lambda: claimed(payments), [(True,)])
        quick = await payments.asked("tok_ok")
        await payments.reaches(quick, "captured")
        assert (await payments.of_order(slow))["status"] == "processing"

    async with at_work(settings) as payments:
        await payments.rows(DUE_NOW)
        await payments.reaches(slow, "captured")
        assert (await payments.net(slow), await payments.charges(slow)) == (2598, 1)


async def test_who_ends_gives_back_what_is_still_out_to_whoever_comes_next(settings, brisk):
    async with at_work(with_times(settings, lease=FOR_LONG)) as payments:
        charged, paid = await payments.asked("tok_slow"), await payments.asked("tok_ok")
        await payments.reaches(paid, "captured")
        await comes_to(lambda: asked_for(payments), {key for (key,) in await payments.rows(KEYS_OF, charged)})

    async with at_work(patient(settings)) as payments:
        await payments.reaches(charged, "captured")
        assert (await payments.net(charged), await payments.charges(charged)) == (2598, 1)


async def test_a_refund_that_is_still_out_is_given_back_too(settings, brisk):
    async with at_work(patient(settings, lease=FOR_LONG)) as payments:
        order_id = await payments.asked("tok_ok")
        await payments.reaches(order_id, "captured")
        payments.parts.own.provider.refund = never
        await payments.give_back(order_id)
        await comes_to(lambda: out(payments), 1)

    async with at_work(patient(settings)) as payments:
        await payments.reaches(order_id, "reversed")
        assert await payments.net(order_id) == 0


async def never(_asked):
    await asyncio.sleep(3600)
    yield ()


async def out(payments):
    return len(payments.parts.own.out)


async def test_a_database_that_is_away_keeps_nobody_from_ending_with_calls_that_are_out(settings, brisk, monkeypatch):
    async def away(_tx, _keys):
        raise ConnectionError

    monkeypatch.setattr(charging, "give_back_calls", away)
    async with at_work(with_times(settings)) as payments:
        await payments.asked("tok_slow")
        await comes_to(lambda: out(payments), 1)

    async with at_work(settings, loops=False) as payments:
        assert await payments.rows("SELECT due_at > now() FROM payment_service.payment_attempts") == [(True,)]


async def claimed(payments):
    return await payments.rows("SELECT claimed FROM payment_service.payment_attempts")


async def test_a_charge_that_was_made_before_the_crash_is_found_and_not_repeated(settings):
    async with at_work(patient(settings), loops=False) as payments:
        order_id = await payments.asked("tok_ok")
        [(key,)] = await payments.rows("UPDATE payment_service.payment_attempts SET claimed = true RETURNING key")
        charge = Charge(key=key, order_id=order_id, token="tok_declined", amount=2598, currency="EUR")
        await payments.parts.own.provider.simulator.books.charge([charge])

        await charging.step(payments.parts)

        payment = await payments.reaches(order_id, "failed")
        assert (payment["failure"]["code"], await payments.charges(order_id)) == ("card_declined", 1)


async def test_a_claimed_call_is_nobody_elses_until_its_lease_ends(settings, brisk):
    async with (
        at_work(with_times(settings), loops=False) as payments,
        at_work(patient(settings), loops=False) as neighbour,
    ):
        await payments.asked("tok_slow")

        await charging.step(payments.parts)
        await charging.step(neighbour.parts)

        assert (len(payments.parts.own.out), len(neighbour.parts.own.out)) == (1, 0)


async def test_a_call_that_is_being_claimed_is_left_to_whoever_claims_it(settings):
    async with at_work(patient(settings), loops=False) as payments:
        await payments.asked("tok_ok")

        async with payments.parts.database.transaction() as one, payments.parts.database.transaction() as other:
            claims = [await claim_calls(tx, 10, settings.lease) for tx in (one, other)]

        assert [len(calls) for calls in claims] == [1, 0]


async def test_no_more_calls_are_out_than_allowed(settings, brisk):
    async with at_work(with_times(settings, calls_in_flight=2), loops=False) as payments:
        for _ in range(3):
            await payments.asked("tok_slow")

        more = [await charging.step(payments.parts) for _ in range(3)]

        assert (more, len(payments.parts.own.out)) == ([True, True, False], 2)


async def test_while_the_provider_is_away_a_charge_is_unknown_and_then_ends(settings):
    away = settings.model_copy(update={"provider_url": "http://127.0.0.1:1"})
    async with at_work(away) as payments:
        order_id = await payments.asked("tok_ok")
        await payments.reaches(order_id, "unknown")

    async with at_work(settings) as payments:
        await payments.rows(DUE_NOW)
        await payments.reaches(order_id, "captured")
        assert (await payments.net(order_id), await payments.told(order_id)) == (2598, ["payment.succeeded"])


async def test_an_answer_waits_for_the_database_to_come_back(settings):
    async with at_work(patient(settings), loops=False) as payments:
        order_id = await payments.asked("tok_ok")
        payments.parts.pipeline._resume_at = asyncio.get_running_loop().time() + 0.3

        await charging.step(payments.parts)

        await comes_to(lambda: asked_for(payments), set())
        assert (await payments.of_order(order_id))["status"] == "captured"


async def asked_for(payments):
    return set(payments.parts.own.out)


async def test_an_answer_that_nobody_has_recorded_is_found_again_by_whoever_takes_over(settings, brisk):
    async with at_work(patient(settings), loops=False) as payments:
        order_id = await asked_and_not_recorded(payments)
        assert (await payments.of_order(order_id))["status"] == "processing"

    async with at_work(settings) as payments:
        await payments.reaches(order_id, "captured")
        assert await payments.charges(order_id) == 1


async def test_while_an_answer_waits_to_be_recorded_nobody_here_asks_again_though_the_lease_is_over(settings):
    async with at_work(patient(settings), loops=False) as payments:
        order_id = await asked_and_not_recorded(payments)
        before = set(payments.parts.own.flights)
        await payments.rows(DUE_NOW)

        await charging.step(payments.parts)

        assert payments.parts.own.flights == before
        assert await payments.rows("SELECT due_at > now() FROM payment_service.payment_attempts") == [(True,)]
        payments.parts.pipeline._resume_at = 0.0
        await payments.reaches(order_id, "captured")
        await comes_to(lambda: asked_for(payments), set())


async def test_an_answer_waits_to_be_recorded_for_longer_than_its_lease(settings):
    async with at_work(patient(settings, lease=timedelta(seconds=0.01)), loops=False) as payments:
        order_id = await asked_and_not_recorded(payments)
        await asyncio.sleep(0.1)
        assert len(payments.parts.own.out) == 1

        payments.parts.pipeline._resume_at = 0.0

        await payments.reaches(order_id, "captured")


async def test_a_flight_that_ends_leaves_alone_what_is_out_again_in_another(settings, brisk):
    over = asyncio.Event()

    async def answers_one(asked):
        yield [Said(asked[0].key, Answer(outcome=Outcome.UNKNOWN))]
        await over.wait()

    async with at_work(patient(settings), loops=False) as payments:
        payments.parts.own.provider.charge, payments.parts.own.provider.find = answers_one, never
        for _ in range(2):
            await payments.asked()
        await charging.step(payments.parts)
        [flight] = payments.parts.own.flights
        await comes_to(lambda: out(payments), 1)
        await payments.rows(DUE_NOW)
        await charging.step(payments.parts)
        assert await out(payments) == 2

        over.set()
        await asyncio.wait([flight])

        [(in_doubt,)] = await payments.rows("SELECT key FROM payment_service.payment_attempts WHERE tries = 1")
        assert set(payments.parts.own.out) == {in_doubt}


async def asked_and_not_recorded(payments):
    order_id = await payments.asked("tok_ok")
    payments.parts.pipeline._resume_at = asyncio.get_running_loop().time() + 3600
    await charging.step(payments.parts)
    await comes_to(lambda: payments.net(order_id), 2598)
    return order_id


async def test_an_unknown_refund_is_looked_up_before_it_is_sent_again(settings):
    async with at_work(patient(settings), loops=False) as payments:
        order_id = await payments.asked("tok_ok")
        await charging.step(payments.parts)
        await payments.reaches(order_id, "captured")
        await payments.give_back(order_id)
        [(key, charge_key)] = await payments.rows(
            "UPDATE payment_service.refunds SET claimed = true, status = 'unknown' RETURNING key, charge_key"
        )
        books = payments.parts.own.provider.simulator.books
        await books.refund([Return(key=key, charge_key=charge_key, amount=2598)])

        await charging.step(payments.parts)

        await payments.reaches(order_id, "reversed")
        assert await payments.booked("SELECT amount FROM provider.refunds") == [(2598,)]


async def test_the_books_return_no_more_than_was_charged(settings):
    async with at_work(patient(settings), loops=False) as payments:
        order_id = await payments.asked("tok_ok")
        await charging.step(payments.parts)
        await payments.reaches(order_id, "captured")
        [(key,)] = await payments.booked("SELECT key FROM provider.charges")
        asked = [Return(key=f"ref:{n}", charge_key=key, amount=2000) for n in range(2)]

        replies = await payments.parts.own.provider.simulator.books.refund(
            [*asked, Return(key="ref:2", charge_key="pay:none", amount=1)]
        )

        assert [(reply.status, reply.code) for reply in replies.values()] == [
            ("succeeded", None),
            ("refused", "refund_exceeds_charge"),
            ("refused", "charge_unknown"),
        ]
        assert await payments.net(order_id) == 598


async def test_the_database_refuses_a_second_live_charge_and_refunds_beyond_the_capture(settings):
    async with at_work(patient(settings), loops=False) as payments:
        await payments.asked("tok_ok")

        with pytest.raises(Exception, match="one_live_attempt"):
            await payments.rows(
                "INSERT INTO payment_service.payment_attempts (payment_id, attempt, order_id, method, amount, currency,"
                " key, status, due_at, tries, correlation_id)"
                " SELECT payment_id, 2, order_id, method, amount, currency, 'k', status, due_at, 0, ''"
                " FROM payment_service.payment_attempts"
            )
        with pytest.raises(Exception, match="refunds_within_captured"):
            await payments.rows("UPDATE payment_service.payments SET refund_reserved = 1")


async def test_the_database_refuses_a_part_of_a_capture_and_a_second_entry_under_one_key(settings):
    async with at_work(settings) as payments:
        await payments.reaches(await payments.asked("tok_ok"), "captured")

        with pytest.raises(Exception, match="captured_whole_or_not"):
            await payments.rows("UPDATE payment_service.payments SET captured = captured - 1")
        with pytest.raises(Exception, match="ledger_pkey"):
            await payments.rows("INSERT INTO payment_service.ledger SELECT * FROM payment_service.ledger")


async def test_the_service_cannot_read_the_providers_books(settings):
    async with at_work(patient(settings), loops=False) as payments:
        with pytest.raises(Exception, match="permission denied for schema provider"):
            await payments.rows("SELECT * FROM provider.charges")


@pytest.mark.parametrize(("tries", "least", "most"), [(0, 0.4, 0.6), (1, 0.8, 1.2), (3, 3.2, 4.8), (50, 24, 36)])
def test_asking_again_waits_longer_each_time(tries, least, most):
    waits = [charging.again_after(tries).total_seconds() for _ in range(50)]

    assert least <= min(waits) <= max(waits) <= most
    assert len(set(waits)) > 1


async def test_a_provider_whose_books_are_away_says_nothing(settings):
    async with at_work(patient(settings), loops=False) as payments:
        provider = payments.parts.own.provider
        await provider.simulator.books._database.close()

        [said] = [said async for said in provider.find(["pay:x:1"])]

        assert [(it.key, it.answer.outcome) for it in said] == [("pay:x:1", Outcome.UNKNOWN)]
