"""what happened to accounts"""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import only_add, only_add_no_more

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('security_events',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('what', sa.Text(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('place', sa.LargeBinary(), nullable=True),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('request_id', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint(
        "what IN ('registered', 'signed_in', 'refused', 'signed_out', 'session_revoked', 'token_reused', "
        "'password_changed', 'role_changed', 'disabled', 'enabled', 'erased', 'exported', 'api_key_created', "
        "'api_key_revoked')",
        name='what_is_known',
    ),
    sa.PrimaryKeyConstraint('id'),
    schema='auth_service'
    )
    op.create_index('security_events_by_time', 'security_events', ['created_at', 'id'], schema='auth_service')
    op.create_index(
        'security_events_of_user', 'security_events', ['user_id', 'created_at', 'id'], schema='auth_service'
    )
    only_add(op.execute, "auth_service", "security_events")


def downgrade() -> None:
    only_add_no_more(op.execute, "auth_service", "security_events")
    op.drop_index('security_events_of_user', table_name='security_events', schema='auth_service')
    op.drop_index('security_events_by_time', table_name='security_events', schema='auth_service')
    op.drop_table('security_events', schema='auth_service')
