"""`dead`: what services have parked, seen by a person; put back and followed, or discarded."""

import asyncio
import json
import os
import signal
import uuid

import pytest

from chassis import worker
from chassis.deferred import Deferred, DeferredEvents
from chassis.ids import new_id, typeid
from chassis.parcels import unreadable
from chassis.tasks import running
from contracts.envelope import encode
from contracts.orders import OrderCreated
from contracts.types import OrderedLine, OrderId, UserId
from ordermill import inside
from ordermill.audit import Kind, Question, audit
from ordermill.errors import Exit, Failure
from ordermill.seeds import at_work
from tests.service.ordermill.conftest import started
from tests.support.envelopes import enveloped
from tests.support.eventually import eventually

RESERVATIONS = "SELECT order_id FROM inventory_service.reservations ORDER BY order_id"
STATES = "SELECT state, count(*) FROM inventory_service.deferred GROUP BY state ORDER BY state"
ACTS = "SELECT act, actor, count(*) FROM inventory_service.acts GROUP BY act, actor ORDER BY act"


@pytest.fixture(autouse=True)
def somebody(monkeypatch):
    monkeypatch.setenv("LOGNAME", "ann")


def an_order(order_id=None):
    """The event of an order that inventory_service rejects: there is no such product."""
    lines = (OrderedLine(line_no=1, sku="NOPE", quantity=1),)
    created = OrderCreated(order_id=OrderId(order_id or new_id()), customer_id=UserId(new_id()), lines=lines)
    return enveloped(created)


@pytest.fixture
async def inventory(told):
    """inventory_service in this process, its runner asleep."""
    async with at_work("inventory_service", told) as parts:
        yield parts


@pytest.fixture
async def awake(inventory):
    """Its runner, too."""

    async def run():
        while True:
            await worker.retry_deferred(inventory)
            await asyncio.sleep(0.02)

    async with running(run()):
        yield


@pytest.fixture
def park(inventory):
    async def park(*envelopes, error="KeyError('x')", service="inventory_service"):
        rows = [
            Deferred(new_id(), 0, one.type, one.subject, encode([one]).decode(), 8, error, parked=True)
            for one in envelopes
        ]
        async with inventory.database.transaction() as tx:
            await DeferredEvents(service).add(tx, rows)
        return [f"{row.message_id}:0" for row in rows]

    return park


async def test_nothing_is_parked_in_a_shop_that_is_well(ordermill):
    assert await ordermill("dead", "list", "-o", "json") == (0, "[]\n", "")
    assert await ordermill("dead", "list") == (0, "", "there are no parked events\n")
    waiting = await ordermill("dead", "list", "--waiting", "--service", "auth_service")
    assert waiting.err == "there are no events that wait for another try (service auth_service)\n"
    assert (await ordermill("dead", "retry", "--all")).out.split() == [
        "put", "back", "0", "settled", "0", "parked", "again", "0", "under", "way", "0",
    ]  # fmt: skip


async def test_what_is_parked_is_listed_by_cause_over_all_services(ordermill, park):
    await park(an_order(), an_order())
    await park(an_order(), error="ValueError('y')", service="order_service")

    listed = (await ordermill("dead", "list", "-o", "json")).json
    table = await ordermill("dead", "list", "--service", "order_service")

    assert [(group["service"], group["topic"], group["count"], group["cause"]) for group in listed] == [
        ("inventory_service", "order.created", 2, "KeyError('x')"),
        ("order_service", "order.created", 1, "ValueError('y')"),
    ]
    refused = await ordermill("dead", "list", "--cause", "nope")
    assert refused.code == 2
    assert f"Choose from: {listed[0]['group']}, {listed[1]['group']}." in " ".join(
        refused.err.replace("│", " ").split()
    )
    assert "ValueError('y')" in table.out
    assert "KeyError" not in table.out


async def test_a_group_is_listed_item_by_item_and_one_item_shown_with_its_event(ordermill, park):
    ids = await park(one := an_order(), an_order(), error="KeyError('x')\nthe whole story")
    [group] = (await ordermill("dead", "list", "-o", "json")).json

    items = (await ordermill("dead", "list", "--cause", group["group"], "-o", "json")).json
    shown = (await ordermill("dead", "show", ids[0], "-o", "json")).json
    read = await ordermill("dead", "show", ids[0].partition(":")[0])
    noted = await ordermill("dead", "show", typeid("evt", uuid.UUID(ids[0].partition(":")[0])))

    assert [item["id"] for item in items] == sorted(ids)
    assert [item["id"] for item in shown["items"]] == ids[:1]
    assert shown["items"][0]["order"] == typeid("ord", one.data.order_id)
    assert shown["items"][0]["event"]["type"] == "order.created"
    assert "the whole story" in read.out
    assert noted == read
    assert '"sku": "NOPE"' in read.out


