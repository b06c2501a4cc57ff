"""how often goods of an order came back; those that came before count as none"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'reservations',
        sa.Column('returns', sa.Integer(), server_default='0', nullable=False),
        schema='inventory_service',
    )


def downgrade() -> None:
    op.drop_column('reservations', 'returns', schema='inventory_service')
