"""`events`: the outboxes of all services as one stream, exported as CloudEvents, and told again."""

import json
import signal
from datetime import UTC, datetime, timedelta

import pytest
from cloudevents.core.formats.json import JSONFormat

from chassis.event_log import PAGE, Selection
from chassis.ids import new_id, typeid
from contracts.envelope import encode
from contracts.orders import OrderCreated, OrderShipped
from contracts.stock import StockReleased
from contracts.types import OrderedLine, OrderId, UserId
from ordermill import event_stream, inside, retelling
from tests.service.ordermill.conftest import started
from tests.support.envelopes import enveloped

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ADD = """
    INSERT INTO {}.outbox (id, topic, events, count, created_at, published_at) VALUES ($1, $2, $3, $4, $5, $5)
"""
MANY = """
    INSERT INTO order_service.outbox (id, topic, events, count, created_at)
    SELECT gen_random_uuid(), 'order.created', $1, 1, $3::timestamptz + n * interval '1 s'
    FROM generate_series(1, $2::int) n
"""
UNPUBLISHED = "SELECT id FROM {}.outbox WHERE published_at IS NULL ORDER BY created_at, id"


@pytest.fixture
def tell(ask):
    """A parcel in the outbox of its teller, published, so many seconds after noon."""

    async def tell(second, *events, service="order_service", at=None):
        at = at or NOON + timedelta(seconds=second)
        envelopes = [enveloped(event, at=at, source=service) for event in events]
        parcel = envelopes[0].id
        await ask(
            ADD.format(service),
            parcel, events[0].topic, encode(envelopes).decode(), len(events), at,
        )  # fmt: skip
        return parcel

    return tell


def created(order=None):
    lines = (OrderedLine(line_no=1, sku="MUG", quantity=1),)
    return OrderCreated(order_id=OrderId(order or new_id()), customer_id=UserId(new_id()), lines=lines)


def released(order=None):
    return StockReleased(order_id=OrderId(order or new_id()))


def shipped():
    return OrderShipped(order_id=OrderId(new_id()), shipments=())


async def test_the_last_events_of_all_services_are_shown_in_the_order_of_time(ordermill, tell):
    events = [created(), released(), created(), shipped()]
    for second, event in reversed(list(enumerate(events))):
        service = "inventory_service" if isinstance(event, StockReleased) else "order_service"
        await tell(second, event, service=service)

    shown = (await ordermill("events", "tail", "-n", "3", "-o", "json")).lines
    table = await ordermill("events", "tail", "--service", "inventory_service")
    nothing = await ordermill("events", "tail", "-n", "0")

    assert [event["subject"] for event in shown] == [typeid("ord", event.order_id) for event in events[1:]]
    assert shown[1]["data"]["customer_id"] == typeid("usr", events[2].customer_id)
    [line] = table.out.splitlines()
    assert line.split()[:3] == ["2026-01-01T12:00:01Z", "inventory_service", "stock.released"]
    assert typeid("ord", events[1].order_id) in line
    assert nothing == (0, "", "")


async def test_the_events_about_one_order_are_picked_out_of_their_parcels(ordermill, tell):
    mine, other = created(), created()
    await tell(0, other, mine)
    await tell(1, released(mine.order_id), service="inventory_service")
    await tell(2, created())

    for order in (typeid("ord", mine.order_id), str(mine.order_id)):
        shown = (await ordermill("events", "export", "--order", order, "--since", "2026-01-01")).lines
        assert [(event["type"], event["subject"]) for event in shown] == [
            ("order.created", mine.subject), ("stock.released", mine.subject),
        ]  # fmt: skip


async def test_an_order_is_not_looked_for_before_it_was_placed(ordermill, tell):
    mine = created()
    await tell(0, mine)
    await tell(0, mine, at=datetime.now(UTC))

    assert len((await ordermill("events", "tail", "--order", str(mine.order_id), "-o", "json")).lines) == 1


async def test_an_export_is_cloud_events_a_line_each_the_oldest_first(ordermill, tell):
    events = [created(), released(), created(), created()]
    await tell(3, events[3])
    await tell(0, events[0])
    await tell(1, events[1], service="inventory_service")
    await tell(2, events[2])

    exported = await ordermill("events", "export")
    some = await ordermill("events", "export", "--since", "2026-01-01T12:00:01", "--until", "2026-01-01T12:00:03Z")
    topic = await ordermill("events", "export", "--topic", "stock.released")

    read = [JSONFormat().read(None, line) for line in exported.out.splitlines()]
    assert [each.get_subject() for each in read] == [event.subject for event in events]
    assert {each.get_specversion() for each in read} == {"1.0"}
    assert [each.get_source() for each in read[:2]] == ["/order_service", "/inventory_service"]
    assert [each.get_time() for each in read] == [NOON + timedelta(seconds=second) for second in range(4)]
    assert read[1].get_data() == {"order_id": str(events[1].order_id)}
    assert [event["subject"] for event in some.lines] == [event.subject for event in events[1:3]]
    assert [event["type"] for event in topic.lines] == ["stock.released"]


