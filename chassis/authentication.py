"""What shows a service who asks: the gateway's word, an access token, or a neighbour's own word on internal routes."""

from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from fastapi import Depends, Request
from pydantic import SecretStr

from chassis.assertions import HEADER, Assertion
from chassis.caller import Caller
from chassis.problems import Problem

if TYPE_CHECKING:
    from chassis.app import Parts


def shown(parts: "Parts", assertion: str | None, authorization: str | None) -> Assertion | str:
    """What says who asks: the gateway, else the token in the header Authorization, empty without one."""
    asserted = parts.assertions.for_somebody(assertion.encode("latin-1")) if assertion else None
    return asserted or bearer(authorization or "")


async def verified(parts: "Parts", assertion: str | None, authorization: str | None) -> Caller:
    """Who asks.

    Raises:
        TokenMissing, TokenInvalid, TokenExpired: as ``Verifier.verify``.
        Problem: unavailable, where nothing is shown but an assertion that cannot be read, as the gateway's cannot be
            while keys change: to be told that no token came would sign everybody out.
    """
    said = shown(parts, assertion, authorization)
    if assertion and not said and parts.assertions.read(assertion.encode("latin-1")) is None:
        parts.assertions.warn()
        code = "unavailable"
        raise Problem(code, "Who asks cannot be known now. Try again.")
    return await parts.verifier.verify(said)


def bearer(authorization: str) -> str:
    """The token in a header Authorization, empty when it holds none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def asked_by(*neighbours: str, as_before: bool = False) -> Any:
    """Of an internal route: who may ask it; ``as_before`` lets in who shows the token of the release before, too."""

    async def check(request: Request) -> None:
        parts: Parts = request.app.state.parts
        by = parts.assertions.comes(request.headers.get(HEADER, "").encode("latin-1"))
        if by is None and as_before and _shows_token(request, parts.settings.service_token):
            return
        if by is None:
            code = "token_invalid"
            raise Problem(code, "Only the shop's own services may ask this.")
        if by not in neighbours:
            code = "forbidden"
            raise Problem(code, f"Only {' or '.join(neighbours)} may ask this.")

    return Depends(check)


def _shows_token(request: Request, token: SecretStr | None) -> bool:
    told = bearer(request.headers.get("authorization", ""))
    return token is not None and compare_digest(told.encode(), token.get_secret_value().encode())