async def test_an_item_that_is_put_back_is_done_once_and_its_history_says_so(ordermill, park, awake, ask):
    [item] = await park(one := an_order())

    done = await ordermill("dead", "retry", item, "-o", "json")

    assert (done.code, done.json) == (0, {"put_back": 1, "settled": 1, "parked_again": 0, "under_way": 0})
    assert await ask(RESERVATIONS) == [(one.data.order_id,)]
    assert await ask(STATES) == []
    shown = (await ordermill("dead", "show", item, "-o", "json")).json
    assert shown["items"] == []
    assert [(act["actor"], act["act"], act["cause"]) for act in shown["acts"]] == [
        ("cli:ann", "retry", "KeyError('x')")
    ]
    again = await ordermill("dead", "retry", item)
    assert (again.code, again.err) == (
        1,
        "Nothing is parked under that name.\n→ See what is parked with: ordermill dead list\n",
    )
    assert await ask(RESERVATIONS) == [(one.data.order_id,)]


async def test_a_group_is_put_back_and_what_fails_again_is_parked_and_counted(ordermill, park, awake, ask, inventory):
    good = [an_order() for _ in range(3)]
    await park(*good)
    bad = unreadable(str(new_id()), "order.created", b'[{"id": 1}]', "KeyError('x')")
    async with inventory.database.transaction() as tx:
        await inventory.work.deferred.add(tx, [bad])
    [group] = (await ordermill("dead", "list", "-o", "json")).json

    done = await ordermill("dead", "retry", "--cause", group["group"])

    assert done.code == 1
    assert done.err == "1 of 4 failed again and are parked.\n→ See why with: ordermill dead list\n"
    assert [line.split()[-1] for line in done.out.splitlines()] == ["4", "3", "1", "0"]
    assert await ask(RESERVATIONS) == sorted((one.data.order_id,) for one in good)
    [group] = (await ordermill("dead", "list", "-o", "json")).json
    assert "validation errors for list" in group["cause"]
    assert group["count"] == 1


async def test_without_waiting_it_is_put_back_and_no_more(ordermill, park, ask):
    await park(an_order(), an_order())

    done = await ordermill("dead", "retry", "--all", "--no-wait")

    assert (done.code, done.out.split()) == (0, ["put", "back", "2"])
    assert await ask(STATES) == [("deferred", 2)]
    waiting = (await ordermill("dead", "list", "--waiting", "-o", "json")).json
    assert [group["count"] for group in waiting] == [2]


async def test_ctrl_c_leaves_the_rest_parked_and_says_how_far_it_came(told, park, ask):
    """Nobody takes what is put back, so that it stops at the window: two pages of the three."""
    await park(*(an_order() for _ in range(250)))
    process = await started("dead", "retry", "--all", "-o", "json")

    async def are_under_way():
        return await ask(STATES) == [("deferred", 200), ("parked", 50)]

    await eventually(are_under_way)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()

    assert process.returncode == 130
    assert json.loads(out) == {"put_back": 200, "settled": 0, "parked_again": 0, "under_way": 200}
    assert err.decode() == "interrupted; the rest stays parked\n"
    assert await ask(STATES) == [("deferred", 200), ("parked", 50)]
    assert await ask(ACTS) == [("retry", "cli:ann", 200)]


async def test_a_large_group_goes_through_a_window_at_a_time(ordermill, park, awake, ask):
    await park(*(an_order() for _ in range(450)))

    done = await ordermill("dead", "retry", "--all", "-o", "json")

    assert done.json == {"put_back": 450, "settled": 450, "parked_again": 0, "under_way": 0}
    assert len(await ask(RESERVATIONS)) == 450


async def test_on_a_terminal_the_progress_is_shown(told, park, awake):
    await park(an_order())
    terminal, screen = os.openpty()
    process = await started("dead", "retry", "--all", stderr=screen)

    out, _ = await process.communicate()
    os.close(screen)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)

    assert process.returncode == 0
    assert "retrying" in shown
    assert "1/1" in shown
    assert "settled" in out.decode()


