"""The page that says what an order takes, written from two counted batches and read again to be held against them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.counted_shop import Step

PAGE = Path(__file__).parents[2] / "docs/performance/an-order.md"
SLACK = 5  # a call or two of the event loop's own
COUNTED = ("transactions", "trips", "parcels", "events", "lines")
Pairs = Sequence[tuple[str, Step, Step]]
ROOM = (1.02, 1.1)  # for bytes, as an amount of money may have a digit more; for calls, as Python has other ways

# Partitions count for their table.
WRITTEN = """
    SELECT schemaname || '.' || regexp_replace(relname, '_(default|[0-9]{8})$', '') AS name,
        ARRAY[sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del)]::int[] AS counts
    FROM pg_stat_user_tables GROUP BY 1
"""

HEAD = """# What an order takes, counted

Written by `pytest tests/performance --new-costs`, and held against the code by
`tests/performance/test_the_cost_of_an_order.py` on each `make test`: no clock is in it, so that it is the same on
every machine.

{few} and then {many} orders of two lines are taken through their whole life, each batch at once; `n` is the number of
orders in a batch. `1 + 2n` means once a batch, and twice an order. A round trip is a statement that is sent to
PostgreSQL and awaited; `begin` and `commit` are such, too. A parcel is a message to the broker. Lines are of the log at
level info. Bytes of parcels and calls of Python's functions are of an order, and the test lets them be 2 % and 10 %
more than the page says; all else is exact.

## Steps

| step | transactions | round trips | parcels | events | log lines | bytes an order | calls an order |
|---|---|---|---|---|---|---|---|
"""
SENT = """
## Statements

What each step sends, in order.

"""
ROWS = """
## Rows

| table | inserted | updated | deleted |
|---|---|---|---|
"""


class Batch(NamedTuple):
    """What so many orders took: by step, and rows by table."""

    orders: int
    steps: Mapping[str, Step]
    rows: Mapping[str, Sequence[int]]


def grown(after: Mapping[str, Sequence[int]], before: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """The rows that were written in between, by table; those that nobody wrote to are left out."""
    written = {
        name: [new - old for old, new in zip(before.get(name, (0, 0, 0)), counts, strict=True)]
        for name, counts in after.items()
    }
    return {name: counts for name, counts in written.items() if any(counts)}


def page(few: Batch, many: Batch) -> str:
    """The whole page."""
    names, orders = dict.fromkeys((*few.steps, *many.steps)), (few.orders, many.orders)
    pairs = [(name, few.steps.get(name, Step()), many.steps.get(name, Step())) for name in names]
    steps = [_line(name, [(name, one, other)], orders) for name, one, other in pairs]
    written = [f"| {name} | {' | '.join(_row(name, few, many))} |\n" for name in sorted({*few.rows, *many.rows})]
    head = HEAD.format(few=few.orders, many=many.orders)
    sent = [_sent(*pair) for pair in pairs]
    return "".join((head, *steps, _line("all", pairs, orders), SENT, *sent, ROWS, *written))


def _line(name: str, pairs: Pairs, orders: tuple[int, int]) -> str:
    counts = [
        linear(sum(getattr(few, of) for _, few, _ in pairs), sum(getattr(many, of) for *_, many in pairs), orders)
        for of in COUNTED
    ]
    return f"| {name} | {' | '.join(counts)} | {_each(pairs, 'bytes', orders)} | {_each(pairs, 'calls', orders)} |\n"


def _each(pairs: Pairs, of: str, orders: tuple[int, int]) -> str:
    more = sum(getattr(many, of) - getattr(few, of) for _, few, many in pairs)
    return str(max(0, round(more / (orders[1] - orders[0]))))


def _row(name: str, few: Batch, many: Batch) -> Iterator[str]:
    nothing = (0, 0, 0)
    for one, other in zip(few.rows.get(name, nothing), many.rows.get(name, nothing), strict=True):
        yield linear(one, other, (few.orders, many.orders))


def linear(one: int, other: int, orders: tuple[int, int]) -> str:
    """A count of few orders and one of many, as what a batch takes and what an order takes."""
    each = (other - one) / (orders[1] - orders[0])
    once = one - each * orders[0]
    parts = [f"{once:g}"] if once else []
    parts += [f"{each:g}n" if each != 1 else "n"] if each else []
    return " + ".join(parts) or "0"


def _sent(name: str, few: Step, many: Step) -> str:
    """The statements of a step; where many orders send others than few, both are shown."""
    same = few.statements == many.statements
    shown = {"sends": few.statements} if same else {"sends": few.statements, "sends, being many": many.statements}
    return "".join(f"- {name} {how}: {', '.join(each)}\n" for how, each in shown.items())


def dearer(found: str, stated: str) -> list[str]:
    """The lines of the page that are not so any more, with what is so now."""
    said, now = _lines(stated), _lines(found)
    return [
        f"{name}\n  the page says: {said.get(name, 'nothing')}\n  it is now:     {now.get(name, 'nothing')}"
        for name in dict.fromkeys((*now, *said))
        if not _holds(now.get(name, ""), said.get(name, ""))
    ]


def _lines(text: str) -> dict[str, str]:
    """The rows of the tables by their first cell, and the statements by their step."""
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE))
    return {**rows, **dict(re.findall(r"^- (.+ sends[a-z, ]*): (.+)$", text, re.MULTILINE))}


def _holds(now: str, said: str) -> bool:
    """Whether it is as was said; bytes and calls, a step's last two cells, may be a little more, or less."""
    if now == said:
        return True
    exact, *rest = now.rsplit(" | ", 2)
    known, *was = said.rsplit(" | ", 2)
    if exact != known or not all(cell.isdecimal() for cell in (*rest, *was)) or len(rest) != len(ROOM):
        return False
    return all(int(cell) <= int(before) * room + SLACK for cell, before, room in zip(rest, was, ROOM, strict=True))
