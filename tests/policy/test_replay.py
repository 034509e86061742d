"""Past decisions under other rules and terms, and what any student would have to be."""

from __future__ import annotations

import shutil
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.policy.decide import decide_classes
from provenance.policy.pack import Pack, load_pack
from provenance.policy.replay import PastDecision, count_flips, replay_decisions
from provenance.policy.residual import describe_residual
from provenance.resources import find_resource
from provenance.terms.catalogue import Catalogue, load_catalogue
from tests.policy.conftest import make_sample, make_student

SMOLLM = "huggingface-smollm/smollm2-135m-instruct"
PAST = PastDecision(
    id="dec_1",
    action="train",
    student=make_student(),
    classes=[
        ("sha256:aa", make_sample(SMOLLM), 60, 600, "allow"),
        ("sha256:bb", make_sample("meta/llama-3-8b"), 30, 300, "deny"),
    ],
)


def test_the_same_rules_and_terms_flip_nothing(catalogue: Catalogue, pack: Pack) -> None:
    assert replay_decisions([PAST], catalogue=catalogue, pack=pack) == []


@settings(max_examples=20)
@given(
    st.lists(st.sampled_from([SMOLLM, "meta/llama-3-8b", "deepseek/deepseek-v3", "no/body"]), min_size=1, max_size=3),
    st.sampled_from(["train", "release", "publish", "serve"]),
    st.dictionaries(st.sampled_from(["distribution", "competes_with", "territories"]), st.just("unknown"), max_size=2),
)
def test_whatever_was_asked_the_same_rules_and_terms_flip_nothing(
    catalogue: Catalogue, pack: Pack, teachers: list[str], action: str, changes: dict[str, str]
) -> None:
    student = make_student(**changes)
    asked = [(f"sha256:{number}", make_sample(name), 1, 1) for number, name in enumerate(teachers)]
    answered = decide_classes(asked, student, action, catalogue=catalogue, pack=pack, remedies=False)
    classes = [(item.digest, item.facts, 1, 1, item.verdict) for item in answered.classes]
    past = PastDecision(id="dec_2", action=action, student=student, classes=classes)
    assert replay_decisions([past], catalogue=catalogue, pack=pack) == []


def test_a_dropped_rule_flips_what_it_held(tmp_path: Path, catalogue: Catalogue) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(find_resource("policies", "rules"), folder)
    text = (folder / "competition.cedar").read_text(encoding="utf-8")
    (folder / "competition.cedar").write_text(text.replace("!resource.bars_any_model.isEmpty()", "false"))
    flips = replay_decisions([PAST], catalogue=catalogue, pack=load_pack(folder))
    assert [(flip.fact_class, flip.before, flip.after, flip.stricter) for flip in flips] == [
        ("sha256:bb", "deny", "review", False)
    ]
    assert count_flips(flips) == {"deny -> review": {"classes": 1, "samples": 30, "tokens": 300}}


def test_changed_terms_flip_what_they_bind(tmp_path: Path, pack: Pack) -> None:
    folder = tmp_path / "terms"
    shutil.copytree(find_resource("policies", "terms"), folder)
    path = folder / "huggingface-smollm.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("value: allowed\n", "value: silent\n"), encoding="utf-8")
    flips = replay_decisions([PAST], catalogue=load_catalogue(folder), pack=pack)
    assert [(flip.fact_class, flip.after, flip.stricter) for flip in flips] == [("sha256:aa", "review", True)]
    assert flips[0].rules == ("terms.no-explicit-permission",)


def test_what_remains_is_said_of_any_student(catalogue: Catalogue) -> None:
    openai = " ".join(describe_residual(make_sample("openai/gpt-4o", "api"), catalogue))
    assert "it does not compete with openai" in openai
    assert "classifiers, embeddings" in openai
    assert "the account is the developer's own" in openai
    llama = " ".join(describe_residual(make_sample(), catalogue))
    assert "any student (1.b.i" in llama
    assert "name-prefix" in llama
    silent = " ".join(describe_residual(make_sample("minimax/minimax-m2.5"), catalogue))
    assert "if an agreement permits it" in silent
    unread = " ".join(describe_residual(make_sample("moonshot/kimi-k2-thinking"), catalogue))
    assert "if the permission is verified" in unread
    found = " ".join(describe_residual(make_sample("openai/gpt-4o", "dataset"), catalogue))
    assert "allowed to pass it on" in found
    gap = " ".join(describe_residual(make_sample("mistral/mistral-large", "api", generated_at="2025-03-01"), catalogue))
    assert "which text held on that day" in gap
    nobody = describe_residual(make_sample("quiet-labs/quiet-1"), catalogue)
    assert nobody == ["Not before this is settled: no provider 'quiet-labs' is on record."]
