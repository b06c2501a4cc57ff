"""The words that the database accepts are the domain's."""

import pytest
from sqlalchemy import CheckConstraint

from contracts.types import CancelPhase, CancelReason
from order_service.domain.order import MAX_ATTEMPTS
from order_service.domain.status import FulfilmentStatus, OrderStatus, PaymentStatus
from order_service.tables import orders

RULES = {check.name: str(check.sqltext) for check in orders.constraints if isinstance(check, CheckConstraint)}


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("status", OrderStatus),
        ("payment_status", PaymentStatus),
        ("fulfilment_status", FulfilmentStatus),
        ("cancel_phase", CancelPhase),
        ("cancel_reason", CancelReason),
    ],
)
def test_a_column_accepts_the_domains_words(column, words):
    assert RULES[f"orders_{column}_is_known"] == f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


def test_the_database_knows_how_many_attempts_there_are():
    assert f"attempt BETWEEN 0 AND {MAX_ATTEMPTS} " in RULES["orders_attempts_are_few"]
