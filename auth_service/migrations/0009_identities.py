"""users whom another issuer knows"""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('identities',
    sa.Column('issuer', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['auth_service.users.id'], ),
    sa.PrimaryKeyConstraint('issuer', 'subject'),
    schema='auth_service'
    )
    op.create_index('identities_of_user', 'identities', ['user_id'], unique=False, schema='auth_service')


def downgrade() -> None:
    op.drop_index('identities_of_user', table_name='identities', schema='auth_service')
    op.drop_table('identities', schema='auth_service')
