"""The answer to one request too many, made of ready bytes: two refusals cost less than a twentieth of an order."""

from collections.abc import Mapping

from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from chassis.context import known_id, start
from chassis.problems import Problem

NO_REQUEST = Problem("header_invalid", "What came is not a request of HTTP/1.1.")
TOO_LONG = Problem("header_invalid", "At most 32 KiB of headers.")
TOO_MANY_HEADERS = Problem("header_invalid", "At most 100 headers.")
URL_TOO_LONG = Problem("header_invalid", "At most 8 KiB of path and query, and 200 fields in it.")
TOO_MANY = Problem("header_invalid", "A body comes in at most 512 pieces.")
NO_OTHER = Problem("header_invalid", "No other protocol is spoken here. Leave Upgrade out where there is a body.")
LENGTH_DIGITS = 9
_SHOWN = 200  # bytes of the path of what is no request
PROBES = frozenset({b"/livez", b"/readyz", b"/health", b"/metrics", b"/version"})
_BODY = bytes(Problem("unavailable", "Too many requests are being worked on. Try again.").answer("<path>", "<id>").body)
_HEAD = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"
    b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
    b"content-length: %d\r\nx-request-id: %s\r\nconnection: %s\r\n\r\n"
)
_UNUSUAL = (b"\r\ntransfer-encoding:", b"\r\nexpect:", b"\r\nconnection:", b"\r\nupgrade:")


def refusal(path: bytes, request_id: bytes, *, is_kept: bool = True, is_head: bool = False) -> bytes:
    """503 with Retry-After as problem details, and whether the connection is kept; HEAD is answered without a body."""
    known = known_id(request_id.decode("latin-1")).encode()
    instance = to_json(path.decode("ascii", "replace"))[1:-1]
    body = _BODY.replace(b"<path>", instance).replace(b"<id>", known)
    return _HEAD % (len(body), known, b"keep-alive" if is_kept else b"close") + (b"" if is_head else body)


def has_body(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request's head announces a body."""
    return headers.get(b"content-length", b"") not in {b"", b"0"} or b"transfer-encoding" in headers


def spelled_out(problem: Problem, url: bytes) -> bytes:
    """The answer to what is no request, which ends its connection."""
    asked = start()
    path = url.partition(b"?")[0][:_SHOWN].decode("ascii", "replace")
    response = problem.answer(path, asked.request_id)
    headers = [*response.raw_headers, (b"x-request-id", asked.request_id.encode()), (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % pair for pair in headers)
    return STATUS_LINE[problem.status] + head + b"\r\n" + bytes(response.body)


def at_a_glance(data: bytes) -> bytes | None:
    """The refusal of a request that came in one piece and is of the usual kind; None for any other, and for probes."""
    end = data.find(b"\r\n\r\n")
    head = data[:end].lower()
    line, _, _ = head.partition(b"\r\n")
    if end < 0 or not line.endswith(b" http/1.1") or any(name in head for name in _UNUSUAL):
        return None
    path = data[: len(line)].split(b" ")[1].partition(b"?")[0]
    length = _value(head, b"\r\ncontent-length:")
    if path in PROBES or data.startswith(b"HEAD ") or len(length) > LENGTH_DIGITS:
        return None
    if len(data) != end + 4 + (int(length) if length.isdigit() else 0):
        return None
    return refusal(path, _value(data[:end], b"\r\nx-request-id:") or _value(data[:end], b"\r\nX-Request-ID:"))


def _value(head: bytes, name: bytes) -> bytes:
    """The value of a header, bare of spaces; nothing when it is not there."""
    _, found, rest = head.partition(name)
    return rest.partition(b"\r\n")[0].strip() if found else b""
