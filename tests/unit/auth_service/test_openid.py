"""ID tokens: which ones are taken for whom, and which are refused."""

import asyncio
import base64
import hashlib
import hmac
import json
import math

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jose import jwk, jws

from auth_service import openid
from auth_service.openid import OpenIdIssuer
from chassis.keys import ANY, KeyPair, KeysUnavailable, PublishedKeys, TokenInvalid
from chassis.neighbours import DOCUMENT, WITHIN, Bounded
from chassis.tokens import TokenExpired
from tests.support.eventually import eventually

NOW = 1_800_000_000.0
ISSUER = "https://people.example"
PAIR, OTHER = KeyPair.new(), KeyPair.new()
_RSA = rsa.generate_private_key(65537, 2048)
RSA_PEM = _RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
RSA_JWK = {k: v for k, v in jwk.construct(RSA_PEM, "RS256").public_key().to_dict().items() if k != "alg"}
CLAIMS = {
    "iss": ISSUER,
    "aud": "shop",
    "sub": "ann-1",
    "exp": NOW + 300,
    "iat": NOW,
    "email": "Ann@Example.com",
    "email_verified": True,
    "name": " Ann Example ",
}


async def published():
    return {
        "keys": [
            dict(PAIR.public_jwk),
            {**RSA_JWK, "kid": "rsa"},
            {"kid": "hmac", "kty": "oct", "alg": "HS256", "k": "c2VjcmV0"},
            {**RSA_JWK, "kid": "for encryption", "use": "enc"},
        ]
    }


@pytest.fixture
def issuer():
    keys = PublishedKeys(published, now=lambda: NOW, algorithms=frozenset({"ES256", "RS256"}), shape=ANY)
    return OpenIdIssuer(ISSUER, "shop", keys, now=lambda: NOW)


def a_token(pair=PAIR, **changes):
    return pair.sign({name: value for name, value in (CLAIMS | changes).items() if value is not None})


def an_rsa_token(kid="rsa", algorithm="RS256"):
    return jws.sign(CLAIMS, RSA_PEM, headers={"kid": kid}, algorithm=algorithm)


def encoded(thing):
    return base64.urlsafe_b64encode(json.dumps(thing).encode()).decode().rstrip("=")


def forged(algorithm, secret=b"", kid=PAIR.kid):
    head = f"{encoded({'alg': algorithm, 'kid': kid, 'typ': 'JWT'})}.{encoded(CLAIMS)}"
    mac = hmac.new(secret, head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


@pytest.mark.parametrize(
    "token", [a_token(), an_rsa_token(), a_token(aud=["shop"]), a_token(aud=["x", "shop"], azp="shop")]
)
async def test_an_id_token_of_the_issuer_says_who_somebody_is(issuer, token):
    person = await issuer.person(token)

    assert (person.iss, person.sub) == (ISSUER, "ann-1")
    assert (person.address, person.full_name) == ("ann@example.com", "Ann Example")
    assert "xample.com" not in repr(person)


FORGED = {
    "signed with a strange key": a_token(OTHER),
    "of another issuer": a_token(iss="https://people.example.evil"),
    "for another client": a_token(aud="another shop"),
    "for nobody": a_token(aud=[]),
    "for several, issued to another one": a_token(aud=["x", "shop"], azp="x"),
    "for several, issued to nobody": a_token(aud=["x", "shop"]),
    "issued to another one": a_token(azp="x"),
    "without iss": a_token(iss=None),
    "without sub": a_token(sub=None),
    "without aud": a_token(aud=None),
    "without exp": a_token(exp=None),
    "without iat": a_token(iat=None),
    "with an empty sub": a_token(sub=""),
    "with a number as sub": a_token(sub=7),
    "with NUL in its sub": a_token(sub="ann\0"),
    "with words as exp": a_token(exp="never"),
    "without end": a_token(exp=math.inf),
    "from the future": a_token(iat=NOW + 61),
    "for the future": a_token(nbf=NOW + 61),
    "verified by a word": a_token(email_verified="true"),
    "alg none": forged("none"),
    "alg None": forged("None"),
    "HS256 with the public key as secret": forged("HS256", json.dumps(dict(PAIR.public_jwk)).encode()),
    "HS256 with a key that is published for it": forged("HS256", b"secret", "hmac"),
    "RS256 for a key of ES256": forged("RS256", b"", PAIR.kid),
    "with a key for encryption": an_rsa_token("for encryption"),
    "with another algorithm of the same key": an_rsa_token(algorithm="RS512"),
    "without a signature": a_token().rpartition(".")[0] + ".",
    "of two parts": a_token().rpartition(".")[0],
    "oversized": a_token(name="x" * 4096),
    "no token at all": "x",
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_one_says_nothing(issuer, name):
    with pytest.raises(TokenInvalid):
        await issuer.person(FORGED[name])


@pytest.mark.parametrize("token", [a_token(exp=NOW), a_token(iat=NOW - 601)])
async def test_an_old_one_is_not_taken(issuer, token):
    with pytest.raises(TokenExpired):
        await issuer.person(token)


@pytest.mark.parametrize("changes", [{"email_verified": False}, {"email": None}, {"email": "no address"}])
async def test_an_address_that_the_issuer_has_not_verified_is_none(issuer, changes):
    assert (await issuer.person(a_token(**changes))).address is None


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("", None),
        (None, None),
        ("A\0nn", None),
        ("A\x85\x1bnn", None),
        (" Ann\r\nLee ", "Ann Lee"),
        ("x" * 300, "x" * 200),
    ],
)
async def test_a_name_is_kept_where_an_account_can_have_it(issuer, name, kept):
    assert (await issuer.person(a_token(name=name))).full_name == kept


