"""A customer before a door that answers as it is told: what is repeated, what is counted, what contradicts."""

import asyncio
import json
import os
from random import Random

import pytest

from chassis.ids import new_id, typeid
from ordermill.errors import Failure
from ordermill.prove import customers, person, stage
from ordermill.prove.customers import Customer
from ordermill.prove.door import Answer
from ordermill.prove.ledger import Ledger
from ordermill.prove.person import GivenUp, Person

ACCOUNT = {"email": "ada@ordermill.example", "password": "secret"}


def an_order(**given):
    ids = {"id": typeid("ord", new_id()), "customer_id": typeid("usr", new_id())}
    return {**ids, "status": "pending", "payment_status": "pending", **given}


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    monkeypatch.setattr(person, "PAUSES", (0.001, 0.001))
    monkeypatch.setattr(person, "RECONNECTS_AFTER", 0.001)
    monkeypatch.setattr(customers, "LOOKS_EACH", 0.001)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "told.jsonl")


@pytest.fixture
def answers():
    """What the door says to one request after the other; the last one again and again."""
    return []


@pytest.fixture
def asked():
    return []


@pytest.fixture
def customer(ledger, answers, asked):
    class Door:
        async def request(self, method, path, headers, body=None):
            asked.append((method, path, headers))
            status, said = answers.pop(0) if len(answers) > 1 else answers[0]
            if status == 0:
                raise ConnectionRefusedError(said)
            return Answer(status, json.dumps(said).encode())

    return Person(Door(), ledger, ACCOUNT, Random(1))  # noqa: S311


def test_what_clients_were_told_is_nobody_elses_to_read(ledger):
    mask = os.umask(0)
    try:
        ledger.tell(an_order(), "key")
    finally:
        os.umask(mask)

    assert ledger.file.stat().st_mode & 0o777 == 0o600


def only(monkeypatch, course, card="tok_ok"):
    monkeypatch.setattr(customers, "COURSES", ((course, 1, card),))


async def one_order(person):
    customer = Customer(person, ["MUG-RED", "CAP-RED", "PEN-RED"])
    async with asyncio.TaskGroup() as sequels:
        await customer._bear(customer._order(sequels))


async def test_the_same_request_comes_again_with_its_key_until_it_is_answered(customer, ledger, answers, asked):
    answers += [(503, {"code": "unavailable"}), (0, "refused"), (409, {"code": "idempotency_key_in_use"}), (201, {})]

    answer = await customer.post("/orders", {}, key="k1")

    assert answer.status_code == 201
    assert [headers["Idempotency-Key"] for _, _, headers in asked] == ["k1"] * 4
    assert (ledger.tries, dict(ledger.cut)) == (3, {"ConnectionRefusedError": 1})
    assert dict(ledger.answers) == {"503": 1, "409": 1, "201": 1}
    assert ledger.answered == 1.0


async def test_a_try_that_is_not_answered_in_time_is_counted_and_another_one_made(
    customer, ledger, answers, monkeypatch
):
    monkeypatch.setattr(person, "PATIENCE", 0.001)
    monkeypatch.setattr(person, "IN_TIME", 0.02)
    answers += [(0, "refused")]

    with pytest.raises(GivenUp):
        await customer.post("/orders", {}, key="k1")

    assert (ledger.tries, ledger.unanswered, ledger.answered) == (1, 1, 0.0)


async def test_what_no_repetition_changes_is_an_answer(customer, answers):
    answers += [(409, {"code": "order_not_cancellable"})]

    assert (await customer.post("/orders/ord_1/cancel")).status_code == 409
    assert await customer.get("/orders/ord_1") is None


async def test_a_token_that_has_expired_is_renewed_and_the_request_repeated(customer, answers, asked):
    answers += [(200, {"access_token": "a"}), (401, {}), (200, {"access_token": "b"}), (200, {"fine": True})]
    await customer.sign_in()

    assert await customer.get("/orders") == {"fine": True}

    assert [path for _, path, _ in asked] == ["/auth/login", "/orders", "/auth/login", "/orders"]
    assert asked[-1][2]["Authorization"] == "Bearer b"


async def test_whom_nobody_answers_gives_up_and_says_so(customer, ledger, answers, monkeypatch):
    monkeypatch.setattr(person, "PATIENCE", 0.01)
    monkeypatch.setattr(person, "IN_TIME", 0.02)
    answers += [(0, "refused")]

    with pytest.raises(GivenUp, match="GET /orders"):
        await customer.get("/orders")
    await one_order(customer)

    assert [wrong["what"] for wrong in ledger.wrong] == ["nobody answered for 90 s"]


async def test_an_order_that_was_told_is_in_the_file_before_anything_else(customer, ledger, answers, monkeypatch):
    only(monkeypatch, "buys")
    answers += [(201, order := an_order())]

    await one_order(customer)

    [line] = ledger.file.read_text().splitlines()
    assert typeid("ord", ledger.told[0].order_id) == order["id"]
    assert json.loads(line) == {
        "order_id": str(ledger.told[0].order_id),
        "customer_id": str(ledger.told[0].customer_id),
        "key": ledger.told[0].key,
    }
    assert (dict(ledger.acts), ledger.wrong) == ({"buys": 1}, [])


@pytest.mark.parametrize(
    ("course", "again", "what"),
    [
        ("repeats the request", (201, an_order()), "one key, two answers"),
        ("uses the key for something else", (201, an_order()), "one key, two orders"),
        ("buys and follows", (404, {"code": "not_found"}), "an order that was told is not found"),
    ],
)
async def test_what_cannot_both_be_true_is_kept(customer, ledger, answers, monkeypatch, *, course, again, what):
    only(monkeypatch, course)
    answers += [(201, an_order()), again]

    await one_order(customer)

    assert [wrong["what"] for wrong in ledger.wrong] == [what]


async def test_a_refused_order_is_a_contradiction_since_everything_is_on_sale(customer, ledger, answers):
    answers += [(422, {"code": "sku_unknown"})]

    await one_order(customer)

    assert [(wrong["what"], wrong["status"]) for wrong in ledger.wrong] == [("an order was refused", 422)]
    assert ledger.told == []


@pytest.mark.parametrize(
    ("course", "settled", "last"),
    [
        ("cancels a paid order", {"status": "confirmed"}, "/cancel"),
        ("is declined and pays again", {"status": "awaiting_payment", "payment_status": "failed"}, "/payments"),
    ],
)
async def test_what_follows_from_an_order_is_done(
    customer, ledger, answers, asked, monkeypatch, *, course, settled, last
):
    only(monkeypatch, course)
    order = an_order()
    answers += [(201, order), (200, order), (200, {**order, **settled})]

    await one_order(customer)

    assert (asked[-1][0], asked[-1][1]) == ("POST", f"/orders/{order['id']}{last}")
    assert ledger.wrong == []


async def test_servers_that_are_not_its_own_are_never_hurt(tmp_path, monkeypatch):
    monkeypatch.setenv("ORDERMILL_DATABASE_URL", "postgresql://production/")

    with pytest.raises(Failure, match="kills the servers") as refused:
        async with asyncio.timeout(5), stage.a_stage(tmp_path, print):
            pass

    assert refused.value.mend == "Leave out ORDERMILL_DATABASE_URL."
