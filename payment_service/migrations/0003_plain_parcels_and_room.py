"""parcels as they are, and room in the pages for what changes"""

from alembic import op

from chassis.migrations import compress_parcels, store_parcels_plainly

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    store_parcels_plainly(op.execute, "payment_service")
    op.execute("ALTER TABLE payment_service.payments SET (fillfactor = 50)")
    op.execute("ALTER TABLE payment_service.payment_attempts SET (fillfactor = 50)")


def downgrade() -> None:
    op.execute("ALTER TABLE payment_service.payment_attempts SET (fillfactor = 70)")
    op.execute("ALTER TABLE payment_service.payments SET (fillfactor = 70)")
    compress_parcels(op.execute, "payment_service")
