"""What the gateway writes on requests and answers: the ids made once, and the security headers of every answer."""

from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from chassis import context
from chassis.problems import Problem

Headers = list[tuple[bytes, bytes]]

_SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"cache-control", b"private, no-cache"),
]
ENCRYPTED_ONLY = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_MADE_HERE = {b"x-request-id", b"traceparent"}


def passed_on(headers: Headers, asked: context.Context) -> Headers:
    """The request's headers with these ids; a `tracestate` belongs to the trace it came with and to no other."""
    ids = [(b"x-request-id", asked.request_id.encode()), (b"traceparent", asked.traceparent.encode())]
    kept = [pair for pair in headers if pair[0] not in _MADE_HERE]
    if ids[1] not in headers:
        kept = [pair for pair in kept if pair[0] != b"tracestate"]
    return [*kept, *ids]


def dressed(headers: Iterable[tuple[bytes, bytes]], asked: context.Context, told: Headers | None = None) -> Headers:
    """The answer's headers with the ids and the security headers, where the service has not chosen its own.

    `told` is what else the gateway says.
    """
    own = [pair for pair in headers if pair[0].lower() not in _MADE_HERE]
    names = {name.lower() for name, _ in own}
    added = [pair for pair in _SECURITY if pair[0] not in names]
    ids = [(b"x-request-id", asked.request_id.encode()), (b"traceparent", asked.traceparent.encode())]
    return [*own, *ids, *added, *(told or ())]


async def refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with a problem."""
    asked = context.current.get() or context.start()
    await problem.answer(scope["path"], asked.request_id)(scope, receive, send)
