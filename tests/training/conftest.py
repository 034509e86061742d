"""A tiny teacher with random weights, and releases that look like ours: everything is made here, nothing is fetched."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service import service, world  # noqa: F401  # fixtures of the tests of `launch`

TEXTS = [
    "The river carries sand to the sea, and the sea gives it back to the beach.",
    "A good question is worth more than a quick answer.",
    "Bread needs flour, water, salt and time; the last one cannot be bought.",
    "Whoever reads the map first chooses the way, and whoever walks it learns the hills.",
    "Seven small boats left the harbour before the wind turned.",
    "The teacher wrote a word on the board and waited until the class was quiet.",
]


def make_rows(count: int, *, start: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "entry_index": start + place,
            "prompt": [{"role": "user", "content": f"Say sentence number {place % len(TEXTS)}, please."}],
            "completion": [{"role": "assistant", "content": TEXTS[place % len(TEXTS)]}],
            "teacher": "local/tiny",
            "terms": ["apache-2.0"],
            "fact_class": "sha256:" + "0" * 64,
            "verdict": "allow",
            "evidence": "recorded",
        }
        for place in range(count)
    ]


def write_release(folder: Path, train: list[dict[str, Any]], test: list[dict[str, Any]]) -> str:
    """A release folder as the release builder writes it; the answer is the manifest's digest."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    texts = [(name, pa.string()) for name in ("fact_class", "verdict", "evidence")]
    schema = pa.schema(
        [
            ("entry_index", pa.int64()),
            ("prompt", message),
            ("completion", message),
            ("teacher", pa.string()),
            ("terms", pa.list_(pa.string())),
            *texts,
        ]
    )
    (folder / "data").mkdir(parents=True)
    files = []
    for split, rows in (("train", train), ("test", test)):
        path = folder / "data" / f"{split}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        data = path.read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        files.append({"path": f"data/{path.name}", "digest": digest, "size_bytes": len(data), "rows": len(rows)})
    manifest = json.dumps({"files": files}).encode()
    (folder / "manifest.json").write_bytes(manifest)
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


@pytest.fixture
def release(tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "release"
    return folder, write_release(folder, make_rows(24), make_rows(6, start=100))


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A four-layer Llama with random weights and a byte-level BPE of about 400 tokens."""
    from provenance.training.student import build_scratch

    folder = tmp_path_factory.mktemp("teacher")
    build_scratch(TEXTS * 4, folder, seed=3, tokens=420, hidden=64, layers=4)
    return folder


@pytest.fixture
def make_plan(tmp_path: Path, release: tuple[Path, str], tiny_teacher: Path) -> Callable[..., Path]:
    """Writes a plan for the release and the tiny teacher; the answer is its file."""
    from provenance.training.plan import Plan, code_digest, format_plan

    def make(name: str = "run", config: dict[str, Any] | None = None, **changes: Any) -> Path:
        settings = {"layers": 2, "common_tokens": 300, "max_steps": 8, "save_steps": 2, "sample_generations": 1}
        output = tmp_path / name
        output.mkdir(exist_ok=True)
        fields: dict[str, Any] = {
            "run_id": name,
            "release_dir": str(release[0]),
            "release_digest": release[1],
            "output_dir": str(output),
            "base_model_dir": str(tiny_teacher),
            "teacher_dir": str(tiny_teacher),
            "config": settings | (config or {}),
            "seed": 11,
            "device": "cpu",
            "threads": 1,
            "code_digest": code_digest(),
        }
        path = tmp_path / f"{name}.plan.json"
        path.write_bytes(format_plan(Plan(**(fields | changes))))
        return path

    return make


@pytest.fixture(scope="session")
def sharp_teacher(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny teacher with firm opinions: random weights alone are nearly indifferent, and nothing could be learnt."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("sharp") / "model"
    shutil.copytree(tiny_teacher, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * 12
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def make_kd(make_plan: Callable[..., Path], sharp_teacher: Path) -> Callable[..., Path]:
    """A plan of recipe `kd` with the sharp teacher."""

    def make(name: str = "run", config: dict[str, Any] | None = None, **changes: Any) -> Path:
        from provenance.training.files import digest_files, list_files

        digest = digest_files(list_files(sharp_teacher))
        fields = {"recipe": "kd", "teacher": "local/tiny", "teacher_dir": str(sharp_teacher), "teacher_digest": digest}
        return make_plan(name, config, **(fields | changes))

    return make
