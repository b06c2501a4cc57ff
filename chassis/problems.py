"""Errors on HTTP: RFC 9457 problem details with stable codes, from every layer."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from chassis.words import wanted

MEDIA_TYPE = "application/problem+json"

CODES: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The body is not JSON"),
    "idempotency_key_missing": (400, "An Idempotency-Key is required"),
    "idempotency_key_invalid": (400, "The Idempotency-Key is not valid"),
    "cursor_invalid": (400, "The cursor is not valid"),
    "header_invalid": (400, "A header is not valid"),
    "token_missing": (401, "A token is required"),
    "token_invalid": (401, "The token is not valid"),
    "token_expired": (401, "The token has expired"),
    "credentials_wrong": (401, "E-mail address or password is wrong"),
    "refresh_reused": (401, "The refresh token was used before"),
    "signature_invalid": (401, "The signature is not valid"),
    "forbidden": (403, "Not allowed"),
    "scope_missing": (403, "The key lacks the scope"),
    "account_disabled": (403, "The account is disabled"),
    "not_found": (404, "Not found"),
    "route_not_found": (404, "No such route"),
    "method_not_allowed": (405, "Method not allowed"),
    "not_acceptable": (406, "Not acceptable"),
    "idempotency_key_in_use": (409, "The first request with this key is still running"),
    "price_changed": (409, "The price has changed"),
    "order_not_cancellable": (409, "The order cannot be cancelled any more"),
    "order_not_payable": (409, "The order cannot be paid now"),
    "refund_exceeds_paid": (409, "More than what was paid"),
    "payment_not_resolvable": (409, "The payment cannot be resolved like this"),
    "notification_not_resendable": (409, "The notification cannot be sent again now"),
    "email_taken": (409, "The e-mail address is taken"),
    "too_many_api_keys": (409, "Too many API keys"),
    "sku_taken": (409, "The sku is taken"),
    "stock_reserved": (409, "The stock is reserved"),
    "insufficient_stock": (409, "Not enough stock"),
    "too_many_returns": (409, "Too many returns"),
    "task_closed": (409, "The task is closed"),
    "version_mismatch": (412, "Somebody changed it meanwhile"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "Unsupported media type"),
    "validation_failed": (422, "The request is not valid"),
    "unknown_field": (422, "The request has an unknown field"),
    "idempotency_key_reused": (422, "The Idempotency-Key was used for another request"),
    "currency_mismatch": (422, "The currencies differ"),
    "sku_unknown": (422, "Unknown sku"),
    "precondition_required": (428, "If-Match is required"),
    "rate_limited": (429, "Too many requests"),
    "internal_error": (500, "Something went wrong on our side"),
    "too_long": (500, "It takes longer than we allow"),
    "upstream_error": (502, "Another service answered wrongly"),
    "unavailable": (503, "Not available now"),
    "upstream_timeout": (504, "Another service did not answer in time"),
}
FAULTS = 50  # that an answer tells of, however many there are
RETRYABLE = {
    "idempotency_key_in_use",
    "rate_limited",
    "unavailable",
    "upstream_error",
    "upstream_timeout",
    "internal_error",
}

_BY_STATUS = {
    404: "route_not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "body_too_large",
    415: "unsupported_media_type",
}
_DETAILS = {
    "malformed_json": "The body cannot be read.",
    "route_not_found": "Nothing is at this path; GET /openapi.json says what there is.",
    "method_not_allowed": "This path takes {methods}.",
    "not_acceptable": "It cannot be answered in the form that Accept asks for.",
    "body_too_large": "At most 64 KiB, and 1,000 fields.",
    "unsupported_media_type": "Send the body as JSON, with the header Content-Type: application/json.",
    "internal_error": "The log has more of it, under this request_id.",
}
_HEADERS = {
    "unavailable": {"Retry-After": "1"},
    "idempotency_key_in_use": {"Retry-After": "1"},
    "token_missing": {"WWW-Authenticate": "Bearer"},
    "token_invalid": {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    "token_expired": {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="expired"'},
    "credentials_wrong": {"WWW-Authenticate": "Bearer"},
    "refresh_reused": {"WWW-Authenticate": 'Bearer error="invalid_token"'},
}


class Fault(BaseModel):
    """One place in the request that is wrong: a JSON pointer, a code, a sentence."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    code: str
    detail: str


class ProblemDetails(BaseModel):
    """The body of every error."""

    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    instance: str
    request_id: str
    retryable: bool
    errors: list[Fault] = []


@dataclass(eq=False)
class Problem(Exception):
    """An error to be answered as problem details. Raised inside chassis; services raise their domains' refusals."""

    code: str
    detail: str | None = None
    errors: Sequence[Fault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.code][0]

    def answer(self, instance: str, request_id: str) -> JSONResponse:
        """The response, with the headers that the code asks for (Retry-After, WWW-Authenticate)."""
        body = ProblemDetails(
            type=f"/docs/errors/{self.code}",
            title=CODES[self.code][1],
            status=self.status,
            code=self.code,
            detail=self.detail,
            instance=instance,
            request_id=request_id,
            retryable=self.code in RETRYABLE,
            errors=list(self.errors),
        )
        headers = {**_HEADERS.get(self.code, {}), **self.headers}
        return JSONResponse(body.model_dump(exclude_none=True), self.status, headers, media_type=MEDIA_TYPE)


def of_refusal(refusal: Exception, code: str) -> Problem:
    """The problem for a domain's refusal: its arguments, else its docstring, are the detail; ``errors`` the faults.

    ``headers`` go with the answer.
    """
    detail = str(refusal) or (type(refusal).__doc__ or "").strip()
    faults: Iterable[tuple[str, str, str]] = getattr(refusal, "errors", ())
    headers: Mapping[str, str] = getattr(refusal, "headers", {})
    return Problem(code, detail, [Fault(pointer=p, code=c, detail=d) for p, c, d in faults], headers)


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem for a status that the framework chose by itself, with these headers."""
    other = "internal_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "malformed_json"
    given = headers or {}
    code = _BY_STATUS.get(status, other)
    return Problem(code, _DETAILS[code].format(methods=given.get("Allow", "other methods")), headers=given)


def of_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The problem for a request that pydantic refused. The input is never echoed."""
    if any(error["type"] == "json_invalid" for error in errors):
        return Problem("malformed_json", "The body is not valid JSON.")
    faults = [
        Fault(pointer=_pointer(error["loc"]), code=_fault_code(error["type"]), detail=wanted(error))
        for error in errors[:FAULTS]
    ]
    return of_faults(faults)


def of_faults(faults: Sequence[Fault]) -> Problem:
    """The problem of a request with these faults: the first one, with its place, is the detail."""
    unknown = all(fault.code == "unknown_field" for fault in faults)
    place = re.sub(r"^(#/?|\w+:)", "", faults[0].pointer) or "the body"
    return Problem("unknown_field" if unknown else "validation_failed", f"{place}: {faults[0].detail}", faults)


def not_json() -> Problem:
    """The problem for a body of another media type."""
    return of_status(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def _pointer(location: Sequence[str | int]) -> str:
    place, *path = location
    steps = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return f"#{steps}" if place == "body" else f"{place}:{steps.removeprefix('/')}"


def _fault_code(kind: str) -> str:
    return "unknown_field" if kind == "extra_forbidden" else "invalid"


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route: these codes, documented as problem+json by status."""
    by_status: dict[int | str, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code][0], []).append(code)
    return {status: {"model": ProblemDetails, "description": ", ".join(names)} for status, names in by_status.items()}
