"""An order by its number, which mails and lists show to people, in the place of its id."""

import re
from typing import TYPE_CHECKING

from ordermill.errors import Failure

if TYPE_CHECKING:
    from ordermill.client import Caller

LOOKED_AT = (100, 1_000)
_NUMBER = re.compile(r"[0-9A-Z]{5}-[0-9A-Z]{5}")
_READ_AS = str.maketrans("OIL", "011")  # by Crockford's rules, who leaves these letters out


async def id_of(caller: "Caller", named: str) -> str:
    """The id of an order that is named by it, or by its number where it is one of the newest thousand.

    A number is the random end of an id: no index finds one, and one that did would be written with each order.
    Raises Failure when none of those looked at has this number.
    """
    number = named.upper().translate(_READ_AS)
    if not _NUMBER.fullmatch(number):
        return named
    for count in LOOKED_AT:
        for order in await caller.listed("/orders", count):
            if order["number"] == number:
                return str(order["id"])
    cause = f"None of the newest {LOOKED_AT[-1]} orders has the number {number}."
    mend = "Use its id, which is among its customer's: ordermill users list, then ordermill orders list --customer ID"
    raise Failure(cause, mend)
