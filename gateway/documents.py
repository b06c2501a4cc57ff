"""The one OpenAPI document of the shop, merged from the services' own."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
from loguru import logger

from chassis.health import release
from chassis.openapi import operations
from chassis.problems import Problem
from gateway.routing import PREFIX, Routes

Document = dict[str, Any]
FRESH_FOR = 60.0
PATIENCE = 5.0
_SCHEMAS = "#/components/schemas/"
_INFO = {
    "title": "Ordermill",
    "description": "It takes orders, holds the stock, charges the card, tells the customer, ships, "
    "and gives everything back when something fails.\n\n"
    "A `201` says that something is stored; what becomes of an order, its `status`. What may be sent twice takes an "
    "`Idempotency-Key`, what others may change meanwhile takes `If-Match`, lists come in pages, and each error is a "
    "problem (RFC 9457) with one of [these codes](/docs/errors). The flows, step by step, are in `docs/http.md`.",
}
_SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": f"An access token, from `POST {PREFIX}/auth/login`.",
    },
    "password": {
        "type": "oauth2",
        "description": "Signs in with e-mail address and password.",
        "flows": {"password": {"tokenUrl": f"{PREFIX}/auth/token", "scopes": {}}},
    },
}


class Clash(Exception):
    """Two operations have the same id."""


class Documents:
    """Asks the services for their documents and keeps the merged one for a minute."""

    def __init__(
        self,
        services: Mapping[str, httpx2.AsyncClient],
        routes: Routes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._routes = routes
        self._services = services
        self._clock = clock
        self._told: dict[str, Document] = {}
        self._merged = b""
        self._asked_at = float("-inf")
        self._missing: list[str] = []
        self._asking = asyncio.Lock()

    async def merged(self) -> bytes:
        """The document as JSON. A service that does not answer is shown as it was last seen.

        Raises:
            Problem: unavailable, when a service has never told its document.
        """
        came = self._clock()
        async with self._asking:  # making it takes longer than giving it: who comes meanwhile gets the same
            is_old = not self._merged or came - self._asked_at > FRESH_FOR
            if is_old and self._asked_at < came:
                await self._make()
        if not self._merged:
            code = "unavailable"
            raise Problem(code, f"No document yet: {'; '.join(self._missing)}.")
        return self._merged

    async def _make(self) -> None:
        reasons = await asyncio.gather(*(self._ask(name) for name in self._services))
        self._missing = list(filter(None, reasons))
        if not self._services.keys() - self._told.keys():
            told = dict(sorted(self._told.items()))  # whoever answers first is not to be seen in the document
            self._merged = json.dumps(merge(told, self._routes), separators=(",", ":")).encode()
        self._asked_at = self._clock()

    async def _ask(self, name: str) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE):
                response = await self._services[name].get("/openapi.json")
            response.raise_for_status()
            self._told[name] = response.json()
        except (TimeoutError, httpx2.HTTPError, ValueError) as failure:
            logger.warning("no document from {}: {!r}", name, failure)
            return f"{name} {_reason(failure)}"
        return None


def _reason(failure: Exception) -> str:
    if isinstance(failure, httpx2.HTTPStatusError):
        return f"answers {failure.response.status_code}"
    return "does not answer in time" if isinstance(failure, TimeoutError) else "answers wrongly"


def merge(told: Mapping[str, Document], routes: Routes) -> Document:
    """One document of all services: what the gateway routes to each, in names that do not depend on the others' order.

    Raises:
        Clash: when two services have one operation id.
    """
    documents = {service: _routed(document, service, routes) for service, document in told.items()}
    _refuse_clashes(documents)
    names = _schema_names(documents)
    renamed = {service: _renamed(document, names[service]) for service, document in documents.items()}
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for service, document in renamed.items():
        paths |= document["paths"]
        for name, schema in _schemas(document).items():
            schemas[names[service].get(name, name)] = schema
    merged = {
        "openapi": "3.1.0",
        "info": {**_INFO, "version": release()},
        "servers": [{"url": "/"}],
        "tags": _tagged(renamed),
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": _SECURITY},
    }
    for _, _, operation in operations(merged):
        if operation.get("security"):
            operation["security"] = [{scheme: []} for scheme in _SECURITY]
    return merged


def _routed(document: Document, service: str, routes: Routes) -> Document:
    paths = {path: item for path, item in document["paths"].items() if routes.find(path) == service}
    return {**document, "paths": paths}


def _schemas(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = document.get("components", {}).get("schemas", {})
    return found


def _refuse_clashes(documents: Mapping[str, Document]) -> None:
    seen: dict[str, str] = {}
    for service, document in documents.items():
        for path, method, operation in operations(document):
            here, name = f"{method.upper()} {path} of {service}", operation["operationId"]
            if name in seen:
                message = f"{name} is the operation id of {seen[name]} and of {here}"
                raise Clash(message)
            seen[name] = here


def _schema_names(documents: Mapping[str, Document]) -> dict[str, dict[str, str]]:
    """By service: what a schema is called instead, because services mean different things by its name."""
    meanings: dict[str, list[Any]] = {}
    for document in documents.values():
        for name, schema in _schemas(document).items():
            meanings.setdefault(name, []).append(schema)
    shared = {name: kinds for name, kinds in meanings.items() if len(kinds) > 1}
    clashing = {name for name, kinds in shared.items() if any(kind != kinds[0] for kind in kinds)}
    while found := {name for name, (kind, *_) in shared.items() if name not in clashing and _mentions(kind, clashing)}:
        clashing |= found
    return {
        service: {name: f"{service.removesuffix('_service')}_{name}" for name in _schemas(document) if name in clashing}
        for service, document in documents.items()
    }


def _mentions(schema: object, names: set[str]) -> bool:
    text = json.dumps(schema)
    return any(f'"{_SCHEMAS}{name}"' in text for name in names)


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """A copy in which every reference to a schema has its new name."""
    if isinstance(node, dict):
        return {key: _renamed(value, names) for key, value in node.items()}
    if isinstance(node, list):
        return [_renamed(value, names) for value in node]
    if isinstance(node, str) and node.startswith(_SCHEMAS):
        name = node.removeprefix(_SCHEMAS)
        return _SCHEMAS + names.get(name, name)
    return node


def _tagged(documents: Mapping[str, Document]) -> list[dict[str, str]]:
    """The tags of the whole document; an operation that its service left without one gets the service's noun."""
    tags: dict[str, str] = {}
    for service, document in documents.items():
        for _, _, operation in operations(document):
            for tag in operation.setdefault("tags", [service.removesuffix("_service")]):
                tags.setdefault(tag, f"{service} answers.")
    return [{"name": name, "description": text} for name, text in tags.items()]
