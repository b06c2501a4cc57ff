"""Who comes to a service in the tests, where all edges have one key."""

from pydantic import SecretStr

from chassis.assertions import HEADER, Asserter, key_of
from chassis.caller import Caller

EDGE_KEY = "of every edge in the tests"


def coming(by: str, at: str, edge_key: str = EDGE_KEY) -> Asserter:
    """The gateway's, or a neighbour's, way to say to that service that it comes."""
    return Asserter(by, SecretStr(key_of(edge_key, by, at)))


def saying(by: str, at: str, caller: Caller | None = None) -> dict[str, str]:
    """The header with which it says so, on somebody's behalf or on nobody's."""
    return {HEADER: coming(by, at).said(caller).decode()}
