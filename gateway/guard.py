"""Who may pass the door: addresses and users that do not ask too often, with a token that is one of ours or none."""

from collections.abc import Awaitable, Callable

from starlette.types import Scope

from chassis.api_keys import ApiKeys
from chassis.authentication import bearer
from chassis.places import place_of
from chassis.problems import of_refusal
from chassis.tokens import REFUSALS, Caller
from gateway.headers import Headers
from gateway.limits import Limits, Quota, Spent, refuse_too_many, told_raw
from gateway.routing import PREFIX

# Who renews a token shows an old one; a provider shows one of its own. Both are judged where they go. A good token
# counts for its user there as well: what they do to their own sessions and keys costs as much as anything else.
_JUDGED_THERE = f"{PREFIX}/auth/"
_UNCHECKED = f"{PREFIX}/payments/webhooks/"

Check = Callable[[str], Awaitable[Caller]]


class Guard:
    """Asked once for each request.

    Args:
        check: gives the caller behind a token.
        limits: counts requests; None counts nobody's.
        quotas: what an address may ask, and what a user may.
        limited: the prefix of the paths that are counted.
        keys: gives an access token for an API key; None knows no keys.
    """

    def __init__(
        self,
        check: Check,
        limits: Limits | None,
        *,
        quotas: tuple[Quota, Quota],
        limited: str = "",
        keys: ApiKeys | None = None,
    ) -> None:
        self._check = check
        self._limits = limits
        self._address, self._principal = quotas
        self._limited = limited
        self._keys = keys

    async def admit(self, scope: Scope) -> Headers:
        """What the answer tells of the limits. The scope gets a token where an API key was, and who has shown it.

        Raises:
            Problem: when the request may not pass: too many of them, or a key or a token that is none of ours.
        """
        limits = self._limits if scope["path"].startswith(self._limited) else None
        spent: list[Spent] = []
        if limits is not None:
            address, _ = scope.get("client") or ("", 0)
            spent.append(await limits.spend(self._address, place_of(address)))
            refuse_too_many(spent)
        if self._keys is not None:
            scope["headers"] = await self._keys.exchanged(scope["headers"])
        caller = await self._caller(scope["path"], _first(scope["headers"], b"authorization"))
        if caller is not None:
            scope["asker"] = caller
            if limits is not None:
                spent.append(await limits.spend(self._principal, caller.user_id.hex))
                refuse_too_many(spent)
        return told_raw(spent)

    async def aclose(self) -> None:
        """Closes what it counts with."""
        if self._limits is not None:
            await self._limits.aclose()

    async def _caller(self, path: str, authorization: bytes | None) -> Caller | None:
        token = bearer(authorization.decode("latin-1")) if authorization else ""
        if not token or path.startswith(_UNCHECKED):
            return None
        try:
            return await self._check(token)
        except tuple(REFUSALS) as refusal:
            if path.startswith(_JUDGED_THERE):
                return None
            raise of_refusal(refusal, _code(refusal)) from None


def _first(headers: Headers, wanted: bytes) -> bytes | None:
    return next((value for name, value in headers if name == wanted), None)


def _code(refusal: Exception) -> str:
    return next(code for kind, code in REFUSALS.items() if isinstance(refusal, kind))
