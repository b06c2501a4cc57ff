"""Access tokens: what is accepted, what is refused, and what checking them costs."""

import asyncio
import hashlib
import json
from datetime import timedelta
from uuid import UUID

import pytest
from jose import jws

from chassis.tokens import (
    Caller,
    KeyPair,
    KeysUnavailable,
    Role,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    Verifier,
    issue,
)
from tests.support.forgeries import OTHER, b64, forgeries

NOW = 1_800_000_000.0
ISSUER = "https://shop.example"
USER = UUID("019a0000-0000-7000-8000-000000000001")
SESSION = UUID("019a0000-0000-7000-8000-000000000002")
CALLER = Caller(USER, Role.CUSTOMER, SESSION)
PAIR = KeyPair.new()
CLAIMS = {
    "iss": ISSUER,
    "aud": "ordermill",
    "sub": "usr_01k8000000e008000000000001",
    "sid": "ses_01k8000000e008000000000002",
    "role": "customer",
    "scope": "",
    "typ": "access",
    "jti": "1",
    "iat": int(NOW),
    "exp": int(NOW) + 600,
}


class Keys:
    """A JWKS endpoint that can be rotated and taken down."""

    def __init__(self, *pairs):
        self.pairs = list(pairs)
        self.asked = 0
        self.down = False

    async def fetch(self):
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise OSError
        return {"keys": [pair.public_jwk for pair in self.pairs]}


class Clock:
    def __init__(self, at=NOW):
        self.at = at

    def __call__(self):
        return self.at


def a_verifier(keys=None, clock=None, **given):
    return Verifier((keys or Keys(PAIR)).fetch, issuer=ISSUER, now=clock or Clock(), **given)


def a_token(pair=PAIR, caller=CALLER, issuer=ISSUER, now=NOW, lifetime=timedelta(minutes=10)):
    return issue(pair, caller, issuer=issuer, now=now, lifetime=lifetime)


# --- what is ours


async def test_an_issued_token_names_its_caller_again():
    caller = Caller(USER, Role.ADMIN, SESSION, frozenset({"orders:read", "stock:read"}))

    assert await a_verifier().verify(a_token(caller=caller)) == caller


def test_a_token_carries_exactly_these_claims():
    claims = json.loads(jws.verify(a_token(), dict(PAIR.public_jwk), ["ES256"]))

    assert len(claims.pop("jti")) == 32
    assert claims == {name: value for name, value in CLAIMS.items() if name != "jti"}


def test_no_two_tokens_are_the_same():
    assert a_token() != a_token()


@pytest.mark.parametrize(("role", "works_here"), [(Role.CUSTOMER, False), (Role.STAFF, True), (Role.ADMIN, True)])
def test_staff_and_administrators_work_here(role, works_here):
    assert Caller(USER, role, SESSION).is_staff is works_here


def test_a_caller_acts_under_the_users_typeid():
    assert CALLER.actor == "usr_01k8000000e008000000000001"


# --- keys


def test_the_kid_is_the_thumbprint_of_rfc_7638():
    jwk_of = PAIR.public_jwk
    canonical = f'{{"crv":"P-256","kty":"EC","x":"{jwk_of["x"]}","y":"{jwk_of["y"]}"}}'

    assert PAIR.kid == b64(hashlib.sha256(canonical.encode()).digest())
    assert jwk_of["kid"] == PAIR.kid


def test_the_public_key_holds_nothing_private():
    assert set(PAIR.public_jwk) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert "PRIVATE" not in repr(PAIR)


def test_a_stored_key_is_the_same_key_again():
    assert KeyPair.load(PAIR.private_pem) == PAIR


# --- what is not ours


async def test_no_token_is_a_missing_one():
    with pytest.raises(TokenMissing):
        await a_verifier().verify("")


FORGED = dict(forgeries(PAIR, CLAIMS))


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_token_is_refused(name):
    with pytest.raises(TokenInvalid):
        await a_verifier().verify(FORGED[name])


def test_at_least_forty_forgeries_are_tried():
    assert len(FORGED) >= 40


