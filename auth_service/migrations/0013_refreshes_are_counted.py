"""how often a session was refreshed in an hour; what came before counts as nothing"""

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'sessions',
        sa.Column('refreshes', sa.Integer(), server_default=sa.text('0'), nullable=False),
        schema='auth_service',
    )


def downgrade() -> None:
    op.drop_column('sessions', 'refreshes', schema='auth_service')