# --- where the keys are


def discovering(told, *, issuer=ISSUER, keys=None, now=lambda: NOW):
    async def answer(request):
        path = str(request.url)
        if path == f"{issuer}/.well-known/openid-configuration":
            return httpx2.Response(200, json=told)
        assert path == told["jwks_uri"]
        return httpx2.Response(200, json=keys or await published())

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    found = OpenIdIssuer.behind(client, issuer, "shop")
    found._now = found._keys._now = now
    return found


@pytest.mark.parametrize("issuer", [ISSUER, "http://localhost:9000"])
async def test_the_issuer_says_where_its_keys_are(issuer):
    found = discovering({"issuer": issuer, "jwks_uri": f"{issuer}/keys"}, issuer=issuer)

    assert (await found.person(a_token(iss=issuer))).sub == "ann-1"


@pytest.mark.parametrize(
    "told",
    [
        {"issuer": "https://evil.example", "jwks_uri": f"{ISSUER}/keys"},
        {"issuer": ISSUER, "jwks_uri": "http://people.example/keys"},
        {"issuer": ISSUER},
        {},
    ],
)
async def test_where_its_document_is_wrong_nobody_can_say_who_somebody_is(told):
    with pytest.raises(KeysUnavailable):
        await discovering(told).person(a_token())


def an_issuer(document):
    told = httpx2.MockTransport(lambda _: httpx2.Response(200, content=document))
    return httpx2.AsyncClient(transport=Bounded(told, DOCUMENT, WITHIN))


async def test_a_document_without_end_is_not_read_to_its_end():
    sent = []

    async def endless():
        while True:
            sent.append(1)
            yield b" " * 65_536

    client = an_issuer(endless())

    with pytest.raises(KeysUnavailable):
        await OpenIdIssuer.behind(client, ISSUER, "shop").person(a_token())

    assert len(sent) <= 20


async def test_documents_that_come_drop_by_drop_keep_nobody_for_long(monkeypatch):
    monkeypatch.setattr(openid, "_READ_WITHIN", 0.01)

    async def drops():
        while True:
            yield b" "
            await asyncio.sleep(0.001)

    client = an_issuer(drops())

    async with asyncio.timeout(30):
        with pytest.raises(KeysUnavailable):
            await OpenIdIssuer.behind(client, ISSUER, "shop").person(a_token())


async def test_a_key_that_the_issuer_has_withdrawn_is_believed_for_five_minutes_at_most():
    # given: an issuer whose first key was used, and is withdrawn while its other one stays
    seconds = [NOW]
    keys = {"keys": [dict(PAIR.public_jwk), dict(OTHER.public_jwk)]}
    told = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
    issuer = discovering(told, keys=keys, now=lambda: seconds[0])
    await issuer.person(a_token())
    del keys["keys"][0]

    # when
    seconds[0] += 299
    within = await issuer.person(a_token())
    seconds[0] += 1

    # then
    with pytest.raises(TokenInvalid):
        await issuer.person(a_token(exp=NOW + 900))
    assert (await issuer.person(a_token(OTHER, exp=NOW + 900))).sub == within.sub == "ann-1"


async def test_keys_that_are_known_stay_good_while_the_issuer_cannot_say_which_it_has():
    seconds, told = [NOW], {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
    issuer = discovering(told, now=lambda: seconds[0])
    await issuer.person(a_token())
    told.clear()

    seconds[0] += 301

    assert (await issuer.person(a_token(exp=NOW + 900))).sub == "ann-1"


# --- an issuer who is silent


class Silent:
    """An issuer that says its keys, and then nothing until it is told to."""

    def __init__(self):
        self.asked, self.seconds, self.speaks = 0, NOW, asyncio.Event()
        self.speaks.set()
        self.keys = PublishedKeys(self.fetch, now=lambda: self.seconds, every=300.0, queue=2)

    async def fetch(self):
        self.asked += 1
        await self.speaks.wait()
        return {"keys": [dict(PAIR.public_jwk)]}

    async def is_known(self, pair):
        """Whether its token is good; "later" where nobody can say now."""
        try:
            await self.keys.payload(a_token(pair))
        except (TokenInvalid, KeysUnavailable) as refusal:
            return "later" if isinstance(refusal, KeysUnavailable) else False
        return True

    def asking(self, pair=OTHER):
        return asyncio.ensure_future(self.is_known(pair))


@pytest.fixture
async def silent():
    """One whose known keys are due, and whom somebody asks."""
    silent = Silent()
    assert await silent.is_known(PAIR)
    silent.speaks.clear()
    silent.seconds += 301
    return silent


async def until_it_is_asked(silent, times=2):
    await eventually(lambda: silent.asked == times)


async def test_whoever_names_a_known_key_does_not_wait_while_another_one_asks(silent):
    asking = silent.asking(PAIR)
    await until_it_is_asked(silent)

    assert await silent.is_known(PAIR)

    silent.speaks.set()
    assert await asking


async def test_few_wait_for_a_silent_issuer_and_the_others_are_told_to_come_again(silent):
    waiting = [silent.asking(), silent.asking()]
    await until_it_is_asked(silent)

    assert await silent.is_known(OTHER) == "later"

    silent.speaks.set()
    assert [await each for each in waiting] == [False, False]
    assert silent.asked == 2


async def test_whoever_asks_and_leaves_leaves_nobody_who_asks_at_once(silent):
    leaving = silent.asking()
    await until_it_is_asked(silent)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    assert (await silent.is_known(OTHER), silent.asked) == ("later", 2)

    silent.seconds += 0.5
    silent.speaks.set()
    assert (await silent.is_known(OTHER), silent.asked) == (False, 3)
