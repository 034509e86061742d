"""Every benchmark runs at a tiny size, so that none rots; what they measure is never asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import SECTIONS, main
from benchmarks.table import format_seconds


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_runs_and_says_what_it_measured(
    section: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench.json"
    assert main(["--quick", "--only", section, "--out", str(out)]) == 0
    lines = json.loads(out.read_text())["sections"][section]
    assert all(line["wall_seconds"] >= 0 and line["items"] > 0 for line in lines)
    said = capsys.readouterr().out
    assert SECTIONS[section][0] in said
    if section == "gate":
        gates = [line for line in lines if line["name"].startswith("gate with explanations")]
        assert [line["name"].rsplit(" ", 1)[1] for line in gates] == ["SQLite", "PostgreSQL"]
        assert all(line["more"]["peak_mb"] > 0 and line["more"]["classes"] > 1 for line in gates)


@pytest.mark.parametrize("size", ["0", "1.5", "1e10", "nan", "inf"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises((SystemExit, OverflowError)) as caught:
        main(["--size", size])
    assert isinstance(caught.value, SystemExit)


def test_seconds_have_three_digits_and_a_unit() -> None:
    assert [format_seconds(value) for value in (123.4, 1.234, 0.0456, 7.89e-4, 1.23e-8)] == [
        "123 s", "1.23 s", "45.6 ms", "789 µs", "12.3 ns",
    ]  # fmt: skip
