from tests.service import start_service  # noqa: F401  # a fixture
