"""What `load_release` hands out, in the hands of the trainers it is meant for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provenance.client.release import load_release
from tests.service import LocalService

pytestmark = [pytest.mark.training, pytest.mark.slow]


@pytest.fixture
def found(service: LocalService) -> dict[str, Any]:
    """Folder and keys of tutor@1: what an offline reader needs."""
    return {"release": service.data_dir / "releases" / "tutor" / "1", "keys": service.get("/api/v1/keys")}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers, about its own names
def test_trl_trains_on_a_verified_release(found: dict[str, Any], tiny_teacher: Path, tmp_path: Path) -> None:
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    dataset = load_release(**found, student="acme-tutor", format="trl")
    assert dataset.column_names == ["prompt", "completion"]
    settings: Any = SFTConfig(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=4, report_to=[], save_strategy="no",
        use_cpu=True, disable_tqdm=True, logging_steps=1, completion_only_loss=True, max_length=128,
    )  # fmt: skip
    trainer: Any = SFTTrainer(str(tiny_teacher), args=settings, train_dataset=dataset)
    assert trainer.train().global_step == 2


def test_a_plain_torch_loader_gives_every_sample_once(found: dict[str, Any]) -> None:
    from torch.utils.data import DataLoader

    seen = []
    for split in ("train", "test"):
        rows = load_release(**found, split=split, format="torch")
        for batch in DataLoader(rows, batch_size=7, shuffle=True, collate_fn=list):
            seen += [row["entry_index"] for row in batch]
            assert all(row["prompt"][0]["role"] == "user" for row in batch)
    assert len(seen) == len(set(seen)) == 80
