from tests.service import service, start_service, world

__all__ = ["service", "start_service", "world"]
