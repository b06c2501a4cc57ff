"""`ordermill audit`: one line a promise, rows where one is broken, and an exit code."""

import json

import pytest

from chassis.ids import new_id, typeid
from ordermill.audit import INVARIANTS
from ordermill.errors import Exit
from tests.support.database import as_role


@pytest.fixture
def told(day, tmp_path):
    """What clients were told, in a file; a further order that was promised stands in `lost.jsonl`."""

    def write(name, *orders):
        lines = [
            json.dumps({"order_id": typeid("ord", o), "customer_id": typeid("usr", c), "key": k}) for o, c, k in orders
        ]
        file = tmp_path / name
        file.write_text("\n".join([*lines, ""]))
        return str(file)

    write("lost.jsonl", *day.told, (new_id(), new_id(), "lost"))
    return write("told.jsonl", *day.told)


async def test_a_shop_that_keeps_its_promises_has_one_line_for_each(day, ordermill, told):
    code, out, err = await ordermill(
        "audit", "--only", "S1", "--only", "O1", "--told", told, url=as_role(day.url, "auditor")
    )

    assert (code, err) == (0, "")
    header, *lines = [line.split() for line in out.splitlines()]
    assert header == ["id", "state", "ms", "promise"]
    assert [(id_, state) for id_, state, *_ in lines] == [("S1", "ok"), ("O1", "ok")]
    assert lines[0][3:] == INVARIANTS["S1"].promise.split()


async def test_a_broken_promise_shows_its_rows_and_ends_with_its_own_code(shop, ordermill):
    # given
    await shop.sql("UPDATE inventory_service.stock SET on_hand = on_hand + 1")
    await shop.changes_now()

    # when
    code, out, err = await ordermill("audit", "--always", "--recent", url=as_role(shop.url, "auditor"))

    # then
    assert code == Exit.AUDIT_BROKEN == 9
    assert "S1  broken by 4" in out
    assert 'S1  {"sku": "MUG-RED", "warehouse": "main"' in out
    assert err == "S1: broken.\n→ See what became of an order: ordermill orders trace ORDER\n"


POISON = """UPDATE order_service.orders SET lines = '[{{"sku": "LAMP", "quantity": "ESC"}}]' WHERE id = '{confirmed}'"""


async def test_what_one_service_has_written_keeps_no_promise_of_another_from_being_asked(shop, ordermill):
    # given
    before = {verdict.invariant.id for verdict in await shop.audit()}
    await shop.sql(POISON.replace("ESC", r"a\u001b[31m").format(**shop.orders))

    # when
    code, out, err = await ordermill("audit", url=as_role(shop.url, "auditor"))
    _, data, _ = await ordermill("audit", "-o", "json", url=as_role(shop.url, "auditor"))

    # then
    states = {line.split()[0]: line for line in out.splitlines()[1:]}
    unasked = {id_ for id_, line in states.items() if "cannot be asked: invalid input syntax for type" in line}
    assert code == Exit.AUDIT_BROKEN
    assert states.keys() == before
    assert unasked == {each["id"] for each in json.loads(data) if each["unasked"]} != set()
    assert not {"S1", "P1", "N1"} & unasked
    assert "\x1b" not in out + err
    assert err.splitlines()[0].endswith(f"{', '.join(id_ for id_ in states if id_ in unasked)}: cannot be asked.")


async def test_what_all_promises_are_given_is_looked_for_by_each_where_one_value_cannot_be_read(shop, ordermill):
    # given
    await shop.sql("UPDATE order_service.kept SET days = -2147483648")

    # when
    only = [word for id_ in ("S1", "E4", "P1") for word in ("--only", id_)]
    code, out, err = await ordermill("audit", *only, url=as_role(shop.url, "auditor"))

    # then
    states = [line.split()[:2] for line in out.splitlines()[1:]]
    assert code == Exit.AUDIT_BROKEN
    assert states == [["S1", "ok"], ["P1", "ok"], ["E4", "cannot"]]
    assert err == "E4: cannot be asked.\n→ Look in the services' tables for the value that is named above.\n"


