"""API keys"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('api_keys',
    sa.Column('digest', sa.LargeBinary(), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('hint', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('scopes', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('jsonb_array_length(scopes) > 0', name='scopes_are_given'),
    sa.ForeignKeyConstraint(['user_id'], ['auth_service.users.id'], ),
    sa.PrimaryKeyConstraint('digest'),
    sa.UniqueConstraint('id'),
    schema='auth_service',
    postgresql_with={'fillfactor': 80}
    )
    op.create_index('api_keys_of_user', 'api_keys', ['user_id', 'created_at', 'id'], unique=False, schema='auth_service')
    op.create_index('api_keys_revoked', 'api_keys', ['revoked_at'], unique=False, schema='auth_service', postgresql_where=sa.text('revoked_at IS NOT NULL'))
    op.create_index('api_keys_by_expiry', 'api_keys', ['expires_at'], unique=False, schema='auth_service')


def downgrade() -> None:
    op.drop_index('api_keys_by_expiry', table_name='api_keys', schema='auth_service')
    op.drop_index('api_keys_revoked', table_name='api_keys', schema='auth_service', postgresql_where=sa.text('revoked_at IS NOT NULL'))
    op.drop_index('api_keys_of_user', table_name='api_keys', schema='auth_service')
    op.drop_table('api_keys', schema='auth_service')
