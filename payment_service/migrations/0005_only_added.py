"""the ledger is only added to"""

from alembic import op

from chassis.migrations import only_add, only_add_no_more

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    only_add(op.execute, "payment_service", "ledger")


def downgrade() -> None:
    only_add_no_more(op.execute, "payment_service", "ledger")
