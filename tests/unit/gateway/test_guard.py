"""Who may pass the door: by address, by token, by user."""

import json
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from hmac import digest

import pytest
from starlette.responses import JSONResponse

from chassis.boundary import Boundary
from chassis.ids import new_id
from chassis.tokens import Caller, KeyPair, Role, Verifier, issue
from gateway.main import app
from gateway.settings import Settings
from tests.support.gateway import a_client, a_service

ISSUER = "https://ordermill.example"
API_KEY = f"sk_{'a' * 43}"
TABLE = {
    "/.well-known/jwks.json": "auth_service",
    "/api/v1/auth": "auth_service",
    "/api/v1/orders": "order_service",
    "/api/v1/payments": "payment_service",
}


class Keys:
    """What auth_service publishes, and how often it was asked."""

    def __init__(self):
        self.pairs = [KeyPair.new()]
        self.asked = 0
        self.is_away = False
        self.exchanged = []

    def service(self):
        app = a_service("auth_service", "auth/sessions")

        @app.get("/.well-known/jwks.json")
        async def jwks() -> dict[str, object]:
            self.asked += 1
            if self.is_away:
                raise ConnectionError
            return {"keys": [dict(pair.public_jwk) for pair in self.pairs]}

        @app.post("/api/v1/auth/api-keys/exchange")
        async def exchange(asked: dict[str, str]) -> JSONResponse:
            self.exchanged.append(asked["api_key"])
            if asked["api_key"] == API_KEY:
                return JSONResponse({"access_token": self.token(), "expires_in": 45})
            return JSONResponse({"code": "token_invalid", "detail": "No."}, 401)

        return app

    def token(self, pair=None, user_id=None, *, issuer=ISSUER, now=None):
        caller = Caller(user_id or new_id(), Role.CUSTOMER, new_id())
        return issue(pair or self.pairs[0], caller, issuer=issuer, now=now or time.time())


@pytest.fixture
def keys():
    return Keys()


def a_door(keys, **settings):
    services = {
        "auth_service": keys.service(),
        "order_service": a_service(),
        "payment_service": a_service("payment_service", "payments/webhooks/simulated"),
    }
    return app(services, settings=Settings(routes=TABLE, **settings))