async def test_an_export_may_have_the_ids_of_the_api(ordermill, tell):
    event = created()
    await tell(0, event)

    [seen] = (await ordermill("events", "export", "--api-ids")).lines

    order = typeid("ord", event.order_id)
    assert (seen["subject"], seen["data"]["order_id"]) == (order, order)
    assert seen["data"]["lines"] == [{"line_no": 1, "sku": "MUG", "quantity": 1}]


async def test_who_finds_no_events_is_told_what_was_looked_for(ordermill):
    order = typeid("ord", new_id())

    assert await ordermill("events", "tail") == (0, "", "there are no events\n")
    assert (await ordermill("events", "tail", "--order", order)).err == f"there are no events (order {order})\n"
    assert await ordermill("events", "export", "--topic", "stock.low", "--since", "2026-01-01") == (
        0, "", "there are no events (topic stock.low, since 2026-01-01T00:00:00.000000Z)\n",
    )  # fmt: skip


async def test_of_an_export_no_more_than_a_page_is_held(tell, told, ask):
    body = encode([enveloped(created(), at=NOON)]).decode()
    await ask(MANY, body, PAGE + 50, NOON)

    async with inside.databases(told) as databases:
        stream = event_stream.exported(databases, Selection())
        first = await anext(stream)
        await ask("DELETE FROM order_service.outbox")
        rest = [event async for event in stream]

    assert first["type"] == "order.created"
    assert len(rest) == PAGE - 1


async def test_a_reader_that_leaves_ends_an_export_without_a_word(told, tell):
    await tell(0, *(created() for _ in range(90)))
    for second in range(30):
        await tell(second, *(created() for _ in range(90)))
    process = await started("events", "export")

    await process.stdout.readline()
    process._transport.get_pipe_transport(1).close()

    assert await process.stderr.read() == b""
    assert await process.wait() == 0


async def test_what_is_followed_comes_once_though_it_is_committed_late(told, tell):
    await tell(0, created(), at=datetime.now(UTC))
    async with inside.databases(told) as databases:
        follower = event_stream.Follower(databases, Selection(topics=["order.created"]))
        await follower.start()
        nothing = await follower.look()
        late, now = created(), created()
        await tell(0, now, at=datetime.now(UTC))
        first = await follower.look()
        await tell(0, late, at=datetime.now(UTC) - timedelta(seconds=15))
        await tell(0, shipped(), at=datetime.now(UTC))
        second, third = await follower.look(), await follower.look()

    assert [[event["subject"] for event in events] for events in (nothing, first, second, third)] == [
        [], [now.subject], [late.subject], [],
    ]  # fmt: skip


async def test_following_goes_on_until_ctrl_c(told, tell):
    before, after = created(), created()
    await tell(0, before)
    process = await started("events", "tail", "-f", "-n", "1", "-o", "json")

    first = json.loads(await process.stdout.readline())
    await tell(0, after, at=datetime.now(UTC))
    second = json.loads(await process.stdout.readline())
    process.send_signal(signal.SIGINT)

    told = [typeid("ord", each.order_id) for each in (before, after)]
    assert [first["subject"], second["subject"]] == told
    assert await process.wait() == 130
    assert await process.stderr.read() == b""


async def test_a_replay_tells_what_a_service_has_not_handled(ordermill, tell, ask):
    handled, unheard, parked, discarded = [await tell(second, created()) for second in range(4)]
    await tell(4, shipped())
    await ask("INSERT INTO inventory_service.inbox (message_id) VALUES ($1)", handled)
    await ask(
        "INSERT INTO inventory_service.deferred (message_id, index, topic, subject, body, attempts, not_before,"
        " last_error, state) VALUES ($1, -1, 'order.created', 'order.created', '', 0, now(), 'x', 'parked')",
        parked,
    )
    await ask(
        "INSERT INTO inventory_service.acts (id, actor, act, message_id, index, topic, cause, body, note)"
        " VALUES ($1, 'cli:ann', 'discard', $1, -1, 'order.created', 'x', '', 'x')",
        discarded,
    )

    told = await ordermill("events", "replay", "--to", "inventory_service", "--note", "lost")

    assert (told.code, told.err) == (0, "1 parcels are told again\n")
    assert await ask(UNPUBLISHED.format("order_service")) == [(unheard,)]
    assert await ask("SELECT act, message_id, cause, note FROM order_service.acts") == [
        ("replay", unheard, "to inventory_service", "lost")
    ]


