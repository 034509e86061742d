from tests.service import start_service, world  # noqa: F401  # fixtures