# --- time


async def test_a_token_is_good_until_the_second_it_expires():
    clock = Clock()
    verifier = a_verifier(clock=clock)
    token = a_token()

    clock.at = NOW + 599.9
    assert await verifier.verify(token) == CALLER
    clock.at = NOW + 600
    with pytest.raises(TokenExpired):
        await verifier.verify(token)
    with pytest.raises(TokenExpired):
        await verifier.verify(token)


# --- what it costs


async def test_a_token_is_checked_once():
    verifier = a_verifier()
    token = a_token()

    first = await verifier.verify(token)

    assert await verifier.verify(token) is first


async def test_the_token_unused_for_longest_is_forgotten_first():
    verifier = a_verifier(size=2)
    kept, forgotten, newest = a_token(), a_token(), a_token()
    first = await verifier.verify(kept)
    second = await verifier.verify(forgotten)
    await verifier.verify(kept)

    await verifier.verify(newest)

    assert await verifier.verify(kept) is first
    assert await verifier.verify(forgotten) is not second


async def test_a_refused_token_is_not_remembered():
    verifier = a_verifier()

    with pytest.raises(TokenInvalid):
        await verifier.verify(FORGED["iss is 'https://evil.example'"])

    assert not verifier._checked


async def test_a_hundred_tokens_at_once_ask_for_the_keys_once():
    keys = Keys(PAIR)
    verifier = a_verifier(keys)

    await asyncio.gather(*(verifier.verify(a_token()) for _ in range(100)))

    assert keys.asked == 1


# --- rotation of keys


async def test_a_new_key_is_fetched_when_a_token_names_it():
    keys, clock = Keys(PAIR), Clock()
    verifier = a_verifier(keys, clock)
    await verifier.verify(a_token())
    keys.pairs.append(OTHER)
    clock.at += 5

    assert await verifier.verify(a_token(OTHER)) == CALLER
    assert await verifier.verify(a_token(PAIR)) == CALLER
    assert keys.asked == 2


async def test_what_was_checked_with_a_key_that_is_gone_is_not_believed_any_more():
    keys = Keys(PAIR, OTHER)
    verifier = a_verifier(keys)
    token, leaked = a_token(), a_token(OTHER)
    for each in (token, leaked):
        await verifier.verify(each)
    keys.pairs.remove(OTHER)

    await verifier._keys.refresh()

    assert verifier.known(leaked) is None
    with pytest.raises(TokenInvalid):
        await verifier.verify(leaked)
    assert await verifier.verify(token) == CALLER


async def test_made_up_kids_do_not_make_us_ask_more_than_each_five_seconds():
    keys, clock = Keys(PAIR), Clock()
    verifier = a_verifier(keys, clock)

    for second in (0, 1, 4.9, 5, 9.9):
        clock.at = NOW + second
        with pytest.raises(TokenInvalid):
            await verifier.verify(a_token(OTHER))

    assert keys.asked == 2


async def test_keys_of_other_algorithms_are_left_alone():
    keys = Keys(PAIR)

    async def fetch():
        return {"keys": [{"kid": "hmac", "kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}, PAIR.public_jwk]}

    keys.fetch = fetch

    assert await a_verifier(keys).verify(a_token()) == CALLER


async def test_without_the_keys_nobody_can_say_whether_a_token_is_good():
    keys, clock = Keys(PAIR), Clock()
    keys.down = True
    verifier = a_verifier(keys, clock)

    for _ in range(3):
        with pytest.raises(KeysUnavailable):
            await verifier.verify(a_token())
    assert keys.asked == 1

    keys.down = False
    clock.at += 0.5
    assert await verifier.verify(a_token()) == CALLER


async def test_known_keys_stay_good_while_auth_service_is_away():
    keys, clock = Keys(PAIR), Clock()
    verifier = a_verifier(keys, clock)
    await verifier.verify(a_token())
    keys.down = True
    clock.at += 5

    with pytest.raises(KeysUnavailable):
        await verifier.verify(a_token(OTHER))

    assert await verifier.verify(a_token()) == CALLER
