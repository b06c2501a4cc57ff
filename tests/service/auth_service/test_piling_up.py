"""What one account leaves behind has a bound, and what reads, lists or erases it reads no more than it has to."""

import asyncio
import json
from datetime import timedelta

import pytest

from auth_service import erasing, forgetting
from auth_service.domain.api_key import CreateApiKey
from auth_service.domain.lately import TooOften
from auth_service.domain.user import Asker
from auth_service.store.api_keys import _COUNT
from auth_service.store.sessions import _LATEST
from tests.support.auth_service import DAY

BODY = {"name": "till 3", "scopes": ["orders:read"]}
MADE = """
    INSERT INTO auth_service.api_keys
        (id, user_id, digest, hint, name, scopes, created_at, expires_at, last_used_at, revoked_at)
    SELECT gen_random_uuid(), u.id, sha256(convert_to(gen_random_uuid()::text, 'UTF8')), 'sk_abcd', 'a till',
        '["orders:read"]', now() - $3::interval, now() + interval '90 days', $4, now() - $3::interval
    FROM auth_service.users u, generate_series(1, $2::int) WHERE u.email = $1
"""
BEGAN = """
    INSERT INTO auth_service.sessions
        (id, user_id, generation, current, client, created_at, refreshed_at, expires_at, ended_at, ending)
    SELECT gen_random_uuid(), u.id, 1, '', 'a client', now() - $3::interval, now() - $3::interval,
        now() + interval '30 days', now() - $3::interval, 'logout'
    FROM auth_service.users u, generate_series(1, $2::int) WHERE u.email = $1
"""
ANN = "ann@shop.test"
MINUTES_50 = timedelta(minutes=50)
LEFT = """
    SELECT (SELECT count(*) FROM auth_service.api_keys WHERE name <> 'erased'),
        (SELECT count(*) FROM auth_service.sessions s JOIN auth_service.users u ON u.id = user_id
            WHERE erased_at IS NOT NULL AND client IS NOT NULL)
"""


@pytest.fixture
async def ann(shop):
    return await shop.customer()


async def create(shop, signed_in):
    return await shop.http.post("/api/v1/auth/api-keys", json=BODY, headers=signed_in.headers)


async def revoke(shop, signed_in, key):
    await shop.http.delete(f"/api/v1/auth/api-keys/{key['id']}", headers=signed_in.headers)


async def made_before(shop, number, ago=timedelta(hours=23), used=None):
    """Ann's keys that were revoked as soon as they were made."""
    await shop.sql(MADE, ANN, number, ago, used)


async def revocations(shop):
    return (await shop.parts.peers["auth_service"].get("/internal/revocations")).json()["ended"]


async def test_a_hundred_keys_a_day_are_made_and_revoked_and_then_no_more(shop, ann):
    await made_before(shop, 99)
    last = (await create(shop, ann)).json()
    await revoke(shop, ann, last)

    refused = await create(shop, ann)

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600
    assert await shop.sql("SELECT count(*) FROM auth_service.api_keys") == [(100,)]
    assert (await create(shop, await shop.customer("bob@shop.test"))).status_code == 201
    await shop.sql("UPDATE auth_service.api_keys SET created_at = created_at - interval '1 hour'")
    assert (await create(shop, ann)).status_code == 201


async def test_of_keys_that_are_asked_for_at_once_no_more_are_made(shop, ann):
    await made_before(shop, 97)
    [(user_id, session_id)] = await shop.sql("SELECT user_id, id FROM auth_service.sessions")
    asked = [
        CreateApiKey(
            by=Asker(user_id, session_id), digest=b"%d" % number, hint="sk_", name="x", scopes=("a",), lasts=DAY
        )
        for number in range(10)
    ]

    made = await asyncio.gather(*map(shop.parts.pipeline.submit, asked), return_exceptions=True)

    assert sum(isinstance(one, TooOften) for one in made) == 7
    assert await shop.sql("SELECT count(*) FROM auth_service.api_keys") == [(100,)]


