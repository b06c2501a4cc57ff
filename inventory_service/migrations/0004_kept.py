"""which days' parcels are kept"""

import sqlalchemy as sa
from alembic import op

from chassis.partitions import note_no_more, note_what_is_kept

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'kept',
        sa.Column('parcels', sa.Text(), nullable=False),
        sa.Column('since', sa.Date(), nullable=True),
        sa.Column('days', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('parcels', name=op.f('kept_pkey')),
        schema='inventory_service',
    )
    note_what_is_kept(op.execute, "inventory_service")


def downgrade() -> None:
    note_no_more(op.execute, "inventory_service")
    op.drop_table('kept', schema='inventory_service')
