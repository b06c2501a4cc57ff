"""users who are erased"""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('users', sa.Column('erased_at', sa.DateTime(timezone=True), nullable=True), schema='auth_service')
    op.add_column('users', sa.Column('erase_again_at', sa.DateTime(timezone=True), nullable=True), schema='auth_service')
    op.create_check_constraint('erased_ones_are_disabled', 'users', 'erased_at IS NULL OR disabled_at IS NOT NULL', schema='auth_service')
    op.create_index('users_to_erase_again', 'users', ['erase_again_at'], unique=False, schema='auth_service', postgresql_where=sa.text('erase_again_at IS NOT NULL'))


def downgrade() -> None:
    op.drop_index('users_to_erase_again', table_name='users', schema='auth_service', postgresql_where=sa.text('erase_again_at IS NOT NULL'))
    op.drop_constraint('erased_ones_are_disabled', 'users', schema='auth_service', type_='check')
    op.drop_column('users', 'erase_again_at', schema='auth_service')
    op.drop_column('users', 'erased_at', schema='auth_service')
