"""The cards of the simulated provider: tokens that make it do, on request, what real providers do at night."""

from enum import StrEnum
from typing import NamedTuple


class Conduct(StrEnum):
    """How the provider conducts itself when it is asked to charge a token."""

    PROMPT = "prompt"
    BROKEN_TWICE = "broken_twice"
    SLOW = "slow"
    SILENT_PAID = "silent_paid"
    SILENT_UNPAID = "silent_unpaid"


class Card(NamedTuple):
    """One test token: the provider's conduct, the code of its decline, and what else it does."""

    description: str
    conduct: Conduct = Conduct.PROMPT
    code: str | None = None
    told: int = 0
    refundable: bool = True


CARDS = {
    "tok_ok": Card("Is charged."),
    "tok_declined": Card("Is declined.", code="card_declined"),
    "tok_insufficient_funds": Card("Is declined: not enough money.", code="insufficient_funds"),
    "tok_expired_card": Card("Is declined: the card has expired.", code="expired_card"),
    "tok_processing_error": Card("Fails twice with nothing taken, then is charged.", Conduct.BROKEN_TWICE),
    "tok_slow": Card("Is charged after 6 seconds.", Conduct.SLOW),
    "tok_timeout": Card("No answer; it is found paid later.", Conduct.SILENT_PAID),
    "tok_timeout_unpaid": Card("No answer and nothing taken; charged when asked again.", Conduct.SILENT_UNPAID),
    "tok_duplicate_webhook": Card("Is charged; the webhook tells it three times.", told=3),
    "tok_refund_fails": Card("Is charged; every refund of it is refused.", refundable=False),
}
UNKNOWN_CARD = Card("Is no card of ours.", code="method_invalid")


def card(token: str) -> Card:
    return CARDS.get(token, UNKNOWN_CARD)
