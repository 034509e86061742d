"""the order in which jobs were asked for"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "2026_11_24_job_numbers"
down_revision = "2026_11_24_notices"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("number", BIG, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("job", "number")
