"""The routes by other methods and other spellings: nothing is there that the document does not tell of."""

import asyncio
import re
from collections import Counter

import httpx2
import pytest

from chassis.openapi import operations
from contracts.types import Role
from tests.support.guarded_shop import GuardedShop

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X")
SAMPLE = "0"


@pytest.fixture(scope="module")
async def paths(shop: GuardedShop) -> dict[str, dict[str, bool]]:
    """By path: the methods of its operations, and whether they need a token."""
    known: dict[str, dict[str, bool]] = {}
    for path, method, operation in operations(await shop.document()):
        known.setdefault(path, {})[method.upper()] = bool(operation.get("security"))
    return known


async def _asked(shop: GuardedShop, method: str, path: str, **headers: str) -> httpx2.Response:
    return await shop.client.request(method, httpx2.URL(f"http://shop.example{path}"), headers=headers)


def _filled(path: str) -> str:
    return "/".join(SAMPLE if word.startswith("{") else word for word in path.split("/"))


async def test_a_method_that_is_not_in_the_document_is_not_there(shop: GuardedShop, paths: dict[str, dict[str, bool]]):
    admin = await shop.somebody(Role.ADMIN)
    known = [(method, re.sub(r"{\w+}", "[^/]+", path)) for path, methods in paths.items() for method in methods]
    others = [
        (method, filled)
        for filled in map(_filled, paths)
        for method in METHODS
        if not any(method == verb and re.fullmatch(pattern, filled) for verb, pattern in known)
    ]

    answers = await asyncio.gather(*(_asked(shop, m, path, **admin.authorized) for m, path in others))

    found = Counter((answer.status_code, answer.headers["content-type"]) for answer in answers)
    assert found.keys() == {(405, "application/problem+json")}


SPELLINGS = {
    "a slash more": lambda path: f"{path}/",
    "two slashes": lambda path: path.replace("/api/v1/", "/api/v1//"),
    "two slashes before it": lambda path: f"/{path}",
    "a dot": lambda path: path.replace("/api/v1/", "/api/v1/./"),
    "a dot that is encoded": lambda path: path.replace("/api/v1/", "/api/v1/%2e/"),
    "up and down again": lambda path: path.replace("/api/v1/", "/api/v1/products/../"),
    "up and down again, encoded": lambda path: path.replace("/api/v1/", "/api/v1/products/%2e%2e/"),
    "a slash that is encoded": lambda path: path.replace("/api/v1/", "/api%2fv1%2f"),
    "a letter that is encoded": lambda path: path.replace("/api/v1/", "/%61pi/v1/"),
    "encoded twice": lambda path: path.replace("/api/v1/", "/%2561pi/v1/"),
    "in capitals": str.upper,
    "a parameter of the path": lambda path: f"{path};a=b",
    "NUL at the end": lambda path: f"{path}%00",
    "an ending": lambda path: f"{path}.json",
    "a space at the end": lambda path: f"{path}%20",
    "a line break at the end": lambda path: f"{path}%0d%0aX-A:%20b",
    "a backslash": lambda path: path.replace("/api/v1/", "/api/v1/%5c"),
    "another version": lambda path: path.replace("/v1/", "/v2/"),
    "without the version": lambda path: path.replace("/api/v1/", "/"),
    "another method in the query": lambda path: f"{path}?_method=GET&access_token=x",
}
CLAIMS = {
    "X-HTTP-Method-Override": "GET", "X-Forwarded-User": "admin", "X-User-Id": "usr_0", "X-Role": "admin",
    "X-Original-URL": "/api/v1/products", "Forwarded": "for=127.0.0.1", "Cookie": "access_token=x; session=x",
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_no_spelling_of_a_path_opens_what_needs_a_token(
    shop: GuardedShop, paths: dict[str, dict[str, bool]], spelling: str
):
    closed = [(m, _filled(p)) for p, known in paths.items() for m, needs_token in known.items() if needs_token]

    spelled = [(method, SPELLINGS[spelling](path)) for method, path in closed]
    answers = await asyncio.gather(*(_asked(shop, method, path, **CLAIMS) for method, path in spelled))

    told = Counter(answer.status_code for answer in answers)
    assert told.keys() <= {401, 404}
    assert len(closed) > 40
