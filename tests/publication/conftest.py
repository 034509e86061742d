from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.finished import finish
from tests.service import LocalService, make_samples, open_service

pytest.importorskip("trl")  # a run is planned by the training packages
GEMMA = {"provider": "google", "model": "gemma-2-9b", "route": "weights", "obtained_at": "2025-03-01"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    """A service with `mdl_llama`, which must begin with "Llama", and `mdl_free`, which may go out as it is."""
    with open_service(tmp_path_factory.mktemp("shop") / "data") as service:
        service.capture(make_samples(apache=30, openai=0, llama=10))
        student = service.declare()
        assert service.release(student, "tutor")["state"] == "allowed"
        assert (
            service.release(student, "free", teacher="huggingface-smollm/smollm2-135m-instruct")["state"] == "allowed"
        )
        assert finish(service.runtime, "run_llama") == "mdl_llama"
        assert finish(service.runtime, "run_free", release="free@1") == "mdl_free"
        yield service


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "published"
