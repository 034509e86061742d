from tests.lineage.conftest import story
from tests.store.logs import catalogue, log, sqlite_log

__all__ = ["catalogue", "log", "sqlite_log", "story"]
