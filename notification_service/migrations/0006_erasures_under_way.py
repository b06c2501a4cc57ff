"""erasures that are under way"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'erasures',
        sa.Column('user_id', sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint('user_id', name=op.f('erasures_pkey')),
        schema='notification_service',
    )


def downgrade() -> None:
    op.drop_table('erasures', schema='notification_service')
