"""the lineage graph; empty until `provenance db reindex`, as parents of samples stand in the entries alone"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "2026_11_24_lineage"
down_revision = "2026_11_24_class_blocks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lineage_node",
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("entry", BIG, nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("revision", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("dataset_id", sa.Integer(), nullable=True),
        sa.Column("fact_class_id", sa.Integer(), nullable=True),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("tokens", BIG, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name="fk_lineage_node_dataset_id_dataset"),
        sa.ForeignKeyConstraint(["fact_class_id"], ["fact_class.id"], name="fk_lineage_node_fact_class_id_fact_class"),
        sa.PrimaryKeyConstraint("id", name="pk_lineage_node"),
    )
    op.create_index("uq_lineage_node_kind_key", "lineage_node", ["kind", "key"], unique=True)
    op.create_index("ix_lineage_node_fact_class_id_dataset_id", "lineage_node", ["fact_class_id", "dataset_id"])
    op.create_index("ix_lineage_node_name", "lineage_node", ["name"])
    op.create_index("ix_lineage_node_digest", "lineage_node", ["digest"])
    op.create_table(
        "lineage_edge",
        sa.Column("parent", BIG, nullable=False),
        sa.Column("child", BIG, nullable=False),
        sa.Column("relation", sa.String(), nullable=False),
        sa.Column("entry", BIG, nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("tokens", BIG, nullable=False),
        sa.ForeignKeyConstraint(["parent"], ["lineage_node.id"], name="fk_lineage_edge_parent_lineage_node"),
        sa.ForeignKeyConstraint(["child"], ["lineage_node.id"], name="fk_lineage_edge_child_lineage_node"),
        sa.PrimaryKeyConstraint("parent", "child", "relation", name="pk_lineage_edge"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("lineage_edge")
    op.drop_table("lineage_node")
