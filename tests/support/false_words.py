"""What a service might take for the gateway's word, and is not."""

from pydantic import SecretStr

from chassis.assertions import Asserter, key_of
from chassis.caller import Caller


def _said(edge_key: str, by: str, at: str, caller: Caller | None) -> bytes:
    return Asserter(by, SecretStr(key_of(edge_key, by, at))).said(caller)


def false_words(edge_key: str, at: str, elsewhere: str, caller: Caller) -> dict[str, bytes]:
    """About this caller, whose own word is good; ``elsewhere`` is another service."""
    said = _said(edge_key, "gateway", at, caller)
    mac, _, what = said.partition(b" ")
    end = str(int(caller.good_until)).encode()
    return {
        "nothing": b"",
        "a mac alone": mac,
        "no mac": what,
        "an empty mac": b" " + what,
        "half a mac": mac[:32] + b" " + what,
        "a mac in capitals": mac.upper() + b" " + what,
        "the mac of what is said of nobody": _said(edge_key, "gateway", at, None).partition(b" ")[0] + b" " + what,
        "the edge key itself": edge_key.encode() + b" " + what,
        "the gateway's key itself": key_of(edge_key, "gateway", at).encode() + b" " + what,
        "another role": said.replace(caller.role.value.encode(), b"nobody"),
        "a scope more": said + b" orders:read",
        "a longer life": said.replace(end, str(int(end) + 1).encode()),
        "another name": said.replace(b" gateway ", b" payment_service "),
        "a neighbour's, with its key": _said(edge_key, "payment_service", at, caller),
        "the gateway's, with a neighbour's key": _said(edge_key, "payment_service", at, caller).replace(
            b"payment_service", b"gateway"
        ),
        "said to another service, which has the same key by mistake": _said(edge_key, "gateway", elsewhere, caller),
        "of another shop": _said("of another shop", "gateway", at, caller),
        "two spaces": said.replace(b" gateway ", b" gateway  "),
        "a space within": mac[:9] + b" " + said[9:],
        "two in one": said + b", " + said,
        "beyond ASCII": said + "é".encode(),
        "long": said + b" " + b"x" * 3_000,
        "a token": b"eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
    }
