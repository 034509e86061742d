"""The straightforward service that ours is measured against: pydantic, one signature a sample, the ORM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel
from sqlalchemy import JSON, create_engine
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel

KEY = Ed25519PrivateKey.generate()


class NaiveSample(BaseModel):
    dataset: str
    teacher: dict[str, Any]
    generated_at: str
    prompt: str
    completion: str
    parameters: dict[str, Any]
    usage: dict[str, int]
    prompt_origin: dict[str, Any]


class NaiveBase(SQLModel, registry=registry()):
    """A registry of its own: the peer's table is none of the product's."""


class NaiveRow(NaiveBase, table=True):
    __tablename__ = "naive_row"
    id: int | None = Field(default=None, primary_key=True)
    dataset: str = Field(index=True)
    teacher: str = Field(index=True)
    generated_at: str = Field(index=True)
    body: dict[str, Any] = Field(sa_type=JSON)
    signature: bytes


def open_naive(folder: Path) -> Any:
    engine = create_engine(f"sqlite:///{folder / 'naive.db'}")
    NaiveBase.metadata.create_all(engine)
    return engine


def record_naively(engine: Any, body: bytes) -> None:
    with Session(engine) as session:
        for line in body.split(b"\n"):
            sample = NaiveSample.model_validate_json(line)
            said = sample.model_dump()
            row = NaiveRow(
                dataset=sample.dataset,
                teacher=f"{sample.teacher['provider']}/{sample.teacher['model']}",
                generated_at=sample.generated_at,
                body=said,
                signature=KEY.sign(rfc8785.dumps(said)),
            )
            session.add(row)
        session.commit()
