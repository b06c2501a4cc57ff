"""Every SQL statement of payment_service, by what it is about; ``STORE`` is what the pipeline loads and saves with."""

from typing import Any

from chassis.store import Rows, SqlStore
from payment_service.domain.ledger import Entry
from payment_service.domain.notice import Notice
from payment_service.domain.payment import Payment
from payment_service.domain.resolution import Resolved
from payment_service.store.notices import lock_notices, save_notices
from payment_service.store.payments import add_entries, add_resolutions, lock_payments, save_payments

ROWS: tuple[Rows[Any], ...] = (
    Rows(Payment, load=lock_payments, save=save_payments),
    Rows(Notice, load=lock_notices, save=save_notices),
    Rows(Entry, save=add_entries),
    Rows(Resolved, save=add_resolutions),
)
STORE = SqlStore(*ROWS)
