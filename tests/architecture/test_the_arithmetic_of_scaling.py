"""docs/scaling.md multiplies what docs/performance.md has measured, and multiplies it rightly."""

import pytest

from tests.architecture import documents
from tests.architecture.documents import PERFORMANCE, SCALING

RATES = (1_000, 10_000, 100_000)
MEASURED_AS = {
    "edges and gateway": "shop.api",
    "workers of orders and stock": "shop.worker (orders, stock)",
    "workers of payments, mails, accounts": "shop2.worker (payments, mails, accounts)",
    "PostgreSQL": "PostgreSQL",
    "RabbitMQ": "RabbitMQ",
}


def number(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.fixture(scope="module")
def parts() -> dict[str, list[float]]:
    """µs an order, and processors at each rate."""
    return {part: [number(cell) for cell in cells] for part, *cells in documents.rows(SCALING, "part")}


def test_an_order_takes_what_was_measured(parts):
    measured = {process: number(micros) for process, micros in documents.rows(PERFORMANCE, "process")}

    assert {part: micros for part, (micros, *_) in parts.items() if part != "all"} == {
        part: measured[process] for part, process in MEASURED_AS.items()
    }


def test_processors_are_microseconds_times_orders(parts):
    assert parts["all"][0] == sum(micros for part, (micros, *_) in parts.items() if part != "all")
    for micros, *processors in parts.values():
        assert processors == [round(micros * rate / 1_000_000, 1) for rate in RATES]


def test_bytes_are_bytes_times_orders():
    log, stored, parcels = (cells[1:] for cells in documents.rows(SCALING, "what")[:3])

    for (an_order, *totals), seconds in ((log, 1), (stored, 86_400), (parcels, 1)):
        expected = [number(an_order.split()[0]) * 1_000 * rate * seconds for rate in RATES]
        assert [in_bytes(total) for total in totals] == pytest.approx(expected, rel=0.12)


def in_bytes(total: str) -> float:
    amount, unit, *_ = total.split()
    return number(amount) * {"MB/s": 1e6, "GB/s": 1e9, "TB": 1e12}[unit]
