"""`verify.js` in a real browser: true evidence passes, and each alteration fails at the step that is there for it."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.verify_page import flip, seeded, serve_verify_page
from tests.evidence_factory import Log, encode, make_log, new_signer

pytestmark = pytest.mark.browser

STEPS = ["record", "signature", "checkpoint", "inclusion", "text"]
ALL_OK = dict.fromkeys(STEPS, "ok")


@pytest.fixture(scope="module")
def run(chromium_path: str) -> Iterator[Callable[..., list[Any]]]:
    yield from serve_verify_page(chromium_path)


@pytest.fixture(scope="module")
def log() -> Log:
    return make_log()


def check(run: Callable[..., list[Any]], evidence: Any, pinned: list[str] | None = None) -> dict[str, Any]:
    (answer,) = run("evidence", [{"evidence": evidence, "pinnedVkeys": pinned or []}])
    assert "error" not in answer, answer
    assert list(answer["value"]["steps"]) == STEPS, "a step that fails hides no other"
    assert answer["value"]["all"] is (answer["value"]["steps"] == ALL_OK)
    return dict(answer["value"])


def test_true_evidence_passes_every_step(run: Callable[..., list[Any]], log: Log) -> None:
    for number in range(5):
        answer = check(run, log.evidence(number))
        assert answer["steps"] == ALL_OK, answer
        assert "not pinned" in answer["notes"]["checkpoint"]
        assert "ML-DSA-44" in answer["notes"]["checkpoint"]


def test_a_pinned_key_is_said_to_be_and_another_one_fails(run: Callable[..., list[Any]], log: Log) -> None:
    evidence = log.evidence(0)
    answer = check(run, evidence, log.vkeys()[:1])
    assert answer["steps"] == ALL_OK
    assert "pinned by you" in answer["notes"]["checkpoint"]
    other = check(run, evidence, make_log().vkeys()[:1])
    assert other["steps"] == ALL_OK | {"checkpoint": "bad"}


def test_evidence_of_another_log_is_refused_by_the_pin_alone(run: Callable[..., list[Any]], log: Log) -> None:
    forged = make_log().evidence(0)
    assert check(run, forged)["steps"] == ALL_OK
    assert check(run, forged, log.vkeys()[:1])["steps"]["checkpoint"] == "bad"


def test_erased_text_is_not_checked_and_not_wrong(run: Callable[..., list[Any]], log: Log) -> None:
    answer = check(run, log.evidence(0) | {"opening": None})
    assert answer["steps"] == ALL_OK | {"text": "unsure"}


def test_a_revoked_collector_is_said(run: Callable[..., list[Any]], log: Log) -> None:
    evidence = log.evidence(0)
    evidence["keys"].append(
        next(key for key in evidence["keys"] if key["purpose"] == "collector") | {"state": "revoked"}
    )
    assert check(run, evidence)["steps"] == ALL_OK | {"signature": "unsure"}


@pytest.mark.parametrize(("behind", "state"), [(1, "ok"), (0, "unsure"), (-1, "unsure")])
def test_a_revoked_collector_s_batch_counts_below_the_last_good_size(
    run: Callable[..., list[Any]], log: Log, behind: int, state: str
) -> None:
    evidence = log.evidence(0)
    collector = next(key for key in evidence["keys"] if key["purpose"] == "collector")
    evidence["keys"].append(collector | {"state": "revoked", "last_good_size": log.batch_index + behind})
    assert check(run, evidence)["steps"] == ALL_OK | {"signature": state}


@pytest.mark.parametrize("good", [11, 12, 13, None, "12"])
def test_a_revoked_log_key_s_line_counts_up_to_its_last_good_size(
    run: Callable[..., list[Any]], log: Log, good: Any
) -> None:
    """The tree has 12 entries; of the log's lines the browser checks only the Ed25519 one."""
    evidence = log.evidence(0)
    said = {"purpose": "log", "keyid": log.log.vkey.key_id.hex(), "algorithm": "ed25519", "state": "revoked"}
    evidence["keys"].append(said if good is None else said | {"last_good_size": good})
    answer = check(run, evidence, log.vkeys()[:1])
    counts = good in (12, 13)
    assert answer["steps"] == ALL_OK | {"checkpoint": "ok" if counts else "bad"}
    assert counts or "revoked" in answer["notes"]["checkpoint"]


