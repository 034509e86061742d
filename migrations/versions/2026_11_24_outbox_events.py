"""the outbox also holds events about an entry, not only notices of recalls"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "2026_11_24_outbox_events"
down_revision = "2026_11_24_job_numbers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_notice_recall", table_name="notice")
    op.execute("ALTER TABLE notice RENAME COLUMN recall TO about")
    op.add_column("notice", sa.Column("entry", BIG, nullable=True))
    op.create_index("ix_notice_about", "notice", ["about"])


def downgrade() -> None:
    op.execute("DELETE FROM notice WHERE entry IS NOT NULL")
    op.drop_index("ix_notice_about", table_name="notice")
    op.drop_column("notice", "entry")
    op.execute("ALTER TABLE notice RENAME COLUMN about TO recall")
    op.create_index("ix_notice_recall", "notice", ["recall"])
