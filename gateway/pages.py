"""Documentation for people: Swagger UI from local files, a page for each error code, nothing from outside."""

from collections.abc import AsyncIterator
from functools import cache
from hashlib import sha256
from html import escape
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from chassis.etags import is_seen
from chassis.problems import CODES, RETRYABLE, Problem

ASSETS = Path(str(files("fastapi_offline"))) / "static"
_TYPES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_PIECE = 64 * 1024
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
{head}</head>
<body>
{body}
</body>
</html>
"""
_SWAGGER_HEAD = '<link rel="stylesheet" href="/docs/assets/swagger-ui.css">\n'
_SWAGGER_BODY = """<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>"""
# Without `validatorUrl: null` the page would show the document to a validator on the internet.
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
"""
_ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
<rect width="16" height="16" rx="3" fill="#24527a"/>
<path d="M8 2v12M2 8h12M3.8 3.8l8.4 8.4M12.2 3.8l-8.4 8.4" stroke="#fff" stroke-width="1.4"/></svg>
"""


def _page(title: str, body: str, head: str = "") -> Response:
    page = _PAGE.format(title=escape(title), head=head, body=body)
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


async def _home(_request: Request) -> Response:
    return RedirectResponse("/docs")


async def _docs(_request: Request) -> Response:
    return _page("Ordermill API", _SWAGGER_BODY, _SWAGGER_HEAD)


async def _start(_request: Request) -> Response:
    return Response(_START, media_type="text/javascript")


async def _icon(_request: Request) -> Response:
    return Response(_ICON, media_type="image/svg+xml")


async def _errors(_request: Request) -> Response:
    rows = "\n".join(
        f'<li>{status} <a href="/docs/errors/{code}"><code>{code}</code></a> {escape(title)}</li>'
        for code, (status, title) in CODES.items()
    )
    return _page("Errors", f"<h1>Errors</h1>\n<ul>\n{rows}\n</ul>")


async def _error(request: Request) -> Response:
    code = request.path_params["code"]
    if code not in CODES:
        missing = "not_found"
        raise Problem(missing, "There is no such error code.")
    status, title = CODES[code]
    again = (
        "The same request may succeed later: send it again, with the same Idempotency-Key, after Retry-After."
        if code in RETRYABLE
        else "The same request will be refused again: change it first."
    )
    body = f"<h1>{escape(title)}</h1>\n<p>Status {status}, code <code>{code}</code>. {again}</p>"
    return _page(title, f'{body}\n<p><a href="/docs/errors">All errors</a></p>')


@cache
def _read(name: str) -> tuple[bytes, str]:
    """A file of the page, kept in memory, and its tag: files are opened by threads, of which strangers took all."""
    content = (ASSETS / name).read_bytes()
    return content, f'"{sha256(content).hexdigest()[:32]}"'


async def _asset(request: Request) -> Response:
    """The whole file, whoever asks for a part of it (RFC 9110, 14.2); nothing to who has it."""
    if (name := request.path_params["name"]) not in _TYPES:
        missing = "route_not_found"
        raise Problem(missing, "There is no such file.")
    content, tag = _read(name)
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if is_seen(tag, request.headers.get("if-none-match", "")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers["Content-Length"] = str(len(content))
    return StreamingResponse(_pieces(content), media_type=_TYPES[name], headers=headers)


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    """One after the other as the client reads: nobody's unread file is kept in memory for them."""
    for at in range(0, len(content), _PIECE):
        yield content[at : at + _PIECE]


ROUTES: list[BaseRoute] = [
    Route("/", _home),
    Route("/docs", _docs),
    Route("/docs/start.js", _start),
    Route("/docs/assets/{name}", _asset),
    Route("/docs/errors", _errors),
    Route("/docs/errors/{code}", _error),
    Route("/favicon.svg", _icon),
    Route("/favicon.ico", _icon),
]
