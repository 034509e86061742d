from tests.service import service, start_service, world  # noqa: F401  # fixtures
