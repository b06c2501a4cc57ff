"""failed tries to sign in"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('tries',
    sa.Column('account', sa.LargeBinary(), nullable=False),
    sa.Column('place', sa.LargeBinary(), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('free_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('failures >= 0', name='failures_are_counted'),
    sa.PrimaryKeyConstraint('account', 'place'),
    schema='auth_service',
    postgresql_with={'fillfactor': 70}
    )
    op.create_index('tries_by_age', 'tries', ['last_at'], unique=False, schema='auth_service')


def downgrade() -> None:
    op.drop_index('tries_by_age', table_name='tries', schema='auth_service')
    op.drop_table('tries', schema='auth_service')
