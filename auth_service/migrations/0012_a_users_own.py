"""a user's keys that work and their latest sign-ins, by index"""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('sessions_of_user_by_time', 'sessions', ['user_id', 'created_at', 'id'], unique=False, schema='auth_service')
    op.create_index('api_keys_that_work', 'api_keys', ['user_id', 'created_at', 'id'], unique=False, schema='auth_service', postgresql_where=sa.text('revoked_at IS NULL'))


def downgrade() -> None:
    op.drop_index('api_keys_that_work', table_name='api_keys', schema='auth_service', postgresql_where=sa.text('revoked_at IS NULL'))
    op.drop_index('sessions_of_user_by_time', table_name='sessions', schema='auth_service')
