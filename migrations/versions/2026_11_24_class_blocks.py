"""samples and tokens of each fact class by block of entries"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "2026_11_24_class_blocks"
down_revision = "2026_11_24_first_schema"
branch_labels = None
depends_on = None

BLOCK_ENTRIES = 1 << 16


def upgrade() -> None:
    op.create_table(
        "class_block",
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("fact_class_id", sa.Integer(), nullable=False),
        sa.Column("block", BIG, nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("tokens", BIG, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name="fk_class_block_dataset_id_dataset"),
        sa.ForeignKeyConstraint(["fact_class_id"], ["fact_class.id"], name="fk_class_block_fact_class_id_fact_class"),
        sa.PrimaryKeyConstraint("dataset_id", "fact_class_id", "block", name="pk_class_block"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO class_block (dataset_id, fact_class_id, block, samples, tokens) "
        f'SELECT dataset_id, fact_class_id, "index" / {BLOCK_ENTRIES}, count(*), sum(tokens) FROM sample '
        f'GROUP BY dataset_id, fact_class_id, "index" / {BLOCK_ENTRIES}'
    )


def downgrade() -> None:
    op.drop_table("class_block")
