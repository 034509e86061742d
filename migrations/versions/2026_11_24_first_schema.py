"""the first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "2026_11_24_first_schema"
down_revision = None
branch_labels = None
depends_on = None


# Entries are never rewritten: the database refuses it, whoever asks.
APPEND_ONLY = ("entry_segment",)


def _forbid_changes() -> None:
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        op.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'entries of the log are never changed'; END $$"
        )
    for table in APPEND_ONLY:
        if dialect == "sqlite":
            # INSERT OR REPLACE deletes without firing a DELETE trigger.
            op.execute(
                f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
                f"WHEN EXISTS (SELECT 1 FROM {table} WHERE first_index = NEW.first_index) "
                "BEGIN SELECT RAISE(ABORT, 'entries of the log are never changed'); END"
            )
        for act in ("UPDATE", "DELETE", "TRUNCATE") if dialect == "postgresql" else ("UPDATE", "DELETE"):
            name = f"{table}_no_{act.lower()}"
            if dialect == "postgresql":
                op.execute(
                    f"CREATE TRIGGER {name} BEFORE {act} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
                )
            else:
                op.execute(
                    f"CREATE TRIGGER {name} BEFORE {act} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'entries of the log are never changed'); END"
                )


def upgrade() -> None:
    op.create_table(
        "content_segment",
        sa.Column("first_index", BIG, autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("frames", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("first_index", name="pk_content_segment"),
    )
    op.create_table(
        "dataset",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("first_index", BIG, nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("tokens", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dataset"),
        sa.UniqueConstraint("name", name="uq_dataset_name"),
    )
    op.create_table(
        "decision",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("index", BIG, nullable=False),
        sa.Column("student", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_decision"),
    )
    op.create_index("ix_decision_student", "decision", ["student"], unique=False)
    op.create_table(
        "entry_segment",
        sa.Column("first_index", BIG, autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("frames", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("first_index", name="pk_entry_segment"),
    )
    op.create_table(
        "fact_class",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("teacher", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fact_class"),
        sa.UniqueConstraint("digest", name="uq_fact_class_digest"),
    )
    op.create_index("ix_fact_class_teacher", "fact_class", ["teacher"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_digest", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency"),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("updated_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
    )
    op.create_index("ix_job_kind", "job", ["kind"], unique=False)
    op.create_table(
        "log_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_log_head"),
    )
    op.create_table(
        "log_tile",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_log_tile"),
    )
    op.create_table(
        "model",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("index", BIG, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("weights_digest", sa.String(), nullable=True),
        sa.Column("run", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
    )
    op.create_index("ix_model_name", "model", ["name"], unique=False)
    op.create_index("ix_model_run", "model", ["run"], unique=False)
    op.create_table(
        "report",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("index", BIG, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_report"),
    )
    op.create_index("ix_report_subject", "report", ["subject"], unique=False)
    op.create_table(
        "run",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("index", BIG, nullable=False),
        sa.Column("first_index", BIG, nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("release", sa.String(), nullable=False),
        sa.Column("student", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
    )
    op.create_index("ix_run_release", "run", ["release"], unique=False)
    op.create_table(
        "statement",
        sa.Column("index", BIG, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("predicate", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("index", name="pk_statement"),
    )
    op.create_index("ix_statement_kind_key", "statement", ["kind", "key"], unique=False)
    op.create_table(
        "student",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("index", BIG, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_student"),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("expires_at", sa.String(), nullable=True),
        sa.Column("revoked_at", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
        sa.UniqueConstraint("digest", name="uq_token_digest"),
    )
    op.create_table(
        "decision_class",
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("fact_class_id", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("tokens", BIG, nullable=False),
        sa.ForeignKeyConstraint(["decision"], ["decision.id"], name="fk_decision_class_decision_decision"),
        sa.ForeignKeyConstraint(
            ["fact_class_id"], ["fact_class.id"], name="fk_decision_class_fact_class_id_fact_class"
        ),
        sa.PrimaryKeyConstraint("decision", "fact_class_id", name="pk_decision_class"),
    )
    op.create_index("ix_decision_class_fact_class_id", "decision_class", ["fact_class_id"], unique=False)
    op.create_table(
        "release",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("index", BIG, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("student", sa.String(), nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("log_size", BIG, nullable=False),
        sa.Column("manifest_digest", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["decision"], ["decision.id"], name="fk_release_decision_decision"),
        sa.PrimaryKeyConstraint("id", name="pk_release"),
    )
    op.create_index("uq_release_name_version", "release", ["name", "version"], unique=True)
    op.create_table(
        "sample",
        sa.Column("index", BIG, autoincrement=False, nullable=False),
        sa.Column("batch_index", BIG, nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("fact_class_id", sa.Integer(), nullable=False),
        sa.Column("generated_at", sa.String(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name="fk_sample_dataset_id_dataset"),
        sa.ForeignKeyConstraint(["fact_class_id"], ["fact_class.id"], name="fk_sample_fact_class_id_fact_class"),
        sa.PrimaryKeyConstraint("index", name="pk_sample"),
    )
    op.create_index(
        "ix_sample_dataset_id_fact_class_id_index", "sample", ["dataset_id", "fact_class_id", "index"], unique=False
    )
    op.create_index("ix_sample_external_id", "sample", ["external_id"], unique=False)
    _forbid_changes()


def downgrade() -> None:
    op.drop_index("ix_sample_external_id", table_name="sample")
    op.drop_index("ix_sample_dataset_id_fact_class_id_index", table_name="sample")
    op.drop_table("sample")
    op.drop_index("uq_release_name_version", table_name="release")
    op.drop_table("release")
    op.drop_index("ix_decision_class_fact_class_id", table_name="decision_class")
    op.drop_table("decision_class")
    op.drop_table("token")
    op.drop_table("student")
    op.drop_index("ix_statement_kind_key", table_name="statement")
    op.drop_table("statement")
    op.drop_index("ix_run_release", table_name="run")
    op.drop_table("run")
    op.drop_index("ix_report_subject", table_name="report")
    op.drop_table("report")
    op.drop_index("ix_model_run", table_name="model")
    op.drop_index("ix_model_name", table_name="model")
    op.drop_table("model")
    op.drop_table("log_tile")
    op.drop_table("log_head")
    op.drop_index("ix_job_kind", table_name="job")
    op.drop_table("job")
    op.drop_table("idempotency")
    op.drop_index("ix_fact_class_teacher", table_name="fact_class")
    op.drop_table("fact_class")
    op.drop_table("entry_segment")
    op.drop_index("ix_decision_student", table_name="decision")
    op.drop_table("decision")
    op.drop_table("dataset")
    op.drop_table("content_segment")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
