"""Access tokens: what is accepted, what is refused, and what checking them costs."""

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import timedelta
from uuid import UUID

import pytest
from jose import jwk, jws

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

NOW = 1_800_000_000.0
ISSUER = "https://shop.example"
USER = UUID("019a0000-0000-7000-8000-000000000001")
SESSION = UUID("019a0000-0000-7000-8000-000000000002")
CALLER = Caller(USER, Role.CUSTOMER, SESSION)
PAIR = KeyPair.new()
OTHER = KeyPair.new()
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


def signed(claims, pair=PAIR, headers=None):
    return jws.sign(claims, pair.signer, headers={"kid": pair.kid, **(headers or {})}, algorithm="ES256")


def b64(data):
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def mac(algorithm, secret, hashed=hashlib.sha512):
    """A token with an HMAC: that of SHA-512 is as long as a signature of ES256."""
    message = f"{b64({'alg': algorithm, 'kid': PAIR.kid})}.{b64(CLAIMS)}"
    return f"{message}.{b64(hmac.new(secret, message.encode(), hashed).digest())}"


def public_pem():
    return jwk.construct(dict(PAIR.public_jwk), "ES256").to_pem()


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


def forged():
    head, body, signature = a_token().split(".")
    kid = PAIR.kid
    yield "not a jwt", "hello"
    yield "two dots alone", ".."
    yield "no signature", f"{head}.{body}."
    yield "a signature of zeros", f"{head}.{body}.{'A' * 86}"
    yield "another body", f"{head}.{b64({**CLAIMS, 'role': 'admin'})}.{signature}"
    yield "junk that base64 ignores", f"{head}.{body}.{signature[:40]}!{signature[41:]}"
    yield "characters beyond ASCII", f"{head}.{body}.{'é' * 86}"
    yield "oversized", signed({**CLAIMS, "pad": "x" * 4096})
    yield "alg none", f"{b64({'alg': 'none', 'kid': kid})}.{body}."
    yield "alg none with a signature", f"{b64({'alg': 'none', 'kid': kid})}.{body}.{signature}"
    for name, secret in {
        "PEM": public_pem(),
        "JWK": json.dumps(PAIR.public_jwk).encode(),
        "DER": base64.b64decode(b"".join(public_pem().splitlines()[1:-1])),
        "nothing": b"",
    }.items():
        yield f"HS256 with {name}", mac("HS256", secret, hashlib.sha256)
        yield f"HS512 with {name}", mac("HS512", secret)
        yield f"ES256 said, HMAC with {name}", mac("ES256", secret)
    yield "signed by another key under our kid", signed(CLAIMS, OTHER, {"kid": kid})
    yield "signed by an unknown key", signed(CLAIMS, OTHER)
    yield "its own key in the header", signed(CLAIMS, OTHER, {"kid": kid, "jwk": dict(OTHER.public_jwk)})
    yield "its own key by url", signed(CLAIMS, OTHER, {"jku": "https://evil.example/jwks.json"})
    yield "no kid", f"{b64({'alg': 'ES256'})}.{body}.{signature}"
    for odd in (None, 7, ["a"], {"a": 1}, "../../etc/passwd", "' OR 1=1"):
        yield f"kid {odd!r}", signed(CLAIMS, PAIR, {"kid": odd})
    yield "a header that is a list", f"{b64(['ES256'])}.{body}.{signature}"
    yield "a header that is nested too deep", f"{b64(b'[' * 2000)}.{body}.{signature}"
    yield "a body that is no JSON", jws.sign(b"hello", PAIR.signer, {"kid": kid}, "ES256")
    yield "a body that is a list", jws.sign(b"[1]", PAIR.signer, {"kid": kid}, "ES256")
    for name in CLAIMS:
        if name != "scope":
            yield f"without {name}", signed({k: v for k, v in CLAIMS.items() if k != name})
    for name, value in {
        "aud": "another-shop",
        "iss": "https://evil.example",
        "typ": "refresh",
        "role": "root",
        "sub": "ses_01k8000000e008000000000001",
        "sid": "usr_01k8000000e008000000000002",
        "exp": "9999999999",
        "iat": None,
        "jti": 1,
        "scope": ["orders:read"],
    }.items():
        yield f"{name} is {value!r}", signed({**CLAIMS, name: value})
    yield "several audiences", signed({**CLAIMS, "aud": ["ordermill", "another-shop"]})


FORGED = dict(forged())


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
