"""A log and somebody who tells it what happened."""

from __future__ import annotations

import pytest

from provenance.terms.catalogue import Catalogue
from tests.lineage.story import Story
from tests.store.logs import Log, catalogue, log, sqlite_log  # noqa: F401  # fixtures


@pytest.fixture
def story(log: Log, catalogue: Catalogue) -> Story:  # noqa: F811  # the fixtures themselves
    """Told on each database."""
    return Story(log, catalogue)
