"""Why a charge was declined, in words for the customer, and whether trying again can help."""

from typing import NamedTuple


class Failure(NamedTuple):
    """What the customer is told, and whether another try, with this card or another, can succeed."""

    message: str
    retryable: bool


DECLINED = Failure("Your card was declined. Please try another card or ask your bank.", retryable=True)

FAILURES = {
    "card_declined": DECLINED,
    "insufficient_funds": Failure("There is not enough money on this card. Please try another card.", retryable=True),
    "expired_card": Failure("Your card has expired. Please try another card.", retryable=True),
    "method_invalid": Failure("This way of paying is not known. Please choose another one.", retryable=True),
    "currency_unsupported": Failure("This order's currency cannot be charged.", retryable=False),
}


def failure(code: str | None) -> Failure:
    """What to say about a provider's code; a code that we do not know is a plain decline."""
    return FAILURES.get(code or "", DECLINED)
