"""The key that payment_service shows the provider, as real ones have it: who does not know it is told nothing."""

from hmac import compare_digest

from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.problems import Problem

PROBES = ("/livez", "/readyz")


def headers(key: SecretStr) -> dict[str, str]:
    """What a request is sent with."""
    return {"Authorization": f"Bearer {key.get_secret_value()}"}


class OnlyWithKey:
    """An application in front of which the key is asked for, before anything else is read; probes need none."""

    def __init__(self, app: ASGIApp, key: SecretStr) -> None:
        self._app = app
        self._expected = headers(key)["Authorization"].encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PROBES and (problem := self._refused(Request(scope))):
            await problem.answer(scope["path"], "")(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refused(self, request: Request) -> Problem | None:
        given = request.headers.get("authorization")
        if given is None:
            return Problem("token_missing", "The provider asks for its key.")
        if compare_digest(given.encode(), self._expected):
            return None
        return Problem("token_invalid", "This is not the provider's key.")
