"""Tokens that are not to be believed: what an attacker makes without our key, and what our key signed for others."""

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jose import jwk, jws

from chassis.keys import KeyPair

Claims = Mapping[str, Any]
Forgery = tuple[str, str]
OTHER = KeyPair.new()
EVIL = "https://evil.example"
CURVE = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # the order of P-256


def forgeries(pair: KeyPair, claims: Claims) -> Iterator[Forgery]:
    """Their names, and the tokens: each differs in one thing from a good token of these claims, signed with `pair`."""
    yield from _without_the_key(pair, claims)
    yield from _other_algorithms(pair, claims)
    yield from _other_keys(pair, claims)
    yield from _other_forms(pair, claims)
    yield from _signed_for_others(pair, claims)


def signed(claims: Any, pair: KeyPair, headers: Claims | None = None) -> str:
    return str(jws.sign(claims, pair.signer, headers={"kid": pair.kid, **(headers or {})}, algorithm="ES256"))


def b64(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(signature: str) -> bytes:
    return base64.urlsafe_b64decode(signature + "==")


def _without_the_key(pair: KeyPair, claims: Claims) -> Iterator[Forgery]:
    """A good token's parts, and what can be made of them."""
    head, body, signature = signed(dict(claims), pair).split(".")
    another = signed({**claims, "jti": "2"}, pair).rpartition(".")[2]
    raw = _raw(signature)
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    yield "no signature", f"{head}.{body}."
    yield "a signature of zeros", f"{head}.{body}.{b64(bytes(64))}"
    yield "a signature of r = s = the order of the curve", f"{head}.{body}.{b64(2 * CURVE.to_bytes(32))}"
    yield "a signature that is not below the order", f"{head}.{body}.{b64(bytes([255]) * 64)}"
    yield "the signature of another token", f"{head}.{body}.{another}"
    yield "a signature in DER", f"{head}.{body}.{b64(encode_dss_signature(r, s))}"
    yield "a signature with its halves exchanged", f"{head}.{body}.{b64(raw[32:] + raw[:32])}"
    yield "half a signature", f"{head}.{body}.{b64(raw[:32])}"
    yield "a signature twice", f"{head}.{body}.{signature}{signature}"
    yield "another body", f"{head}.{b64({**claims, 'role': 'admin'})}.{signature}"
    yield "a body with a role twice", f"{head}.{b64(_twice(claims))}.{signature}"
    yield "a body that is compressed", f"{head}.{b64(zlib.compress(json.dumps(dict(claims)).encode()))}.{signature}"
    yield "another header", f"{b64({'alg': 'ES256', 'typ': 'JWT', 'kid': pair.kid})}.{body}.{signature}"


def _twice(claims: Claims) -> bytes:
    return json.dumps(dict(claims))[:-1].encode() + b', "role": "admin"}'


def _other_algorithms(pair: KeyPair, claims: Claims) -> Iterator[Forgery]:
    _, body, signature = signed(dict(claims), pair).split(".")
    for none in ("none", "None", "NONE", "nOnE", "", " none"):
        yield f"alg {none!r}", f"{b64({'alg': none, 'kid': pair.kid})}.{body}."
        yield f"alg {none!r} with a signature", f"{b64({'alg': none, 'kid': pair.kid})}.{body}.{signature}"
    for odd in (None, 256, ["ES256"], "es256", "ES384", "RS256", "PS256", "EdDSA", "dir"):
        yield f"alg {odd!r}", f"{b64({'alg': odd, 'kid': pair.kid})}.{body}.{signature}"
    none_twice = f'{{"alg":"none","alg":"ES256","kid":"{pair.kid}"}}'.encode()
    yield "alg twice, none first", f"{b64(none_twice)}.{body}.{signature}"
    yield "alg twice, none last", f"{b64(none_twice.replace(b'none', b'x').replace(b'ES256', b'none'))}.{body}."
    pem = jwk.construct(dict(pair.public_jwk), "ES256").to_pem()
    for name, secret in {
        "PEM": pem,
        "PEM without its last line break": pem.rstrip(),
        "JWK": json.dumps(dict(pair.public_jwk)).encode(),
        "JWK without spaces": json.dumps(dict(pair.public_jwk), separators=(",", ":")).encode(),
        "DER": base64.b64decode(b"".join(pem.splitlines()[1:-1])),
        "kid": pair.kid.encode(),
        "nothing": b"",
    }.items():
        yield f"HS256 with {name}", _mac(pair, claims, "HS256", secret, "sha256")
        yield f"HS512 with {name}", _mac(pair, claims, "HS512", secret, "sha512")
        yield f"ES256 said, HMAC with {name}", _mac(pair, claims, "ES256", secret, "sha512")


def _mac(pair: KeyPair, claims: Claims, algorithm: str, secret: bytes, hashed: str) -> str:
    """A token with an HMAC: that of SHA-512 is as long as a signature of ES256."""
    message = f"{b64({'alg': algorithm, 'kid': pair.kid})}.{b64(dict(claims))}"
    return f"{message}.{b64(hmac.new(secret, message.encode(), getattr(hashlib, hashed)).digest())}"


def _other_keys(pair: KeyPair, claims: Claims) -> Iterator[Forgery]:
    """Signed well, by somebody else, who says where to look for the key."""
    body = dict(claims)
    _, encoded, signature = signed(body, pair).split(".")
    theirs = {"kid": pair.kid, "jwk": dict(OTHER.public_jwk)}
    yield "signed by another key under our kid", signed(body, OTHER, {"kid": pair.kid})
    yield "signed by an unknown key", signed(body, OTHER)
    yield "its own key in the header", signed(body, OTHER, theirs)
    yield "its own key in the header, and no kid of ours", signed(body, OTHER, {"jwk": dict(OTHER.public_jwk)})
    for name in ("jku", "x5u"):
        yield f"its own key by {name}", signed(body, OTHER, {name: f"{EVIL}/jwks.json"})
        yield f"its own key by {name} under our kid", signed(body, OTHER, {"kid": pair.kid, name: f"{EVIL}/jwks.json"})
    yield "its own certificate", signed(body, OTHER, {"kid": pair.kid, "x5c": ["AAAA"]})
    yield "no kid", f"{b64({'alg': 'ES256'})}.{encoded}.{signature}"
    yield "a kid of 3,000 characters", signed(body, OTHER, {"kid": "x" * 3000})
    yield "our kid and a space", signed(body, pair, {"kid": f"{pair.kid} "})
    yield "our kid and NUL", signed(body, pair, {"kid": f"{pair.kid}\0"})
    yield "our kid in the other case", signed(body, pair, {"kid": pair.kid.swapcase()})
    for odd in (
        None, 7, 1.5, True, ["a"], {"a": 1}, "", " ", "\0", "é", "../../dev/null", "/etc/passwd", "file:///dev/null",
        "' OR 1=1 --", "a' UNION SELECT 'x", f"{EVIL}/key",
    ):  # fmt: skip
        yield f"kid {odd!r}", signed(body, OTHER, {"kid": odd})
        yield f"kid {odd!r} by our key", signed(body, pair, {"kid": odd})


def _other_forms(pair: KeyPair, claims: Claims) -> Iterator[Forgery]:
    body = dict(claims)
    token = signed(body, pair)
    head, encoded, signature = token.split(".")
    yield "not a jwt", "hello"
    yield "two dots alone", ".."
    yield "four parts", f"{token}.{signature}"
    yield "five parts, as if it were encrypted", f"{head}..{encoded}.{signature}.{signature}"
    yield "as JSON", json.dumps({"protected": head, "payload": encoded, "signature": signature})
    yield "a token in a token", signed({"token": token}, pair, {"cty": "JWT"})
    yield "a token as the body", str(jws.sign(token.encode(), pair.signer, {"kid": pair.kid}, "ES256"))
    yield "oversized", signed({**body, "pad": "x" * 4096}, pair)
    yield "junk that base64 ignores", f"{head}.{encoded}.{signature[:40]}!{signature[41:]}"
    yield "padding", f"{head}.{encoded}.{signature}=="
    yield "the other base64", f"{head}.{encoded}.{'+/' * 43}"
    yield "a space within", f"{head}. {encoded}.{signature}"
    yield "a tab within", f"{head}.\t{encoded}.{signature}"
    yield "characters beyond ASCII", f"{head}.{encoded}.{'é' * 86}"
    yield "a header that is a list", f"{b64(['ES256'])}.{encoded}.{signature}"
    yield "a header that is nested too deep", f"{b64(b'[' * 2000)}.{encoded}.{signature}"
    yield "a body that is no JSON", str(jws.sign(b"hello", pair.signer, {"kid": pair.kid}, "ES256"))
    yield "a body that is a list", str(jws.sign(b"[1]", pair.signer, {"kid": pair.kid}, "ES256"))
    yield "a body that is nested too deep", str(jws.sign(b"[" * 2000, pair.signer, {"kid": pair.kid}, "ES256"))
    yield "crit with what nobody knows", signed(body, pair, {"crit": ["exp"], "exp": 1})
    yield "crit with nothing", signed(body, pair, {"crit": []})
    yield "b64 is false", signed(body, pair, {"b64": False, "crit": ["b64"]})
    yield "b64 is false, said to be of no weight", signed(body, pair, {"b64": False})


def _signed_for_others(pair: KeyPair, claims: Claims) -> Iterator[Forgery]:
    """By our own key, but for somebody else, for something else, or for another time."""
    for name in ("iss", "aud", "sub", "sid", "role", "typ", "jti", "iat", "exp"):
        yield f"without {name}", signed({key: value for key, value in claims.items() if key != name}, pair)
    yield "iss with a slash", signed({**claims, "iss": f"{claims['iss']}/"}, pair)
    yield "iss in a list", signed({**claims, "iss": [claims["iss"]]}, pair)
    yield "issued in an hour", signed({**claims, "iat": claims["iat"] + 3600}, pair)
    yield "not before an hour has passed", signed({**claims, "nbf": claims["iat"] + 3600}, pair)
    for name, value in (
        ("aud", "another-shop"), ("aud", "order_service"), ("aud", ""), ("aud", None), ("aud", "Ordermill"),
        ("aud", ["ordermill"]), ("aud", ["ordermill", "another-shop"]), ("aud", {"ordermill": True}),
        ("iss", EVIL), ("iss", ""), ("iss", None),
        ("typ", "refresh"), ("typ", "id"), ("role", "root"), ("role", "ADMIN"), ("role", ["admin"]),
        ("sub", "ses_01k8000000e008000000000001"), ("sub", "usr_"), ("sub", "' OR 1=1 --"), ("sub", None),
        ("sid", "usr_01k8000000e008000000000002"), ("sid", ""),
        ("exp", "9999999999"), ("exp", None), ("exp", True), ("exp", float("inf")), ("exp", [9999999999]),
        ("iat", None), ("iat", "0"), ("nbf", "0"), ("jti", 1), ("scope", ["orders:read"]),
    ):  # fmt: skip
        yield f"{name} is {value!r}", signed({**claims, name: value}, pair)
