"""Which pages of other origins may read our answers: none, unless the settings name them."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from chassis.context import asked_with
from chassis.problems import Problem
from gateway.headers import dressed

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_ASKED = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID", "Prefer",
    "X-Request-ID", "traceparent",
)  # fmt: skip
_TOLD = (
    "ETag", "Idempotent-Replayed", "Link", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy",
    "Retry-After", "X-Request-ID", "traceparent",
)  # fmt: skip


class Cors(CORSMiddleware):
    """starlette's, whose refusals are problem details. A token comes in a header, so cookies are never allowed."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(app, allow_origins=origins, allow_methods=_METHODS, allow_headers=_ASKED, expose_headers=_TOLD)

    def preflight_response(self, request_headers: Headers) -> Response:
        asked = asked_with(dict(request_headers.raw))
        response = super().preflight_response(request_headers)
        if response.status_code != HTTPStatus.OK:
            refusal = Problem("forbidden", "This origin, method or header is not allowed here.")
            response = refusal.answer("*", asked.request_id)
        response.raw_headers = dressed(response.raw_headers, asked)
        return response
