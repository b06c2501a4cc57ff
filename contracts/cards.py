"""How a client says how it pays: by a token of the payment provider, never by the number of a card."""

from typing import Annotated

from pydantic import Field

from contracts.wanted import Wanted

_PATTERN = r"^[a-z]+_([0-9]{0,12}[A-Za-z_])+[0-9]{0,12}$"  # no 13 digits in a row: a card's number has as many

CardToken = Annotated[
    str,
    Field(pattern=_PATTERN, max_length=140, examples=["tok_ok"]),
    Wanted("must be a token of the payment provider, such as tok_ok, and never a card's number"),
]