async def test_many_rows_are_cut_for_a_person_and_counted(shop, ordermill):
    # given
    await shop.sql(
        """INSERT INTO order_service.deferred
               (message_id, index, topic, subject, body, attempts, not_before, last_error, state)
           SELECT gen_random_uuid(), n, 'stock.reserved', 'x', '[]', 1, now(), 'KeyError', 'deferred'
           FROM generate_series(1, 7) n"""
    )

    # when
    _, out, _ = await ordermill("audit", "--only", "E7", url=as_role(shop.url, "auditor"))

    # then
    assert out.count('E7  {"service"') == 5
    assert out.endswith("E7  … 2 more\n")


async def test_an_order_that_was_promised_and_is_not_there_is_shown_as_data(day, ordermill, told, tmp_path):
    lost = str(tmp_path / "lost.jsonl")

    code, out, _ = await ordermill(
        "audit", "--only", "O1", "--told", lost, "-o", "json", url=as_role(day.url, "auditor")
    )

    [verdict] = json.loads(out)
    assert code == 9
    assert verdict["broken"][0]["key"] == "lost"
    assert {name: verdict[name] for name in ("id", "kind", "ok", "count")} == {
        "id": "O1", "kind": "always", "ok": False, "count": 1,
    }  # fmt: skip


async def test_what_is_under_way_can_be_left_out(shop, ordermill):
    # given
    await shop.sql("UPDATE order_service.orders SET refunded_total = 1 WHERE id = '{confirmed}'".format(**shop.orders))  # noqa: S608 -- our own words
    url = as_role(shop.url, "auditor")

    # then
    assert (await ordermill("audit", "--only", "P5", url=url))[0] == 9
    assert (await ordermill("audit", "--only", "P5", "--rest", "10m", url=url))[0] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("{", "says nothing of an order"),
        ('{"order_id": "ord_1", "customer_id": "usr_1", "key": "k"}', "says nothing of an order"),
        ('{"order_id": 1}', "says nothing of an order"),
        ("[]", "says nothing of an order"),
    ],
)
async def test_a_file_that_says_nothing_is_refused(day, ordermill, tmp_path, content, said):
    file = tmp_path / "said.jsonl"
    if content is not None:
        file.write_text(content)

    code, out, err = await ordermill("audit", "--told", str(file), url=as_role(day.url, "auditor"))

    assert (code, out) == (Exit.FAILED, "")
    assert said in err
    assert "→ " in err


def flat(said):
    return " ".join(said.replace("│", " ").split())


async def test_a_promise_that_nobody_made_is_refused(ordermill):
    code, _, err = await ordermill("audit", "--only", "Z9")
    drained = await ordermill("audit", "--only", "S5", "--always")

    assert code == 2
    assert "There is no promise named Z9 to ask for. Choose from: S1, S2, S3, S4, S5" in flat(err)
    assert "There is no promise named S5 to ask for. Choose from: S1, S2, S3, S4, P1" in flat(drained[2])


async def test_without_a_shop_there_is_nothing_to_audit(ordermill):
    code, _, err = await ordermill("audit")

    assert code == Exit.NOT_RUNNING
    assert err.endswith("→ Start it with: make up\n")


async def test_a_database_that_does_not_answer_is_said_to(ordermill):
    code, _, err = await ordermill("audit", url="postgresql://auditor:test@127.0.0.1:1/x")

    assert code == Exit.NOT_RUNNING
    assert err == "PostgreSQL does not answer.\n→ Start the shop with: make up\n"


async def test_a_database_without_the_role_or_the_schemas_is_said_to(postgres, day, ordermill):
    wrong = as_role(day.url, "auditor").replace("auditor:test", "auditor:guessed")
    empty = as_role(postgres, "auditor")

    refused = await ordermill("audit", url=wrong)
    missing = await ordermill("audit", url=empty)

    assert (refused[0], missing[0]) == (Exit.STEP_FAILED, Exit.STEP_FAILED)
    assert refused[2].endswith("→ Make it with: ordermill initdb\n")
    assert missing[2].endswith("→ Bring them there with: ordermill upgrade\n")
