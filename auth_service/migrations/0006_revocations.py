"""sessions that have ended"""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('users', sa.Column('sessions_ended_at', sa.DateTime(timezone=True), nullable=True), schema='auth_service')
    op.create_index('users_signed_out', 'users', ['sessions_ended_at'], unique=False, schema='auth_service', postgresql_where=sa.text('sessions_ended_at IS NOT NULL'))
    op.create_index('sessions_ended', 'sessions', ['ended_at'], unique=False, schema='auth_service', postgresql_where=sa.text('ended_at IS NOT NULL'))


def downgrade() -> None:
    op.drop_index('sessions_ended', table_name='sessions', schema='auth_service', postgresql_where=sa.text('ended_at IS NOT NULL'))
    op.drop_index('users_signed_out', table_name='users', schema='auth_service', postgresql_where=sa.text('sessions_ended_at IS NOT NULL'))
    op.drop_column('users', 'sessions_ended_at', schema='auth_service')
