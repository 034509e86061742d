"""Settings, read from the environment by entry points only; parts are handed down as arguments."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from provenance.errors import FieldError, SettingsError
from provenance.prices import Prices, read_prices

MAX_WORKERS = 64


class Settings(BaseSettings):
    """What a service or an embedded command is started with; each field is `PROVENANCE_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="PROVENANCE_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("provenance"),
        description="holds the database, keys, published log, releases, runs and reports",
    )
    database_url: str | None = Field(
        default=None, description="`postgresql://...`; SQLite in the data directory if unset"
    )
    key_passphrase: SecretStr | None = Field(
        default=None, description="opens the private keys; if unset, a random one is kept in `keys/passphrase`"
    )
    origin: str | None = Field(
        default=None, description="name of the log in its checkpoints; only read when the log is created"
    )
    host: str = Field(default="127.0.0.1", description="address that the service listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="port that the service listens on")
    workers: int = Field(
        default=1,
        ge=1,
        le=MAX_WORKERS,
        description="server processes; beside more than one stands one that writes the log",
    )
    single_user: bool = Field(
        default=True, description="on loopback, let people read pages without a token; writes always need one"
    )
    max_body_bytes: int = Field(default=32_000_000, ge=1024, description="largest request body")
    gateway_timeout_seconds: float = Field(default=120.0, gt=0, description="how long the gateway waits for a teacher")

    witness_policy: Path | None = Field(
        default=None, description="tlog-policy file: witnesses that are asked to cosign, and the quorum that must have"
    )
    witness_max_age_seconds: int = Field(
        default=600, ge=60, description="oldest cosignature that counts; asked for anew at half of it"
    )

    webhook_secret: SecretStr | None = Field(
        default=None, description="signs the notices that recalls send to webhooks (Standard Webhooks, HMAC-SHA-256)"
    )
    smtp_url: SecretStr | None = Field(
        default=None, description="mail server for notices, `smtp[s]://[user:password@]host[:port]`; needed for mailto:"
    )
    smtp_from: str | None = Field(default=None, description="sender of these mails")
    openlineage_url: str | None = Field(
        default=None,
        pattern=r"^(https://|http://(127\.0\.0\.1|\[::1\]|localhost)[:/])[^\s@#]+$",
        description="where OpenLineage events are posted, such as `https://HOST/api/v1/lineage`",
    )
    openlineage_api_key: SecretStr | None = Field(
        default=None, description="the bearer token that this endpoint asks for"
    )
    cpu_slots: int = Field(
        default=1, ge=1, le=1024, description="runs on this machine's processors at a time; others wait in order"
    )
    ray_url: str | None = Field(
        default=None, pattern=r"^https?://[^/?#@]+/?$", description="address of a Ray cluster's dashboard"
    )
    ray_token: SecretStr | None = Field(default=None, description="the token that the Ray cluster asks for")
    ray_shared_dir: Path | None = Field(
        default=None, description="folder that the service and the cluster's nodes see under the same path"
    )
    ray_python: str | None = Field(
        default=None, description="path, on the cluster's nodes, of a Python with the packages of `[train]`"
    )
    prices: Path | None = Field(
        default=None, description="YAML table of prices (per device hour, per kWh), by which the cost of runs is stated"
    )
    publish_url: str | None = Field(
        default=None,
        description="where the log is published besides `log/` in the data directory: a path, `file:///…` or `s3://bucket/prefix`",
    )

    @cached_property
    def price_table(self) -> Prices | None:
        """The user's prices, read once; None where no table is named.

        Raises:
            SettingsError: the table cannot be read, or holds what is no price.
        """
        return None if self.prices is None else read_prices(self.prices)

    @property
    def resolved_database_url(self) -> str:
        """The database address in use."""
        return self.database_url or f"sqlite:///{self.data_dir / 'provenance.db'}"

    @property
    def workflow_database_url(self) -> str:
        """Where DBOS keeps its checkpoints: beside ours on PostgreSQL, a file of its own when embedded."""
        return self.database_url or f"sqlite:///{self.data_dir / 'workflows.db'}"


def load_settings() -> Settings:
    """Settings from the environment.

    Raises:
        SettingsError: a variable has a value that it cannot have.
    """
    try:
        return Settings()
    except ValidationError as exc:
        problems = [
            FieldError(f"PROVENANCE_{str(error['loc'][0]).upper()}", error.get("input"), error["msg"])
            for error in exc.errors()
        ]
        named = "; ".join(f"{problem.field}: {problem.expected}" for problem in problems)
        raise SettingsError(named, *problems) from exc


def prepare_data_dir(path: Path) -> Path:
    """Make the data directory, for its owner alone.

    Raises:
        SettingsError: it cannot be made or written.
    """
    expected = "a directory that this user may write"
    problem = FieldError("PROVENANCE_DATA_DIR", str(path), expected)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=path):  # a name of its own: another process may be opening the same directory
            pass
    except OSError as exc:
        raise SettingsError(
            f"PROVENANCE_DATA_DIR {path} cannot be used ({exc.strerror}); expected {expected}", problem
        ) from exc
    return path
