"""What the gateway answers against a request, said to a person: the cause, and the line that mends it."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ordermill.errors import Exit, Failure

if TYPE_CHECKING:
    import httpx2

ADDRESS = "Check the address: --url, or ORDERMILL_URL"
_MENDS = {
    "token_invalid": "Set ORDERMILL_TOKEN to an access token or an API key; on this machine leave it out.",
    "credentials_wrong": "Make the demo accounts with: ordermill seed, or wait until `up` has, which it ends with.",
    "forbidden": "Set ORDERMILL_TOKEN to a token of staff or an admin; on this machine leave it out.",
    "not_found": "Find what there is with: ordermill orders list, or ordermill stock list",
    "price_changed": "Ask again without the total that you expected.",
    "order_not_cancellable": "See what became of it with: ordermill orders trace ORDER",
    "idempotency_key_reused": "Use another --key.",
    "idempotency_key_in_use": "Ask again in a second, with the same --key.",
    "stock_reserved": "See what is free with: ordermill stock list",
    "sku_unknown": "See which there are with: ordermill stock list",
    "rate_limited": "Ask again later, and less often.",
    "unavailable": "See what is not ready with: ordermill ps",
    "internal_error": "Read what happened with: ordermill logs",
}
_LIKE = {
    "token_missing": "token_invalid",
    "token_expired": "token_invalid",
    "scope_missing": "forbidden",
    "account_disabled": "forbidden",
    "insufficient_stock": "stock_reserved",
    "upstream_error": "unavailable",
    "upstream_timeout": "unavailable",
    "too_long": "internal_error",
}
_EXITS = {503: Exit.UNHEALTHY, 504: Exit.TIMED_OUT}


class Trouble(Failure):
    """A request that failed: ``problem`` is its code, ``retryable`` whether the same request may succeed later."""

    def __init__(self, message: str, mend: str, code: Exit, *, problem: str = "", retryable: bool = False) -> None:
        super().__init__(message, mend, code)
        self.problem = problem
        self.retryable = retryable


def refusal(answer: "httpx2.Response") -> Trouble:
    """The trouble that an answer with an error tells of."""
    try:
        told: Mapping[str, Any] = answer.json()
        problem, cause = str(told["code"]), _cause(told)
    except (ValueError, KeyError, TypeError):
        return stranger(answer)
    mend = _MENDS.get(_LIKE.get(problem, problem), f"Correct the request; the rules are in {answer.url.join('/docs')}")
    code = _EXITS.get(answer.status_code, Exit.FAILED)
    return Trouble(cause, mend, code, problem=problem, retryable=bool(told.get("retryable")))


def stranger(answer: "httpx2.Response") -> Trouble:
    """The trouble of an answer that no gateway of ours gives."""
    cause = f"{answer.request.url} answers {answer.status_code}, not as a gateway of ours does."
    return Trouble(cause, ADDRESS, Exit.FAILED)


class Said(dict[str, Any]):
    """An object of an answer; one that lacks what is asked for is of no gateway of ours."""

    def __init__(self, answer: "httpx2.Response", fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self._answer = answer

    def __missing__(self, field: str) -> Any:
        raise stranger(self._answer)


def said(answer: "httpx2.Response") -> Said:
    """What an answer says. Raises Trouble when that is no object, and when a field is asked for that is not there."""
    try:
        told = answer.json(object_hook=partial(Said, answer))
    except ValueError:
        told = None
    if not isinstance(told, Said):
        raise stranger(answer)
    return told


def _cause(told: Mapping[str, Any]) -> str:
    faults = [f"{fault['pointer']}: {fault['detail']}" for fault in told.get("errors", ())]
    detail = "; ".join(faults) or told.get("detail") or told["code"]
    cause = told["title"] if detail.rstrip(".") == told["title"] else f"{told['title']}: {detail}"
    return f"{cause} ({told['request_id']})" if told["code"] == "internal_error" else cause


def silence(url: str, error: "httpx2.TransportError", *, late: bool) -> Trouble:
    """The trouble of a gateway that does not answer, or not in time."""
    if late:
        cause, mend = f"{url} does not answer in time.", "See what is not ready with: ordermill ps"
        return Trouble(cause, mend, Exit.TIMED_OUT, retryable=True)
    cause, mend = f"{url} does not answer: {str(error).rstrip('.')}.", "Start the shop with: make up"
    return Trouble(cause, mend, Exit.NOT_RUNNING, retryable=True)