async def test_discarding_needs_a_reason_and_a_yes_and_keeps_what_was_said(ordermill, park, ask):
    [item, other] = await park(one := an_order(), an_order())

    unasked = await ordermill("dead", "discard", item, "--note", "a test")
    silent = await ordermill("dead", "discard", item, "--yes")
    done = await ordermill("dead", "discard", item, "--note", "a test", "--yes")

    assert (unasked.code, unasked.err.splitlines()[-1]) == (1, "→ Say that you mean it: --yes")
    assert silent.code == 2
    assert (done.code, done.err) == (0, "1 discarded\n")
    assert await ask("SELECT message_id FROM inventory_service.deferred") == [(uuid.UUID(other[:36]),)]
    [(act, note, body)] = await ask("SELECT act, note, body FROM inventory_service.acts")
    assert (act, note) == ("discard", "a test")
    assert one.subject in body


async def test_on_a_terminal_it_asks_before_it_discards(told, park, ask):
    await park(an_order())
    [(group,)] = await ask("SELECT left(md5('inventory_service|order.created|KeyError(''x'')'), 8)")

    async def answered(letter):
        terminal, keyboard = os.openpty()
        process = await started("dead", "discard", "--cause", group, "--note", "old", stdin=keyboard)
        os.write(terminal, letter)
        _, err = await process.communicate()
        os.close(keyboard)
        os.close(terminal)
        return process.returncode, err.decode()

    refused, agreed = await answered(b"n\n"), await answered(b"y\n")

    assert refused[0] == 1
    assert "Discard 1 for good?" in refused[1]
    assert agreed[0] == 0
    assert agreed[1].endswith("1 discarded\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["retry"], 2, "Name items"),
        (["retry", "--all", "--cause", "x"], 2, "only one"),
        (["retry", "nonsense"], 2, "is no item"),
        (["retry", str(new_id())], 1, "Nothing is parked"),
        (["discard", "--cause", "x", "--note", "y", "--yes"], 1, "Nothing is parked"),
        (["show", str(new_id())], 1, "No service knows such an item"),
        (["list", "--service", "nobody"], 2, "There is no service named nobody"),
        (["list", "--cause", "nope"], 2, "There is no group named nope. Choose from: none."),
    ],
)
async def test_what_cannot_be_is_refused_with_a_mend(ordermill, words, code, said):
    refused = await ordermill("dead", *words)

    assert refused.code == code
    assert said in " ".join(refused.err.replace("│", " ").split())


async def test_who_has_no_name_acts_under_a_number(monkeypatch):
    def nobody():
        raise KeyError("uid not found")

    assert inside.actor() == "cli:ann"
    monkeypatch.setattr(inside.getpass, "getuser", nobody)
    assert inside.actor() == f"cli:{os.getuid()}"


async def test_a_database_that_is_not_there_not_ours_or_not_migrated_is_told(told, shop_database, ask):
    async def listed(**settings):
        async with inside.databases(settings) as databases:
            for database in databases.values():
                async with database.transaction() as tx:
                    await tx.sql("SELECT 1 FROM inventory_service.acts")

    _, _, place = shop_database.rpartition("@")
    with pytest.raises(Failure, match="No setting says") as missing:
        await inside.reaching(listed())
    with pytest.raises(Failure, match="does not answer"):
        await inside.reaching(listed(ORDERMILL_DATABASE_URL="postgresql://nobody@127.0.0.1:1/x"))
    with pytest.raises(Failure, match="PostgreSQL refuses") as foreign:
        await inside.reaching(listed(ORDERMILL_ORDER_SERVICE_DATABASE_URL=f"postgresql://order_service:test@{place}"))
    await ask("DROP TABLE inventory_service.acts")
    with pytest.raises(Failure, match="not up to date"):
        await inside.reaching(listed(ORDERMILL_DATABASE_URL=shop_database))

    assert missing.value.code == Exit.MISSING
    assert "--service" in foreign.value.mend


async def test_what_could_not_be_read_and_was_discarded_is_accounted_for(ordermill, inventory, ask, shop_database):
    parcel, body = new_id(), encode([an_order()])
    question = Question(kinds=frozenset({Kind.DRAINED}), only=("E3",))
    await ask(
        "INSERT INTO order_service.outbox (id, topic, events, count, published_at)"
        " VALUES ($1, 'order.created', $2, 1, now())",
        parcel, body.decode(),
    )  # fmt: skip
    [lost] = await audit(shop_database, question)
    async with inventory.database.transaction() as tx:
        await inventory.work.deferred.add(tx, [unreadable(str(parcel), "order.created", body, "KeyError('x')")])
    [parked] = await audit(shop_database, question)

    await ordermill("dead", "discard", str(parcel), "--note", "sent by a test", "--yes")

    [discarded] = await audit(shop_database, question)
    assert [verdict.count for verdict in (lost, parked, discarded)] == [1, 0, 0]
