"""A mailbox for one machine: takes mails over SMTP, shows them as JSON and as a page; nothing leaves.

Every user of the machine reaches its ports, so that both ask for a secret: one to hand mails in, another to read them.
"""

import asyncio
import json
import re
from contextlib import suppress
from hashlib import sha256
from hmac import compare_digest
from html import escape
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import URL, Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.wire import Wire
from ordermill.mails import Mails, Page
from ordermill.ports import HOST, listen
from ordermill.serving import Server
from ordermill.smtp import Conversations

PROBES = ("/livez", "/readyz")
_DRESS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}
_NO_KEY = (
    "Mails are shown to whoever has the link with the key, which `ordermill ps` prints.\n"
    "In containers it is /?key= and what `docker-compose exec mailbox cat /run/secrets/ORDERMILL_MAILBOX_KEY` prints.\n"
)


class _OwnNames:
    """Refuses who asks for it by a name of the public DNS: a page can have its own one point here, and read mails."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] != "http" or is_near(Headers(scope=scope).get("host", ""))
        answer = self._app if ours else PlainTextResponse("Ask for it by its address.", HTTPStatus.MISDIRECTED_REQUEST)
        await answer(scope, receive, send)


def is_near(host: str) -> bool:
    """Whether a host is named by its address, by one word, or under a domain that no public server answers for."""
    name = re.sub(r":\d+$", "", host.lower()).rstrip(".").strip("[]")
    with suppress(ValueError):
        return bool(ip_address(name))
    return "." not in name or name.endswith((".localhost", ".local", ".internal"))


class _Keyed:
    """Refuses who does not show the key: a program as its bearer, a browser once in the link, then as a cookie."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key
        # A browser has one set of cookies for all ports of a machine: two shops' keys must not replace each other.
        self._cookie = f"mailbox-{sha256(key.encode()).hexdigest()[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app if scope["type"] != "http" or scope["path"] in PROBES else self._answering(Request(scope))
        await app(scope, receive, send)

    def _answering(self, request: Request) -> ASGIApp:
        if request.url.path == "/" and self._is_it(request.query_params.get("key")):
            return self._keeping()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if (scheme.lower() == "bearer" and self._is_it(token)) or self._is_it(request.cookies.get(self._cookie)):
            return self._app
        return PlainTextResponse(_NO_KEY, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer", **_DRESS})

    def _keeping(self) -> Response:
        """The key goes out of the address, where others see it and a browser writes it down."""
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER, _DRESS)
        answer.set_cookie(self._cookie, self._key, httponly=True, samesite="strict")
        return answer

    def _is_it(self, given: str | None) -> bool:
        return compare_digest((given or "").encode(), self._key.encode())


class Reading:
    """The HTTP side: the mails as JSON and as a page."""

    def __init__(self, mails: Mails) -> None:
        self._mails = mails

    def _page(self, request: Request) -> Page:
        return self._mails.page(request.query_params.get("to"), request.query_params.get("before"))

    async def list_messages(self, request: Request) -> Response:
        page = self._page(request)
        links = {"Link": f'<{_older(request.url, page.older)}>; rel="next"'} if page.older else {}
        return _json(b"[%b]" % b",".join(page.lines), links)

    async def delete_messages(self, _request: Request) -> Response:
        self._mails.clear()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def get_message(self, request: Request) -> Response:
        found = self._mails.find(request.path_params["id"])
        return _json(found) if found else JSONResponse({"detail": "No such mail."}, HTTPStatus.NOT_FOUND)

    async def show(self, request: Request) -> Response:
        return HTMLResponse(_html(self._page(request), request.url), headers=_DRESS)


async def _alive(_request: Request) -> Response:
    return PlainTextResponse("ok")


def application(mails: Mails, key: str) -> Starlette:
    """What is shown to whoever shows the key, and the probes."""
    reading = Reading(mails)
    return Starlette(
        routes=[
            Route("/", reading.show),
            Route("/messages", reading.list_messages, methods=["GET"]),
            Route("/messages", reading.delete_messages, methods=["DELETE"]),
            Route("/messages/{id}", reading.get_message),
            *(Route(path, _alive) for path in PROBES),
        ],
        middleware=[Middleware(_OwnNames), Middleware(_Keyed, key=key)],
    )


def _json(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, media_type="application/json", headers={**_DRESS, **(headers or {})})


def _older(url: URL, before: str) -> str:
    """The same list from there on; without the host, which is the reader's word for us."""
    further = url.include_query_params(before=before)
    return f"{further.path}?{further.query}"


def _html(page: Page, url: URL) -> str:
    entries = "".join(
        f"<details><summary><b>{escape(mail['subject'])}</b> to {escape(', '.join(mail['to']))}, {mail['received_at']}"
        f"</summary><pre>{escape(mail['text'] or _without_tags(mail['html'] or ''))}</pre></details>"
        for mail in map(json.loads, page.lines)
    )
    older = f'<p><a href="{escape(_older(url, page.older))}">older</a></p>' if page.older else ""
    head = "<!doctype html><html lang=en><meta charset=utf-8><title>Mailbox</title>"
    return f"{head}<h1>Mailbox</h1>{entries}{older}</html>"


def _without_tags(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


async def serve(  # noqa: PLR0913  each is told by the command
    folder: Path, smtp_port: int, http_port: int, host: str = HOST, *, key: str, password: str | None
) -> None:
    """Take and show mails until SIGTERM."""
    mails = Mails(folder)
    config = uvicorn.Config(
        application(mails, key),
        http=Wire,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    sockets = listen(smtp_port, host), listen(http_port, host)
    smtp = await asyncio.get_running_loop().create_server(Conversations(mails, password), sock=sockets[0])
    try:
        await Server(config).serve([sockets[1]])
    finally:
        smtp.close()
