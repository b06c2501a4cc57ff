"""A service's OpenAPI document as it is true: errors are problem details, from every layer, and nothing else is."""

from collections.abc import Iterator, MutableMapping
from http import HTTPStatus
from re import compile as pattern
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from chassis.problems import CODES, MEDIA_TYPE, ProblemDetails
from chassis.scopes import needed

_SCHEMAS = "#/components/schemas/"
_FROM_FASTAPI = ("HTTPValidationError", "ValidationError")
_WITH_BODY = ("malformed_json", "validation_failed", "unknown_field", "body_too_large", "unsupported_media_type")
_WITH_TOKEN = ("token_missing", "token_invalid", "token_expired", "scope_missing")
_REQUIRED = {
    "idempotency-key": (
        {
            "name": "Idempotency-Key",
            "description": "A new value for each new request, the same one when it is repeated: then the first answer "
            "comes again, with `Idempotent-Replayed: true`, for 7 days. For another body it is refused.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        },
        ("idempotency_key_missing", "idempotency_key_invalid", "idempotency_key_in_use", "idempotency_key_reused"),
    ),
    "if-match": (
        {
            "name": "If-Match",
            "description": "The `ETag` that you have read: 412 when somebody else has made a change since.",
            "schema": {"type": "string", "pattern": '^(W/)?"[0-9]{1,18}"$', "examples": ['"1"']},
        },
        ("header_invalid", "version_mismatch", "precondition_required"),
    ),
}
_FIRST = pattern(r"(.+?)(?:[.:](?:\s|$)|$)")
_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": f"{_SCHEMAS}ProblemDetails"}}}


class DocumentedAPI(FastAPI):
    """FastAPI, but the document tells what an edge of ours really answers, which FastAPI's own does not."""

    def build_middleware_stack(self) -> ASGIApp:
        """The layers without starlette's last resort for failures, which the ``Boundary`` is: it lets none through."""
        inner: ASGIApp = super().build_middleware_stack().app  # type: ignore[attr-defined]
        return inner

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        known = self.openapi_schema
        document = super().openapi()
        if document is not known:
            tell_problems(document)
            tell_purposes(document)
        return document


def operations(document: MutableMapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation of a document, with its path and method."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def tell_problems(document: MutableMapping[str, Any]) -> None:
    """Replaces, in place, whatever the document says of errors by problem details."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FROM_FASTAPI:
        schemas.pop(name, None)
    schemas |= _problem_schemas()
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    for _, _, operation in operations(document):
        codes = _tell_required_headers(operation)
        operation["responses"] = _told(operation, codes)
        _tell_streams(operation["responses"])


def tell_purposes(document: MutableMapping[str, Any]) -> None:
    """Takes, in place, each summary from what the route says of itself, not from its name; adds what a key needs."""
    for path, method, operation in operations(document):
        said = operation.get("description", "")
        if first := _FIRST.match(said.replace("\n", " ")):
            operation["summary"] = first[1]
        if operation.get("security"):
            scope = needed(path, method.upper())
            may = f"An API key needs the scope `{scope}`." if scope else "No API key may do this."
            operation["description"] = f"{said}\n\n{may}".strip()


def _problem_schemas() -> dict[str, Any]:
    schema = ProblemDetails.model_json_schema(ref_template=_SCHEMAS + "{model}")
    return {**schema.pop("$defs"), "ProblemDetails": schema}


def _tell_required_headers(operation: dict[str, Any]) -> tuple[str, ...]:
    """Headers that an edge refuses by itself when they are missing: FastAPI believes them optional. Their codes."""
    codes: tuple[str, ...] = ()
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header" and parameter["name"].lower() in _REQUIRED:
            told, refusals = _REQUIRED[parameter["name"].lower()]
            parameter.update(told, required=True)
            codes += refusals
    return codes


def _told(operation: dict[str, Any], codes: tuple[str, ...]) -> dict[str, Any]:
    responses = operation["responses"] | _unchanged(operation)
    codes += (*(_WITH_BODY if "requestBody" in operation else ()), *(_WITH_TOKEN if operation.get("security") else ()))
    documented: dict[str, list[str]] = {status: [] for status in responses if _is_error(status)}
    for status, known in documented.items():
        text = responses[status]["description"]
        known.extend(["validation_failed"] if text == "Validation Error" else text.split(", "))
    for code in codes:
        if code not in (mentioned := documented.setdefault(str(CODES[code][0]), [])):
            mentioned.append(code)
    for status, known in documented.items():
        kept = {key: value for key, value in responses.get(status, {}).items() if key != "content"}
        responses[status] = {**kept, "description": ", ".join(known), "content": _CONTENT}
    responses["default"] = {"description": "Any other error.", "content": _CONTENT}
    return dict(sorted(responses.items()))


def _tell_streams(responses: dict[str, Any]) -> None:
    """FastAPI documents the events of a stream by `itemSchema`, which OpenAPI knows from 3.2 on only."""
    for response in responses.values():
        stream = response.get("content", {}).get("text/event-stream", {})
        if (event := stream.pop("itemSchema", None)) is not None:
            stream |= {"schema": {"type": "string"}, "x-event": event}


def _unchanged(operation: dict[str, Any]) -> dict[str, Any]:
    headers = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"]
    return {"304": {"description": "It is as you have it."}} if "if-none-match" in headers else {}


def _is_error(status: str) -> bool:
    return status.isdecimal() and int(status) >= HTTPStatus.BAD_REQUEST
