"""when a shelf was told to be low; what was told before counts as told long ago"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'stock',
        sa.Column('low_told_at', sa.DateTime(timezone=True), nullable=True),
        schema='inventory_service',
    )


def downgrade() -> None:
    op.drop_column('stock', 'low_told_at', schema='inventory_service')