async def test_a_hundred_sign_ins_an_hour_and_then_no_more(shop, ann):
    await shop.sql(BEGAN, ANN, 98, MINUTES_50)
    assert (await shop.login()).status_code == 200

    refused = await shop.login()

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 500 < int(refused.headers["Retry-After"]) <= 600
    assert await shop.sql("SELECT count(*) FROM auth_service.sessions") == [(100,)]
    await shop.register("bob@shop.test")
    assert (await shop.login("bob@shop.test")).status_code == 200
    await shop.sql("UPDATE auth_service.sessions SET created_at = created_at - interval '10 minutes'")
    assert (await shop.login()).status_code == 200


async def test_a_session_that_is_refreshed_too_often_is_refused_and_goes_on_later(shop, ann):
    await shop.sql("UPDATE auth_service.sessions SET refreshes = 99, refreshed_at = created_at")
    newest = (await shop.refresh(ann.tokens["refresh_token"])).json()["refresh_token"]

    refused = await shop.refresh(newest)

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600
    assert await shop.sql("SELECT count(*) FROM auth_service.refresh_tokens") == [(2,)]
    await shop.sql("UPDATE auth_service.sessions SET created_at = now() - interval '1 hour', refreshed_at = created_at")
    assert (await shop.refresh(newest)).status_code == 200
    assert await shop.sql("SELECT refreshes FROM auth_service.sessions") == [(1,)]


async def test_who_works_for_the_shop_signs_in_for_each_command(shop):
    await shop.admin()
    await shop.sql(BEGAN, "root@shop.test", 100, MINUTES_50)

    assert (await shop.login("root@shop.test")).status_code == 200


async def test_who_has_very_many_keys_and_sessions_is_erased_a_page_after_the_other(shop, ann):
    key = (await create(shop, ann)).json()["api_key"]
    await made_before(shop, 2500)
    await shop.sql(BEGAN, ANN, 2500, DAY)
    root = await shop.admin()

    erased = await shop.http.delete(f"/api/v1/users/{ann.user['id']}", headers=root.headers)

    assert erased.status_code == 204
    assert await shop.sql(LEFT) == [(1500, 1501)]  # besides 2,500 there are a key that worked and her own session
    exchanged = await shop.http.post("/api/v1/auth/api-keys/exchange", json={"api_key": key})
    assert exchanged.json()["code"] == "token_invalid"
    await shop.sql("UPDATE auth_service.users SET erase_again_at = now() WHERE erase_again_at IS NOT NULL")
    told = "SELECT count(*) FROM auth_service.outbox WHERE topic = 'user.erased'"
    assert await erasing.step(shop.parts) is True
    assert await shop.sql(told) == [(1,)]
    assert await erasing.step(shop.parts) is False
    assert await shop.sql(LEFT) == [(0, 0)]
    assert await shop.sql(told) == [(2,)]


async def test_a_page_waits_for_nobody_and_what_it_left_is_overwritten_before_the_others_are_told_again(shop, ann):
    root = await shop.admin()
    await shop.http.delete(f"/api/v1/users/{ann.user['id']}", headers=root.headers)
    await shop.sql(BEGAN.replace("u.email = $1", "u.erased_at IS NOT NULL AND $1::text <> ''"), ANN, 1, DAY)
    await shop.sql("UPDATE auth_service.users SET erase_again_at = now() WHERE erase_again_at IS NOT NULL")
    told = "SELECT count(*) FROM auth_service.outbox WHERE topic = 'user.erased'"

    async with shop.parts.database.transaction() as tx:
        await tx.sql("SELECT FROM auth_service.sessions FOR UPDATE")
        async with asyncio.timeout(5):
            assert await erasing.step(shop.parts) is False
        assert await shop.sql(told) == [(1,)]

    assert await erasing.step(shop.parts) is False
    assert [await shop.sql(LEFT), await shop.sql(told)] == [[(0, 0)], [(2,)]]


