"""What the world around the tables may do: the provider with books of its own, customer, clock, warehouse and staff.

A handler is one transaction, so a crash is a step not taken, or an acknowledgement not given. The provider is called
outside of it: its books may change and the answer be lost, and a call that was given up may land later.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.states import ASKED, SETTLED, Payment, put

TOTAL = 2
SIZES = {"": 0, "part": 1, "full": TOTAL}


class Books(NamedTuple):
    """What the provider knows. A charge by its key: `-` never heard of, `F` in flight, `C` charged, `D` declined.

    A refund and a reversal: `-` never heard of, `R` returned, `X` refused.
    """

    charges: str
    captures: int = 0
    returned: int = 0
    refund: str = "-"
    reversal: str = "-"

    @property
    def net(self) -> int:
        return self.captures * TOTAL - self.returned


class World(NamedTuple):
    """Which freedom the world is given; and the bugs that are not in a table."""

    duplicates: bool = True
    lost_answers: bool = True
    reversal_refused: bool = False
    goodwill: bool = True
    returns: bool = False
    creates: tuple[str, ...] = ("create:card", "create:later")
    new_key_per_try: bool = False
    new_refund_key_per_try: bool = False
    shelf_unchecked: bool = False
    reversal_waits: bool = True


class Move(NamedTuple):
    """A step of the world: what it triggers, what the books say then, and whether the shop may count on it."""

    label: str
    trigger: str | None
    books: Books
    counts: bool = True


# What people and the clock do. The shop may count on the warehouse, and on the clock where an order waits for its
# customer; not on settle_by, the net below everything, and not on anything that a customer does.
COUNTS = frozenset({"pay_by", "complete", "deliver"})
PULLED = COUNTS | {"cancel", "pay", "settle_by", "create_payment", "bug"}


def commands(world: World, triggers: frozenset[str]) -> Iterator[str]:
    """The triggers that people and the clock may pull at any time."""
    for trigger in sorted(triggers):
        name = trigger.partition(":")[0]
        allowed = {"create": trigger in world.creates, "refund": world.goodwill, "return": world.returns}
        if allowed.get(name, name in PULLED):
            yield trigger


def provider_moves(payment: Payment, books: Books, world: World) -> Iterator[Move]:
    for at, letter in enumerate(books.charges):
        yield from _charge(payment, books, at + 1, letter, world)
    yield from _refund(payment, books, world)
    yield from _reversal(payment, books, world)


def _charge(payment: Payment, books: Books, number: int, letter: str, world: World) -> Iterator[Move]:
    asked = payment.status in ASKED and payment.attempt == number
    charged = books._replace(charges=put(books.charges, number - 1, "C"), captures=min(books.captures + 1, 2))
    declined = books._replace(charges=put(books.charges, number - 1, "D"))
    if letter in "CD":
        trigger = "charged" if letter == "C" else "declined"
        yield Move("looked up, or told by webhook", f"provider.{trigger}:{number}", books)
    if letter in "-F" or world.new_key_per_try:
        for trigger, landed in (("charged", charged), ("declined", declined)):
            if asked:
                yield Move(trigger, f"provider.{trigger}:{number}", landed)
            if asked and world.lost_answers:
                yield Move(f"{trigger}, answer lost", f"provider.silent:{number}", landed, counts=False)
                yield Move(f"{trigger}, killed", None, landed, counts=False)
            if letter == "F" and not asked:
                yield Move(f"{trigger}, late", None, landed)
    if letter in "-F" and asked and world.lost_answers:
        flying = books._replace(charges=put(books.charges, number - 1, "F"))
        yield Move("no answer", f"provider.silent:{number}", flying, counts=False)
        yield Move("looked up, not found", f"provider.not_found:{number}", books, counts=False)


def _refund(payment: Payment, books: Books, world: World) -> Iterator[Move]:
    size, _, state = payment.refund.partition(":")
    returned = books._replace(refund="R", returned=books.returned + SIZES[size])
    refused = books._replace(refund="X")
    if books.refund != "-":
        trigger = "refunded" if books.refund == "R" else "refund_refused"
        yield Move("refund looked up, or told by webhook", f"provider.{trigger}:{size}", books)
    if state in {"asked", "unknown"} and (books.refund == "-" or world.new_refund_key_per_try):
        for trigger, landed in (("refunded", returned), ("refund_refused", refused)):
            yield Move(trigger, f"provider.{trigger}:{size}", landed)
            if world.lost_answers and landed.net >= -TOTAL:
                yield Move(f"{trigger}, answer lost", f"provider.refund_silent:{size}", landed, counts=False)


def _reversal(payment: Payment, books: Books, world: World) -> Iterator[Move]:
    size, _, state = payment.refund.partition(":")
    rest = TOTAL - (SIZES[size] if state == "done" else 0)
    returned = books._replace(reversal="R", returned=books.returned + rest)
    if payment.status == "reversing" and payment.person:
        yield Move("a person has it sent again, under a new key", "resolve:retry", books._replace(reversal="-"))
    elif books.reversal != "-":
        yield Move("reversal looked up", "provider.reversed" if books.reversal == "R" else REFUSED, books)
    elif payment.status == "reversing" and (payment.refund in SETTLED or not world.reversal_waits):
        yield Move("reversed", "provider.reversed", returned)
        if world.lost_answers:
            yield Move("reversed, answer lost", None, returned, counts=False)
        if world.reversal_refused:
            yield Move("reversal refused", REFUSED, books._replace(reversal="X"))


REFUSED = "provider.reversal_refused"
