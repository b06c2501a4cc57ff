"""what the provider tells says of how much money it speaks"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('webhook_events', sa.Column('amount', sa.BigInteger(), nullable=True), schema='payment_service')
    op.add_column('webhook_events', sa.Column('currency', sa.Text(), nullable=True), schema='payment_service')


def downgrade() -> None:
    op.drop_column('webhook_events', 'currency', schema='payment_service')
    op.drop_column('webhook_events', 'amount', schema='payment_service')
