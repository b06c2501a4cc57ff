"""parcels as they are"""

from alembic import op

from chassis.migrations import compress_parcels, store_parcels_plainly

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    store_parcels_plainly(op.execute, "inventory_service")


def downgrade() -> None:
    compress_parcels(op.execute, "inventory_service")
