"""Problem details become the errors that they were."""

from __future__ import annotations

import pytest

from provenance.client.problem import restore
from provenance.errors import DeniedError, ProvenanceError
from provenance.publication.judge import BLOCKED


@pytest.mark.parametrize("decision", [None, {"id": "dec_1"}])
@pytest.mark.parametrize("code", ["denied", "release-not-allowed", BLOCKED])
def test_a_refusal_by_policy_is_one_whatever_its_code(code: str, decision: dict[str, str] | None) -> None:
    error = restore({"code": code, "title": DeniedError.title, "detail": "no", "decision": decision}, 409)
    assert isinstance(error, DeniedError)
    assert (error.code, error.exit_code, error.detail, error.decision) == (code, 5, "no", decision)


def test_an_unknown_code_is_of_the_kind_that_its_status_says() -> None:
    error = restore({"code": "of-tomorrow", "detail": "changed meanwhile"}, 409)
    assert (type(error).__name__, error.code) == ("ConflictError", "of-tomorrow")
    assert isinstance(restore({"code": "of-tomorrow"}), ProvenanceError)
