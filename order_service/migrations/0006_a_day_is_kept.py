"""a day's parcels are kept, whatever a service asks for"""

from alembic import op

from chassis.partitions import keep_a_day

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    keep_a_day(op.execute, "order_service")


def downgrade() -> None:
    """What the function refuses, nobody asked for."""
