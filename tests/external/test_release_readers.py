"""Readers of others open a release: mlcroissant, datasets (also streaming), pandas, DuckDB, the hub's own card parser."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest
from huggingface_hub import repocard

from tests.service import LocalService

pytestmark = [
    pytest.mark.external,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of rdflib, in mlcroissant
]
TEACHERS = {"huggingface-smollm/smollm2-135m-instruct", "meta/llama-3.1-8b-instruct"}


@pytest.fixture(scope="module")
def release(service: LocalService, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A release built anew, as it lies on the disk, and what the API says of it; copied, so that no log or key is near."""
    said = service.release(service.get("/api/v1/students/acme-tutor")["id"], "read")
    folder = tmp_path_factory.mktemp("read") / "release"
    return Path(shutil.copytree(service.data_dir / "releases" / "read" / str(said["version"]), folder)), said


def test_mlcroissant_validates_the_description_and_loads_every_record(
    release: tuple[Path, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    pandas = pytest.importorskip("pandas")
    folder, said = release
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert dataset.metadata.ctx.issues.errors == set()
    assert dataset.metadata.ctx.issues.warnings == set()
    assert not [record for record in caplog.records if "not standard" in record.getMessage()]
    assert dataset.metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    shas = {file.sha256 for file in dataset.metadata.distribution if isinstance(file, mlcroissant.FileObject)}
    assert shas == {file["digest"].removeprefix("sha256:") for file in said["files"]}
    seen = []
    for split, rows in said["splits"].items():
        records = list(dataset.records(record_set=split))
        assert len(records) == rows
        for record in records:
            (asked,) = record[f"{split}/prompt"]
            assert asked[f"{split}/prompt/role"] == b"user"
            assert record[f"{split}/completion"][0][f"{split}/completion/content"].startswith(b"answer ")
            seen.append((int(record[f"{split}/entry_index"]), record[f"{split}/teacher"].decode()))
    frame = pandas.concat(pandas.read_parquet(path) for path in (folder / "data").iterdir())
    assert sorted(seen) == sorted(zip(frame["entry_index"], frame["teacher"], strict=True))


def test_mlcroissant_refuses_a_description_whose_fields_are_not_there(
    release: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    broken = tmp_path / "croissant.json"
    text = (release[0] / "croissant.json").read_text()
    broken.write_text(text.replace('"train-files"', '"nothing"', 1))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=str(broken))


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_opens_the_folder_with_its_splits(
    release: tuple[Path, dict[str, Any]], tmp_path: Path, *, streaming: bool
) -> None:
    folder, said = release
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path), streaming=streaming)
    rows = {split: list(loaded[split]) for split in loaded}
    assert {split: len(items) for split, items in rows.items()} == said["splits"]
    assert {row["teacher"] for items in rows.values() for row in items} == TEACHERS
    assert all(row["completion"][0]["content"].startswith("answer ") for items in rows.values() for row in items)


def test_pandas_and_duckdb_read_the_same_rows(release: tuple[Path, dict[str, Any]]) -> None:
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    folder, said = release
    frame = pandas.concat(pandas.read_parquet(path) for path in sorted((folder / "data").iterdir()))
    assert len(frame) == said["counts"]["released"]
    counted = duckdb.sql(
        f"SELECT teacher, count(*), min(entry_index) FROM '{folder}/data/*.parquet' "  # noqa: S608  # a path of ours
        "WHERE prompt[1].role = 'user' AND completion[1].content LIKE 'answer %' GROUP BY teacher ORDER BY teacher"
    ).fetchall()
    held = frame.groupby("teacher")["entry_index"]
    assert counted == [(name, int(held.count()[name]), int(held.min()[name])) for name in sorted(TEACHERS)]


def test_the_hub_s_own_parser_takes_the_card(release: tuple[Path, dict[str, Any]]) -> None:
    """What the hub checks on a push (`DatasetCard.validate`, a request to its server) cannot be asked offline."""
    hub: Any = repocard
    card = hub.DatasetCard.load(release[0] / "README.md")
    said = card.data.to_dict()
    assert said == hub.metadata_load(release[0] / "README.md")
    assert isinstance(card.data, hub.DatasetCardData)
    assert (said["license"], said["license_name"]) == ("other", "terms-of-the-teachers")
    assert (release[0] / said["license_link"]).is_file()
    assert said["size_categories"] == ["n<1K"]
    assert all(list(release[0].glob(item["path"])) for item in said["configs"][0]["data_files"])


def test_the_notice_names_every_document_and_what_it_asks(release: tuple[Path, dict[str, Any]]) -> None:
    notice = (release[0] / "NOTICE.md").read_text()
    assert "`meta-llama-3.1`" in notice
    assert "smollm" in notice
    for condition in release[1]["conditions"]:
        assert condition["requirement"] in notice
    assert "openai" not in notice
