"""messages that recalls send, until they have arrived"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_24_notices"
down_revision = "2026_11_24_lineage"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("recall", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.String(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notice"),
    )
    op.create_index("ix_notice_recall", "notice", ["recall"])
    op.create_index("ix_notice_state", "notice", ["state"])


def downgrade() -> None:
    op.drop_table("notice")