def with_token(token):
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_of_ours_passes_and_the_service_gets_it(keys):
    token = keys.token()
    async with a_client(a_door(keys)) as client:
        answers = [await client.get("/api/v1/orders", headers=with_token(token)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert dict(answers[0].json()["headers"])["authorization"] == f"Bearer {token}"
    assert keys.asked == 1


async def test_a_service_is_shown_an_access_token_in_the_place_of_a_key(keys):
    async with a_client(a_door(keys)) as client:
        answers = [await client.get("/api/v1/orders", headers=with_token(API_KEY)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert dict(answers[0].json()["headers"])["authorization"].startswith("Bearer ey")
    assert "sk_" not in answers[0].text
    assert keys.exchanged == [API_KEY]


async def test_a_key_that_does_not_work_is_refused_at_the_door(keys):
    async with a_client(a_door(keys)) as client:
        answer = await client.get("/api/v1/orders", headers=with_token(f"sk_{'b' * 43}"))

    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (401, "token_invalid", "No.")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_guessing_keys_is_counted_before_they_are_looked_up(keys):
    async with a_client(a_door(keys, address_rate="2 per day")) as client:
        tried = [await client.get("/api/v1/orders", headers=with_token(f"sk_{letter * 43}")) for letter in "bcd"]

    assert [answer.status_code for answer in tried] == [401, 401, 429]
    assert len(keys.exchanged) == 2


async def test_who_shows_no_token_is_the_services_business(keys):
    async with a_client(a_door(keys)) as client:
        bare = await client.get("/api/v1/orders")
        other = await client.get("/api/v1/orders", headers={"Authorization": "Basic YTpi"})

    assert [bare.status_code, other.status_code, keys.asked] == [200, 200, 0]


def forged(header, claims, signature):
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signed = b".".join(parts)
    return b".".join([signed, urlsafe_b64encode(signature(signed)).rstrip(b"=")]).decode()


CLAIMS = {"iss": ISSUER, "aud": "ordermill", "role": "admin", "typ": "access", "exp": 9_999_999_999}


def forgeries(keys):
    pair, stranger = keys.pairs[0], KeyPair.new()
    good = keys.token()
    public = json.dumps(dict(pair.public_jwk)).encode()
    hs = forged({"alg": "HS256", "kid": pair.kid}, CLAIMS, lambda signed: digest(public, signed, sha256))
    return [
        "x",
        "a.b.c",
        "sk_unknown",
        good + "x",
        good[:-4] + "AAAA",
        good.rpartition(".")[0] + ".",
        good.rpartition(".")[0] + "." + "A" * 86,
        keys.token(stranger),
        keys.token(issuer="https://evil.example"),
        hs,
        forged({"alg": "none", "kid": pair.kid}, CLAIMS, lambda _: b""),
        forged({"alg": "ES256", "kid": pair.kid}, CLAIMS, lambda _: b"\0" * 64),
        forged({"alg": "ES256", "kid": ["a"]}, CLAIMS, lambda _: b"\0" * 64),
        forged({"alg": "ES256", "jku": "https://evil.example/keys"}, CLAIMS, lambda _: b"\0" * 64),
        good + "x" * 5_000,
    ]


@pytest.mark.parametrize("number", range(15))
async def test_a_token_that_is_none_of_ours_is_refused_at_the_door(keys, number):
    async with a_client(a_door(keys)) as client:
        answer = await client.post("/api/v1/orders", headers=with_token(forgeries(keys)[number]), json={})

    assert [answer.status_code, answer.json()["code"]] == [401, "token_invalid"]
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_there_are_no_forgeries_that_are_not_tried(keys):
    assert len(forgeries(keys)) == 15


async def test_a_token_that_has_expired_is_refused_as_such(keys):
    async with a_client(a_door(keys)) as client:
        answer = await client.get("/api/v1/orders", headers=with_token(keys.token(now=time.time() - 900)))

    assert [answer.status_code, answer.json()["code"]] == [401, "token_expired"]


@pytest.mark.parametrize("path", ["/api/v1/auth/sessions", "/api/v1/payments/webhooks/simulated"])
async def test_who_renews_a_token_or_is_a_provider_may_show_any(keys, path):
    async with a_client(a_door(keys)) as client:
        answer = await client.post(path, headers=with_token("old"), json={})

    assert answer.status_code == 200


async def test_keys_may_change_at_any_time(keys, monkeypatch):
    now = time.time()
    monkeypatch.setitem(Verifier.__init__.__kwdefaults__, "now", lambda: now)
    async with a_client(a_door(keys)) as client:
        before = keys.token()
        first = await client.get("/api/v1/orders", headers=with_token(before))
        keys.pairs.insert(0, KeyPair.new())
        now += 6
        answers = [await client.get("/api/v1/orders", headers=with_token(token)) for token in (keys.token(), before)]

    assert [first.status_code, *(answer.status_code for answer in answers)] == [200, 200, 200]


async def test_without_keys_it_is_not_known_whose_a_token_is(keys):
    keys.is_away = True
    async with a_client(a_door(keys)) as client:
        answer = await client.get("/api/v1/orders", headers=with_token(keys.token()))

    assert [answer.status_code, answer.json()["code"], answer.headers["retry-after"]] == [503, "unavailable", "1"]


async def test_an_address_that_asks_too_often_is_refused_whatever_it_claims_to_be(keys):
    async with a_client(a_door(keys, address_rate="2/day")) as client:
        answers = [
            await client.get(path, headers={"X-Forwarded-For": f"10.0.0.{number}", "Forwarded": f"for=10.0.1.{number}"})
            for number, path in enumerate(("/api/v1/orders", "/livez", "/nowhere"))
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    refused = answers[2]
    assert [refused.json()["code"], refused.json()["retryable"]] == ["rate_limited", True]
    assert refused.headers["ratelimit-policy"] == '"address";q=2;w=86400'
    assert refused.headers["ratelimit"].startswith('"address";r=0;t=')
    assert refused.headers["retry-after"] == refused.headers["ratelimit"].rpartition("=")[2]
    assert answers[0].headers["ratelimit"].startswith('"address";r=1;t=')


async def test_an_address_that_a_trusted_proxy_names_is_the_clients(keys):
    door = a_door(keys, address_rate="1/day", trusted_proxies=("127.0.0.0/8",))
    async with a_client(door) as client:
        answers = [
            await client.get("/api/v1/orders", headers={"X-Forwarded-For": f"6.6.6.6, {address}"})
            for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1")
        ]
        secure = await client.get(
            "/api/v1/orders", headers={"X-Forwarded-For": "10.0.0.3", "X-Forwarded-Proto": "https"}
        )

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert secure.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert "strict-transport-security" not in answers[0].headers


@pytest.mark.parametrize(
    ("client", "said", "place"),
    [
        (("127.0.0.1", 5), [b"6.6.6.6, 10.0.0.1", b"127.0.0.9"], "10.0.0.1"),
        (("127.0.0.1", 5), [b"2001:db8:1:2::9"], "2001:db8:1::/48"),
        (("127.0.0.1", 5), [], "127.0.0.1"),
        (("127.0.0.1", 5), [b""], "127.0.0.1"),
        (("10.0.0.3", 5), [b"6.6.6.6"], "10.0.0.3"),
        (None, [b"6.6.6.6"], ""),
    ],
)
def test_behind_proxies_a_place_is_known_before_a_request_is_passed_on(keys, client, said, place):
    door = a_door(keys, trusted_proxies=("127.0.0.0/8",))

    assert door.place({"client": client, "headers": [(b"x-forwarded-for", each) for each in said]}) == place


async def test_a_user_that_asks_too_often_is_refused_with_whatever_token(keys):
    user = new_id()
    async with a_client(a_door(keys, principal_rate="2/day")) as client:
        answers = [
            await client.get("/api/v1/orders", headers=with_token(keys.token(user_id=user_id)))
            for user_id in (user, user, user, new_id())
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert answers[2].headers["ratelimit-policy"] == '"address";q=1000;w=1, "principal";q=2;w=86400'


async def test_what_a_user_does_to_their_own_account_counts_as_well_and_an_old_token_does_not(keys):
    user = new_id()
    good, old = keys.token(user_id=user), keys.token(user_id=user, now=time.time() - 900)
    async with a_client(a_door(keys, principal_rate="2/day")) as client:
        answers = [
            await client.get("/api/v1/auth/sessions", headers=with_token(token)) for token in (old, good, good, good)
        ]
        renewed = await client.get("/api/v1/auth/sessions", headers=with_token(old))

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert renewed.status_code == 200


async def test_what_is_judged_elsewhere_passes_without_keys_too(keys):
    keys.is_away = True
    async with a_client(a_door(keys)) as client:
        answer = await client.get("/api/v1/auth/sessions", headers=with_token(keys.token()))

    assert answer.status_code == 200


async def test_in_the_local_profile_only_who_signs_in_is_counted(keys):
    async with a_client(a_door(keys, profile="local", address_rate="1/day")) as client:
        answers = [
            await client.get(path)
            for path in ("/api/v1/orders", "/api/v1/orders", "/api/v1/auth/sessions", "/api/v1/auth/sessions")
        ]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "ratelimit" not in answers[0].headers


async def test_limits_can_be_lifted(keys):
    async with a_client(a_door(keys, rate_limits="off", address_rate="1/day")) as client:
        answers = [await client.get("/api/v1/orders", headers=with_token(keys.token())) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert "ratelimit" not in answers[0].headers


async def test_a_refusal_is_a_line_in_the_log_and_its_body_is_not_read(keys):
    read, sent = [], []

    async def receive():
        read.append(1)
        return {"type": "http.request", "body": b"{}"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/orders",
        "query_string": b"",
        "scheme": "http",
        "headers": [(b"content-length", b"2"), (b"content-type", b"application/json"), (b"authorization", b"Bearer x")],
    }
    door = a_door(keys)
    assert isinstance(door._refusals, Boundary)
    await door(scope, receive, send)

    assert [sent[0]["status"], read] == [401, []]
