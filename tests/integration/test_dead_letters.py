"""What kills a process and what the broker gives up, on a real RabbitMQ: parked alone, and nobody with it."""

import asyncio
import sys
from contextlib import asynccontextmanager

import aio_pika
import pytest
from loguru import logger

from chassis import consumer as chassis_consumer
from chassis.app import opened
from chassis.broker import dead_letters_of, exchange_of, given_up_of
from chassis.consumer import Consumer
from chassis.dead_letters import DeadLetters
from chassis.ids import marked_id, new_id
from chassis.tasks import forever, running
from contracts.accounts import UserErased
from contracts.envelope import encode
from contracts.types import UserId
from ordermill.setup import definitions
from ordermill.state import State
from tests.integration.conftest import TOPICS
from tests.support.dying_worker import DEADLY
from tests.support.envelopes import enveloped
from tests.support.eventually import eventually
from tests.support.ledger import SERVICE, refunded

DEAD = dead_letters_of(SERVICE)
BALANCES = "SELECT balance FROM $S.accounts ORDER BY balance"
PARKED = "SELECT index, state, attempts, last_error FROM $S.deferred ORDER BY index"
GIVEN_UP = "dead-lettered by the broker: delivery_limit"


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(chassis_consumer, "CHECK", 0.05)


@pytest.fixture
def sees(rows):
    async def sees(statement, *expected, within=60):
        async def so():
            return await rows(statement) == list(expected)

        await eventually(so, within=within)

    return sees


@pytest.fixture
async def strict(broker, tmp_path):
    """The ledger's queue has the policy of a service's, but gives a parcel up that comes back a second time."""
    [policy] = [each for each in definitions(State.open(tmp_path))["policies"] if each["name"] == "order_service"]
    given_up = {"delivery-limit": 1, "dead-letter-exchange": given_up_of(SERVICE)}
    limits = {f"x-{name}": value for name, value in (policy["definition"] | given_up).items()}
    await broker.channel.queue_delete(SERVICE)
    await (await broker.channel.get_queue(DEAD)).purge()
    queue = await broker.channel.declare_queue(SERVICE, durable=True, arguments={"x-queue-type": "quorum", **limits})
    for topic in TOPICS:
        await queue.bind(exchange_of("payment_service"), topic)
    broker.queue = queue
    yield broker
    await broker.channel.queue_delete(SERVICE)


@pytest.fixture
def working(parts, cable):
    """The consumer, and the pipeline behind it."""

    @asynccontextmanager
    async def working():
        async with opened(parts):
            consumer = Consumer(SERVICE, cable.url, parts.database, parts.pipeline, parts.work)
            run = forever("consumer", consumer.run, longest_pause=0.2)
            async with running(parts.pipeline.run()), running(run):
                await eventually(lambda: consumer.consuming)
                yield

    return working


async def given_up(broker, *facts, **given):
    """Tells a parcel that comes back until the broker gives it up."""
    parcel = await broker.tell(*facts, **given)
    for _ in range(2):
        await (await broker.take()).nack(requeue=True)
    await eventually(lambda: holds(broker, 1))
    return parcel


async def holds(broker, count):
    return await broker.waiting(DEAD) == count


async def test_what_the_broker_gave_up_is_drained_and_parked(strict, working, sees):
    parcel = await given_up(strict, refunded(amount=1), refunded(amount=2))

    async with working():
        await sees(PARKED, (0, "parked", 1, GIVEN_UP), (1, "parked", 1, GIVEN_UP))
        await sees("SELECT message_id FROM $S.inbox", (parcel,))
        await eventually(lambda: holds(strict, 0))

    assert await strict.waiting(DEAD) == 0
    await sees(BALANCES)


async def test_what_was_given_up_and_cannot_be_read_is_parked_as_a_whole(strict, working, rows, sees):
    await given_up(strict, body=b"{", topic="refund.succeeded")

    async with working():
        await sees("SELECT index, state, topic, body FROM $S.deferred", (-1, "parked", "refund.succeeded", "{"))

    [(cause,)] = await rows("SELECT last_error FROM $S.deferred")
    assert cause.splitlines()[0] == GIVEN_UP
    assert "Invalid JSON" in cause


async def test_what_was_given_up_under_another_services_id_takes_nothing_from_that_one(strict, working, sees):
    heard = marked_id(new_id(), "payment_service")
    await strict.queue.bind(exchange_of("payment_service"), "user.erased")
    await given_up(strict, UserErased(user_id=UserId(new_id()), locale="en"), parcel=heard)

    async with working():
        await sees("SELECT topic FROM $S.deferred", ("user.erased",))
        await strict.tell(refunded(amount=1), parcel=heard)
        await sees(BALANCES, (1,))


async def test_what_was_handled_and_then_given_up_changes_nothing(strict, working, sees):
    fact = refunded(amount=1)
    async with working():
        parcel = await strict.tell(fact)
        await sees(BALANCES, (1,))
    await given_up(strict, fact, parcel=parcel)
    await strict.channel.default_exchange.publish(aio_pika.Message(b"?", message_id=str(parcel)), DEAD)

    async with working():
        await eventually(lambda: holds(strict, 0))
        await strict.tell(refunded(amount=2))
        await sees(BALANCES, (1,), (2,))

    await sees("SELECT 1 FROM $S.deferred")
    assert await strict.waiting(DEAD) == 0


