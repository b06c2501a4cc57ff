"""customers whose orders are being erased"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'erasures',
        sa.Column('customer_id', sa.Uuid(), nullable=False),
        sa.Column('reached', sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint('customer_id', name=op.f('erasures_pkey')),
        schema='order_service',
    )


def downgrade() -> None:
    op.drop_table('erasures', schema='order_service')