def test_the_revocation_of_another_log_key_changes_nothing(run: Callable[..., list[Any]], log: Log) -> None:
    evidence = log.evidence(0)
    pq = log.log_pq.vkey.key_id.hex()
    evidence["keys"].append({"purpose": "log", "keyid": pq, "state": "revoked", "last_good_size": 1})
    assert check(run, evidence)["steps"] == ALL_OK


ALTERED: dict[str, tuple[Callable[[dict[str, Any]], object], set[str]]] = {
    "another entry": (lambda e: e.update(entry=make_log().evidence(1)["entry"]), {"signature", "inclusion", "text"}),
    "an entry with a space": (
        lambda e: e.update(entry=encode(base64.b64decode(e["entry"]) + b" ")),
        {"record", "signature", "inclusion", "text"},
    ),
    "another place": (lambda e: e["batch"].update(position=1), {"signature"}),
    "another index": (lambda e: e.update(index=4), {"signature", "inclusion"}),
    "another batch index": (lambda e: e["batch"].update(index=9), {"signature", "inclusion"}),
    "a path cut": (lambda e: e["batch"]["path"].pop(), {"signature"}),
    "a path bent": (lambda e: e["batch"]["path"].__setitem__(0, encode(bytes(32))), {"signature"}),
    "another batch": (
        lambda e: e["batch"].update(entry=make_log().evidence(0)["batch"]["entry"]),
        {"signature", "inclusion"},
    ),
    "no collector key": (lambda e: e.update(keys=[]), {"signature"}),
    "a key under another id": (
        lambda e: e["keys"][1].update(public_key=encode(new_signer().public_key.spki)),
        {"signature"},
    ),
    "a collector key with another purpose": (lambda e: e["keys"][1].update(purpose="release"), {"signature"}),
    "no log key": (lambda e: e.update(vkeys=[]), {"checkpoint"}),
    "another log key": (lambda e: e.update(vkeys=make_log().vkeys()), {"checkpoint"}),
    "another size": (
        lambda e: [e.update({name: e[name].replace("\n12\n", "\n13\n")}) for name in ("proof", "batch_proof")],
        {"checkpoint", "inclusion"},
    ),
    "two checkpoints": (
        lambda e: e.update(batch_proof=make_log().evidence(0)["batch_proof"]),
        {"checkpoint", "inclusion"},
    ),
    "a proof for another entry": (lambda e: e.update(proof=e["batch_proof"]), {"inclusion"}),
    "no proof": (lambda e: e.update(proof=""), {"checkpoint", "inclusion"}),
    "another prompt": (lambda e: e["opening"].update(prompt="?"), {"text"}),
    "another completion": (lambda e: e["opening"]["completion"][0].update(content="5"), {"text"}),
    "another salt": (lambda e: e["opening"].update(prompt_salt="00" * 32), {"text"}),
    "a short salt": (lambda e: e["opening"].update(completion_salt="00"), {"text"}),
    "nothing at all": (lambda e: e.clear(), {"record", "signature", "checkpoint", "inclusion"}),
}


@pytest.mark.parametrize("name", ALTERED)
def test_altered_evidence_fails_at_the_step_that_is_there_for_it(
    run: Callable[..., list[Any]], log: Log, name: str
) -> None:
    alter, bad = ALTERED[name]
    evidence = copy.deepcopy(log.evidence(0))
    alter(evidence)
    steps = check(run, evidence)["steps"]
    assert {step for step, state in steps.items() if state == "bad"} == bad


def test_any_flipped_bit_of_the_signed_parts_fails(run: Callable[..., list[Any]], log: Log) -> None:
    rng = seeded(7)
    evidence = log.evidence(2)
    cases = []
    for _ in range(120):
        bent = copy.deepcopy(evidence)
        part = rng.choice(["entry", "batch entry", "path"])
        if part == "entry":
            bent["entry"] = flip(bent["entry"], rng)
        elif part == "batch entry":
            bent["batch"]["entry"] = flip(bent["batch"]["entry"], rng)
        else:
            at = rng.randrange(len(bent["batch"]["path"]))
            bent["batch"]["path"][at] = flip(bent["batch"]["path"][at], rng)
        cases.append({"evidence": bent, "pinnedVkeys": []})
    answers = run("evidence", cases)
    assert [answer for answer in answers if answer["value"]["all"]] == []