async def test_what_somebody_put_there_by_hand_is_parked_too(strict, working, sees):
    await strict.channel.default_exchange.publish(aio_pika.Message(b"?"), DEAD)

    async with working():
        await sees(
            "SELECT index, topic, split_part(last_error, E'\\n', 1) FROM $S.deferred",
            (-1, DEAD, "dead-lettered by the broker: put there by hand"),
        )


async def test_what_a_publisher_says_of_its_death_does_not_make_a_message_another_services(strict, working, sees):
    said = {"queue": SERVICE, "reason": "expired", "count": 2**62, "exchange": "x", "routing-keys": ["user.erased"]}
    message = aio_pika.Message(
        encode([enveloped(refunded())]), message_id=str(new_id()), expiration=0.001, headers={"x-death": [said]}
    )
    exchange = await strict.channel.get_exchange(exchange_of("payment_service"))
    await exchange.publish(message, "refund.succeeded")
    await eventually(lambda: holds(strict, 1))

    async with working():
        await sees("SELECT topic, index, attempts < 3, state FROM $S.deferred", ("refund.succeeded", 0, True, "parked"))


@pytest.fixture
def in_vain():
    """The tries to keep something that failed, as they are logged."""
    lines = []
    sink = logger.add(lines.append, filter=lambda record: record["message"].startswith("cannot defer now"))
    yield lines
    logger.remove(sink)


async def test_a_dead_letter_is_not_acknowledged_before_it_is_parked(strict, parts, cable, sees, in_vain):
    await given_up(strict, refunded())
    async with opened(parts):
        await parts.database.close()
        consumer = Consumer(SERVICE, cable.url, parts.database, parts.pipeline, parts.work)
        async with running(forever("consumer", consumer.run, longest_pause=0.2)):
            await eventually(lambda: in_vain)
            cable.cut()
        await eventually(lambda: holds(strict, 1))

        await parts.database.open()
        async with running(forever("consumer", consumer.run, longest_pause=0.2)):
            await sees(PARKED, (0, "parked", 1, GIVEN_UP))
            await eventually(lambda: holds(strict, 0))

    await sees(PARKED, (0, "parked", 1, GIVEN_UP))
    assert await strict.waiting(DEAD) == 0


class DyingWorker:
    """A worker that is started again whenever it dies; it dies of one event as long as ``deadly`` is there."""

    def __init__(self, url, broker_url, deadly):
        self.argv = [sys.executable, "-m", "tests.support.dying_worker", url, broker_url, str(deadly)]
        self.deadly = deadly
        self.deaths = []

    @asynccontextmanager
    async def running(self):
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.DEVNULL}
        process = await asyncio.create_subprocess_exec(*self.argv, **pipes)
        try:
            async with running(self._count(process.stdout)):
                yield
        finally:
            process.terminate()
            await process.wait()

    async def _count(self, lines):
        async for line in lines:
            self.deaths.append(int(line))


@pytest.fixture
def worker(broker, service_url, tmp_path):
    deadly = tmp_path / "deadly"
    deadly.touch()
    return DyingWorker(service_url, broker.url, deadly)


@pytest.fixture
def retry(database):
    async def retry(key):
        async with database.transaction() as tx:
            return await DeadLetters(SERVICE).retry(tx, [key], "cli:ann")

    return retry


async def test_an_event_that_kills_its_process_is_parked_at_the_third_start_and_nobody_with_it(
    broker, worker, sees, retry
):
    parcel = await broker.tell(refunded(amount=1), refunded(amount=DEADLY), refunded(amount=2))
    await broker.tell(refunded(amount=3))

    async with worker.running():
        await broker.tell(refunded(amount=4))
        await sees("SELECT index, state, attempts, careful FROM $S.deferred", (1, "parked", 3, True), within=120)
        await sees(BALANCES, (1,), (2,), (3,), (4,))
        assert worker.deaths == [137] * 3

        worker.deadly.unlink()
        assert await retry((parcel, 1)) == [(parcel, 1)]
        await sees(BALANCES, (1,), (2,), (3,), (4,), (DEADLY,))
        await sees("SELECT 1 FROM $S.deferred")
        assert worker.deaths == [137] * 3

    assert await broker.waiting() == 0


async def test_an_event_that_goes_on_killing_is_parked_again_when_it_is_retried(worker, rows, sees, retry):
    parcel, fact = new_id(), refunded(amount=DEADLY)
    await rows(
        "INSERT INTO $S.deferred (message_id, index, topic, subject, body, attempts, not_before, last_error, state, "
        "careful) VALUES ($1, 0, $2, $3, $4, 3, now(), 'died', 'parked', true) RETURNING 1",
        parcel, fact.topic, fact.subject, encode([enveloped(fact)]).decode(),
    )  # fmt: skip

    async with worker.running():
        await retry((parcel, 0))
        await sees("SELECT state, attempts FROM $S.deferred", ("parked", 5), within=120)

    assert worker.deaths[:1] == [137]
    await sees(BALANCES)
