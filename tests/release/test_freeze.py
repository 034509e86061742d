from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.release import freeze
from provenance.release.freeze import TEST_PERCENT, choose_split, freeze_samples
from provenance.store.samples import count_classes
from provenance.store.session import read_session
from tests.service import LocalService


def test_a_release_folder_opens_as_a_dataset_with_its_splits(
    service: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    datasets = pytest.importorskip("datasets")
    release = service.get("/api/v1/releases/tutor@1")
    folder = service.data_dir / "releases" / "tutor" / "1"
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in loaded.items()} == release["splits"]
    row = loaded["train"][0]
    assert [message["role"] for message in row["prompt"] + row["completion"]] == ["user", "assistant"]


@given(st.text(max_size=40))
def test_the_side_of_a_prompt_depends_on_its_text_alone(text: str) -> None:
    prompt = [{"role": "user", "content": text}]
    assert choose_split(prompt) == choose_split(list(map(dict, prompt)))
    assert choose_split(prompt) in {"train", "test"}


def test_about_the_wanted_share_of_prompts_is_held_out() -> None:
    sides = [choose_split([{"role": "user", "content": str(number)}]) for number in range(2000)]
    assert sides.count("test") / len(sides) == pytest.approx(TEST_PERCENT / 100, abs=0.03)


def test_many_samples_make_many_shards_in_log_order(
    service: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze, "ROWS_PER_GROUP", 7)
    monkeypatch.setattr(freeze, "ROWS_PER_SHARD", 14)
    seen: list[int] = []
    with read_session(service.runtime.engine) as session:
        size = service.log_size()
        classes = {item.id: "allow" for item in count_classes(session, "mixed", {}, size)}
        frozen = freeze_samples(
            session, tmp_path, dataset="mixed", verdicts=classes, log_size=size, progress=seen.append
        )
    assert len(frozen.indices) == sum(frozen.splits.values()) == sum(file["rows"] for file in frozen.files) == 100
    assert frozen.indices == sorted(frozen.indices)
    assert seen == sorted(seen)
    assert seen[-1] == 100
    assert len([file for file in frozen.files if file["path"].startswith("data/train-")]) > 2
    assert {file["path"] for file in frozen.files} == {f"data/{path.name}" for path in (tmp_path / "data").iterdir()}


def test_nothing_behind_the_log_size_and_of_no_other_class_is_taken(service: LocalService, tmp_path: Path) -> None:
    with read_session(service.runtime.engine) as session:
        (gpt,) = count_classes(session, "mixed", {"teacher": "openai/gpt-4o"}, service.log_size())
        entry = service.get("/api/v1/log/lookup/external-id/mixed-65")["index"]
        frozen = freeze_samples(
            session, tmp_path, dataset="mixed", verdicts={gpt.id: "allow"}, log_size=entry, progress=lambda _: None
        )
    assert frozen.indices == [entry - 5, entry - 4, entry - 3, entry - 2, entry - 1]
