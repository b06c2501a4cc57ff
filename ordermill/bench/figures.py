"""Figures of a sorted or unsorted heap of values; pure."""

from collections.abc import Mapping, Sequence

SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
PARTS = 10


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of sorted values that has at least this share of them at or below it (nearest rank)."""
    rank = -int(-len(ordered) * share // 1)
    return ordered[max(0, min(rank, len(ordered)) - 1)]


def spread_ms(seconds: Sequence[float]) -> dict[str, float] | None:
    """The usual quantiles in milliseconds; None of nothing."""
    ordered = sorted(seconds)
    return {name: round(1000 * quantile(ordered, share), 1) for name, share in SHARES.items()} if ordered else None


def rates(moments: Sequence[float], began: float) -> list[float]:
    """How many a second in each tenth of what happened, the first tenth counted from the beginning."""
    ordered = sorted(moments)
    ends = [len(ordered) * part // PARTS for part in range(PARTS + 1)]
    marks = [began, *(ordered[end - 1] for end in ends[1:])] if len(ordered) >= PARTS else []
    return [
        round((after - before) / max(until - since, 1e-6))
        for before, after, since, until in zip(ends, ends[1:], marks, marks[1:], strict=False)
    ]


def differences(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """By how much each value grew; what was not there before grew from nothing."""
    return {name: value - before.get(name, 0) for name, value in after.items()}


def per(amounts: Mapping[str, float], count: float, scale: float = 1.0) -> dict[str, float]:
    """Each amount divided among so many."""
    return {name: round(scale * amount / count, 1) for name, amount in amounts.items()} if count else {}


def ratio(one: float | None, other: float | None) -> float | None:
    """How many times the other is in the one; None where one of them is not known."""
    return round(one / other, 2) if one is not None and other else None
