"""Bring a database to the newest schema, by the Alembic migrations that travel with the package."""

from __future__ import annotations

from alembic import command
from alembic.config import Config

from provenance.resources import find_resource


def alembic_config(url: str) -> Config:
    """Alembic's configuration for the database at `url`."""
    config = Config()
    config.set_main_option("script_location", str(find_resource("migrations")))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Apply every migration that the database has not seen; on a fresh one, all."""
    command.upgrade(alembic_config(url), "head")
