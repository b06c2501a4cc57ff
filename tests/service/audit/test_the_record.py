"""`ordermill record`: who did what, from every service's tables that are only added to."""

import json

import pytest

from chassis.ids import new_id, typeid
from ordermill.errors import Exit
from ordermill.record import WHAT
from tests.support.database import as_role

NOTED = """
    INSERT INTO auth_service.security_events (id, what, user_id, actor, note, request_id, created_at)
    VALUES ('{id}', 'role_changed', '{user}', '{actor}', 'customer → staff', 'req', now() + interval '1 min')
"""
REPLAYED = """
    INSERT INTO payment_service.acts (id, actor, act, topic, cause, note)
    VALUES ('{id}', '{actor}', 'republish', 'payment.succeeded', '', 'a service was lost')
"""


async def read(ordermill, shop, *words):
    code, out, err = await ordermill("record", *words, "-n", "1000", "-o", "json", url=as_role(shop.url, "auditor"))
    assert (code, err) == (0, "")
    return json.loads(out)


async def test_what_was_done_in_all_services_is_one_list(ordermill, shop):
    root, user = typeid("usr", new_id()), new_id()
    await shop.sql(NOTED.format(id=new_id(), user=user, actor=root))
    await shop.sql(REPLAYED.format(id=new_id(), actor="cli:ann"))

    done = await read(ordermill, shop)

    assert done[0] == {
        "at": done[0]["at"],
        "service": "auth_service",
        "what": "role_changed",
        "actor": root,
        "note": "customer → staff",
        "about": typeid("usr", user),
    }
    assert [one["at"] for one in done] == sorted((one["at"] for one in done), reverse=True)
    kinds = {(one["service"], one["what"]) for one in done}
    assert kinds >= {
        ("order_service", "cancel_order"),
        ("order_service", "refund_order"),
        ("inventory_service", "adjust_stock"),
        ("payment_service", "republish"),
    }
    refunds = [one for one in done if one["what"] == "refund_order"]
    assert all(one["actor"].startswith("usr_") and one["about"].startswith("ord_") for one in refunds)
    assert any("TEA-GREEN -3 damaged" in one["note"] for one in done)


async def test_it_is_chosen_by_who_did_it_what_it_is_about_and_when(ordermill, shop):
    root, user = typeid("usr", new_id()), new_id()
    await shop.sql(NOTED.format(id=new_id(), user=user, actor=root))
    everything = await read(ordermill, shop)
    refunded = next(one for one in everything if one["what"] == "refund_order")

    assert [one["what"] for one in await read(ordermill, shop, "--actor", root)] == ["role_changed"]
    assert [one["what"] for one in await read(ordermill, shop, "--about", typeid("usr", user))] == ["role_changed"]
    some = await read(ordermill, shop, "--what", "role_changed", "--what", "refund_order")
    assert {one["what"] for one in some} == {"role_changed", "refund_order"}
    assert {one["what"] for one in everything} <= {*WHAT}
    assert all(one["at"][10] == "T" and one["at"].endswith("Z") for one in everything)
    assert refunded in await read(ordermill, shop, "--about", refunded["about"])
    assert await read(ordermill, shop, "--since", "2999-01-01") == []


async def test_for_a_person_it_is_a_table(ordermill, shop):
    code, out, _ = await ordermill("record", "-n", "2", url=as_role(shop.url, "auditor"))

    assert code == 0
    assert out.splitlines()[0].split() == ["at", "service", "what", "actor", "about", "note"]
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--actor", "foo"], "There is no actor named foo. Choose from: "),
        (["--actor", "usr_1"], "There is no actor named usr_1."),
        (["--what", "slept"], "There is no act named slept. Choose from: registered, signed_in,"),
    ],
)
async def test_whom_and_what_nobody_knows_is_said_with_those_there_are(ordermill, shop, words, said):
    code, out, err = await ordermill("record", *words, url=as_role(shop.url, "auditor"))

    assert (code, out) == (2, "")
    assert said in " ".join(err.replace("│", " ").split())


async def test_a_user_who_has_done_nothing_is_told(ordermill, shop):
    user = typeid("usr", new_id())

    said = await ordermill("record", "--actor", user, "--since", "2026-01-01", url=as_role(shop.url, "auditor"))

    assert said == (0, "", f"there are no acts (since 2026-01-01T00:00:00.000000Z, actor {user})\n")


async def test_what_is_no_id_is_said(ordermill, shop):
    code, _, err = await ordermill("record", "--about", "ann", url=as_role(shop.url, "auditor"))

    assert code == 2
    assert "is no id; write it as it is shown" in " ".join(err.split())


async def test_a_wrong_password_is_said_with_its_mend(ordermill, shop):
    nobody = as_role(shop.url, "auditor").replace("auditor:test", "auditor:wrong")

    code, _, err = await ordermill("record", url=nobody)

    assert (code, err.splitlines()[-1]) == (Exit.FAILED, "→ Make the roles with: ordermill initdb")