async def test_a_replay_may_be_of_chosen_parcels_an_order_or_what_was_handled(ordermill, tell, ask):
    first, second, third = created(), created(), created()
    parcels = [await tell(number, one) for number, one in enumerate((first, second, third))]
    await ask("INSERT INTO inventory_service.inbox (message_id) SELECT unnest($1::uuid[])", parcels)

    async def replay(*words):
        said = await ordermill("events", "replay", "--to", "inventory_service", *words)
        assert (said.code, said.out) == (0, "")
        told = await ask(UNPUBLISHED.format("order_service"))
        await ask("UPDATE order_service.outbox SET published_at = now()")
        return [row[0] for row in told]

    assert await replay("--handled", str(parcels[1])) == [parcels[1]]
    assert await replay("--handled", typeid("evt", parcels[2])) == [parcels[2]]
    assert await replay("--handled", "--order", str(first.order_id), "--since", "2026-01-01") == [parcels[0]]
    assert await replay("--handled", "--topic", "order.created", "--since", "2026-01-01T12:00:01Z") == parcels[1:]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["replay", "--to", "nobody"], 2, "There is no service named nobody"),
        (["replay", "--to", "auth_service", "--topic", "order.created"], 1, "It listens to: nothing"),
        (["tail", "--topic", "order.made"], 2, "There is no topic named order.made. Choose from: notification.dead,"),
        (["tail", "--service", "nobody"], 2, "Choose from: auth_service, inventory_service"),
        (["tail", "--order", "ord_1"], 2, "is no order"),
        (["replay", "--to", "order_service", "evt_1"], 2, "is no parcel; write it like evt_"),
        (["export", "--since", "yesterday"], 2, "is no time"),
        (["republish", "orders"], 2, "products"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_mend(ordermill, words, code, said):
    refused = await ordermill("events", *words)

    assert refused.code == code
    assert said in " ".join(refused.err.replace("│", " ").split())


async def test_a_replay_needs_the_listeners_database(ordermill, told, monkeypatch):
    monkeypatch.delenv("ORDERMILL_DATABASE_URL")
    monkeypatch.setenv("ORDERMILL_ORDER_SERVICE_DATABASE_URL", told["ORDERMILL_DATABASE_URL"])

    refused = await ordermill("events", "replay", "--to", "inventory_service")

    assert refused.err.splitlines()[-1] == "→ Set ORDERMILL_INVENTORY_SERVICE_DATABASE_URL"


async def test_products_are_told_again_page_by_page_and_noted_once(ordermill, ask):
    await ordermill("seed", "--products", "120")
    await ask("UPDATE inventory_service.outbox SET published_at = now()")

    said = await ordermill("events", "republish", "products", "--note", "a replica was lost")

    assert (said.code, said.err) == (0, "120 products are told again\n")
    assert await ask(
        "SELECT count FROM inventory_service.outbox WHERE published_at IS NULL AND topic = 'product.upserted'"
        " ORDER BY created_at"
    ) == [(100,), (20,)]
    assert await ask("SELECT act, message_id, topic, note FROM inventory_service.acts") == [
        ("republish", None, "product.upserted", "a replica was lost")
    ]


async def test_an_empty_replica_asks_for_the_products_when_the_schemas_are_migrated(ordermill, ask, shop_database):
    told_again = "SELECT sum(count) FROM inventory_service.outbox WHERE topic = 'product.upserted'"
    acts = "SELECT actor, act FROM inventory_service.acts"
    empty = await ordermill("upgrade")
    nothing = await ask(acts)
    await ordermill("seed", "--products", "3")

    first = await ordermill("upgrade", "--service", "order_service")

    assert (empty.code, first.code, nothing) == (0, 0, [])
    assert await ask(told_again) == [(6,)]
    assert await ask(acts) == [("migration", "republish")]
    await ask("INSERT INTO order_service.products SELECT sku, name, 1, 'EUR', true, 1 FROM inventory_service.products")
    await ordermill("upgrade")
    assert await ask(told_again) == [(6,)]


async def test_a_replica_whose_filling_was_interrupted_asks_for_the_products_that_it_lacks(ordermill, ask, tell):
    await ordermill("seed", "--products", "3")
    [(first,), *rest] = await ask("SELECT sku FROM inventory_service.products ORDER BY sku")
    await ask("INSERT INTO order_service.products VALUES ($1, 'heard before', 1, 'EUR', true, 1)", first)
    await ask("DELETE FROM inventory_service.outbox")

    ended = await ordermill("upgrade", "--service", "order_service")

    assert ended.code == 0
    [(events,)] = await ask("SELECT events FROM inventory_service.outbox WHERE topic = 'product.upserted'")
    assert sorted((event["subject"],) for event in json.loads(events)) == rest


async def test_what_a_lost_queue_held_is_told_again_by_the_same_function(tell, ask, shop_database):
    handled, unheard = await tell(0, created()), await tell(1, created())
    await ask("INSERT INTO inventory_service.inbox (message_id) VALUES ($1)", handled)

    await retelling.tell_lost(shop_database, {"inventory_service": ("order.created",), "auth_service": ()})

    assert await ask(UNPUBLISHED.format("order_service")) == [(unheard,)]
    assert await ask("SELECT actor, message_id, cause FROM order_service.acts") == [
        ("topology", unheard, "to inventory_service, whose queue is new")
    ]
