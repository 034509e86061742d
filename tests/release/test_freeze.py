from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.canonical import canonical_bytes, sha256_digest
from provenance.ledger.merkle import leaf_hash, tree_root
from provenance.ledger.multiproof import make_ranges
from provenance.release import freeze
from provenance.release.freeze import TEST_PERCENT, Frozen, choose_split, freeze_samples
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
    assert (
        frozen.rows
        == sum(map(len, frozen.ranges))
        == sum(frozen.splits.values())
        == sum(file["rows"] for file in frozen.files)
        == 100
    )
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
    assert frozen.ranges == (range(entry - 5, entry),)


@given(st.lists(st.sets(st.integers(0, 400), max_size=30), max_size=8))
def test_the_commitments_grow_to_those_of_the_whole_set(groups: list[set[int]]) -> None:
    whole = sorted(set().union(*groups))
    leaves = {index: leaf_hash(str(index).encode()) for index in whole}
    frozen, step = Frozen(), max(1, len(whole) // 4)
    for start in range(0, len(whole), step):
        part = whole[start : start + step]
        frozen.add(part, [leaves[index] for index in part])
    assert frozen.rows == len(whole)
    assert frozen.ranges == make_ranges(whole)
    assert frozen.leaves_root == f"sha256:{tree_root([leaves[index] for index in whole]).hex()}"
    assert frozen.index_set_digest == sha256_digest(canonical_bytes(whole))


def test_the_same_selection_gives_the_same_bytes(service: LocalService) -> None:
    student = service.get("/api/v1/students/acme-tutor")["id"]
    first, again = (service.release(student, f"same-{number}") for number in range(2))
    assert first["files"] == again["files"] != []
    folders = [service.data_dir / "releases" / item["name"] / "1" for item in (first, again)]
    for file in first["files"]:
        assert (folders[0] / file["path"]).read_bytes() == (folders[1] / file["path"]).read_bytes()
    for name in ("leaves_root", "index_set_digest", "splits", "conditions"):
        assert first[name] == again[name]


def test_memory_does_not_grow_with_the_samples_that_were_taken_up() -> None:
    frozen = Frozen()
    tracemalloc.start()
    for start in range(0, 200_000, 1000):
        frozen.add(range(start, start + 1000), [bytes(32)] * 1000)
    ours = [tracemalloc.Filter(inclusive=True, filename_pattern=f"*/{name}.py") for name in ("freeze", "merkle")]
    held = tracemalloc.take_snapshot().filter_traces(ours)  # a service of other tests runs in this process
    tracemalloc.stop()
    assert frozen.ranges == (range(200_000),)
    assert sum(item.size for item in held.statistics("filename")) < 50_000  # a list of them takes ten megabytes