async def test_a_key_that_has_no_token_which_may_be_good_is_not_among_what_has_ended(shop, ann):
    [(now,)] = await shop.sql("SELECT now()")
    await made_before(shop, 3, timedelta(minutes=1))  # never used
    await made_before(shop, 5, timedelta(minutes=1), now - timedelta(minutes=5))
    await made_before(shop, 7, timedelta(minutes=4), now - timedelta(minutes=4))
    await revoke(shop, ann, (await create(shop, ann)).json())
    assert await revocations(shop) == []

    await made_before(shop, 2, timedelta(seconds=5), now - timedelta(seconds=70))

    assert len(await revocations(shop)) == 2


async def test_of_a_disabled_account_only_keys_are_listed_that_worked_until_then(shop, ann):
    await made_before(shop, 100, DAY)
    old, used, _unused = [(await create(shop, ann)).json() for _ in range(3)]
    for key in (old, used):
        await shop.http.post("/api/v1/auth/api-keys/exchange", json={"api_key": key["api_key"]})
    await shop.sql(
        "UPDATE auth_service.api_keys SET last_used_at = last_used_at - interval '3 minutes' WHERE hint = $1",
        old["hint"],
    )
    root = await shop.admin()

    await shop.http.patch(f"/api/v1/users/{ann.user['id']}", json={"disabled": True}, headers=root.headers)

    listed = await revocations(shop)
    keys = await shop.sql("SELECT id::text FROM auth_service.api_keys WHERE hint = $1", used["hint"])
    own = await shop.sql(
        "SELECT s.id::text FROM auth_service.sessions s JOIN auth_service.users u ON u.id = user_id "
        "WHERE disabled_at IS NOT NULL"
    )
    assert sorted(listed) == sorted(id_ for (id_,) in keys + own)


async def test_a_revoked_key_is_forgotten_after_the_day_in_which_it_counts(shop, ann):
    await made_before(shop, 3, timedelta(hours=25))
    await made_before(shop, 2)
    await create(shop, ann)

    assert await forgetting.step(shop.parts) is False

    assert await shop.sql("SELECT count(*) FROM auth_service.api_keys") == [(3,)]


def reads(plan):
    """The names of the indices that a plan reads, and of the tables that it reads whole."""
    whole = plan["Relation Name"] if plan["Node Type"] == "Seq Scan" else None
    return {plan.get("Index Name", whole)} - {None} | {one for part in plan.get("Plans", ()) for one in reads(part)}


@pytest.mark.parametrize(
    ("statement", "read"),
    [(_COUNT, {"api_keys_that_work", "api_keys_of_user"}), (_LATEST, {"sessions_of_user_by_time"})],
)
async def test_who_counts_the_keys_or_sign_ins_of_one_reads_nobody_elses(shop, ann, statement, read):
    for number in range(10):
        await shop.register(f"ann{number}@shop.test")
        await shop.sql(MADE, f"ann{number}@shop.test", 1000, DAY, None)
        await shop.sql(BEGAN, f"ann{number}@shop.test", 1000, DAY)
    async with shop.parts.database.transaction() as tx:
        await tx.sql("UPDATE auth_service.api_keys SET revoked_at = NULL WHERE get_byte(digest, 0) < 128")
        await tx.sql("ANALYZE auth_service.api_keys, auth_service.sessions")
        await tx.sql("SET LOCAL plan_cache_mode = force_generic_plan")
        await tx.sql(f"PREPARE counted(uuid[]) AS {statement}")
        [[plan]] = await tx.sql("EXPLAIN (FORMAT JSON) EXECUTE counted(ARRAY[gen_random_uuid()])")
        await tx.sql("DEALLOCATE counted")

    assert reads(json.loads(plan)[0]["Plan"]) == read
