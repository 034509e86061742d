from __future__ import annotations

from pathlib import Path

import pytest

from provenance.cli.train import _settings
from provenance.errors import MalformedError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kd.yaml", "batch_size: 2\nteacher:\n  divergence: jsd\n  beta: 0.3\n"),
        ("kd.json", '{"batch_size": 2, "teacher": {"divergence": "jsd", "beta": 0.3}}'),
    ],
)
def test_settings_come_from_a_file_and_the_command_line_wins(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert _settings(path, []) == {"batch_size": 2, "teacher": {"divergence": "jsd", "beta": 0.3}}
    named = [
        "teacher.beta=0.7",
        "teacher.model=acme/t",
        "packing=true",
        'lora.target_modules=["q_proj"]',
        "max_steps=null",
    ]
    assert _settings(path, named) == {
        "batch_size": 2,
        "teacher": {"divergence": "jsd", "beta": 0.7, "model": "acme/t"},
        "packing": True,
        "lora": {"target_modules": ["q_proj"]},
        "max_steps": None,
    }


@pytest.mark.parametrize("named", ["beta", "=1", "batch_size.x=1"])
def test_a_setting_that_is_none_is_named(tmp_path: Path, named: str) -> None:
    path = tmp_path / "kd.yml"
    path.write_text("batch_size: 2\n")
    with pytest.raises(MalformedError, match="--set"):
        _settings(path, [named])


@pytest.mark.parametrize("text", ["- a\n", "a: &x 1\nb: *x\n", "a: 1\na: 2\n", "a: [\n"])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kd.yaml"
    path.write_text(text)
    with pytest.raises(MalformedError):
        _settings(path, [])
