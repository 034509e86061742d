from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from provenance.canonical import canonical_bytes
from provenance.client.loaders import ReleaseRows, check_format, to_trl
from provenance.client.release import load_release
from provenance.errors import MalformedError
from provenance.release.freeze import SCHEMA

CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "add", "arguments": "{}"}}]}


def make_row(index: int, *, call: bool = False) -> dict[str, Any]:
    asked = [{"role": "user", "content": f"question {index}"}]
    answered: list[dict[str, Any]] = [CALL] if call else [{"role": "assistant", "content": f"answer {index}"}]
    words = canonical_bytes({"prompt": asked, "completion": answered}) if call else None
    shown = [{"role": item["role"], "content": item["content"]} for item in answered]
    return {
        "entry_index": index, "prompt": asked, "completion": shown, "teacher": "a/b", "terms": ["t"], "fact_class": "c",
        "verdict": "allow", "evidence": "recorded", "entry": b"e", "prompt_salt": b"s", "completion_salt": b"s",
        "words": words,
    }  # fmt: skip


def make_tables(*rows: list[dict[str, Any]]) -> list[Any]:
    return [pa.Table.from_pylist(group, schema=SCHEMA) for group in rows]


def test_rows_of_all_shards_stand_in_one_order_and_no_secret_column_is_among_them() -> None:
    rows = ReleaseRows(make_tables([make_row(1), make_row(2)], [], [make_row(5)]))
    assert len(rows) == 3
    assert [rows[place]["entry_index"] for place in range(3)] == [1, 2, 5]
    assert rows[-1] == rows[2]
    assert set(rows[0]) == {
        "entry_index",
        "prompt",
        "completion",
        "teacher",
        "terms",
        "fact_class",
        "verdict",
        "evidence",
    }
    for place in (3, -4):
        with pytest.raises(IndexError):
            rows[place]
    assert len(ReleaseRows([])) == 0


def test_tool_calls_come_whole_to_torch_and_are_refused_to_trl() -> None:
    datasets = pytest.importorskip("datasets")
    tables = make_tables([make_row(1), make_row(2, call=True)])
    assert ReleaseRows(tables)[1]["completion"] == [CALL]
    dataset = datasets.Dataset(datasets.table.InMemoryTable(tables[0]))
    with pytest.raises(MalformedError, match="1 samples with tool calls"):
        to_trl(dataset)
    plain = datasets.Dataset(datasets.table.InMemoryTable(make_tables([make_row(1)])[0]))
    assert to_trl(plain).column_names == ["prompt", "completion"]


@pytest.mark.parametrize("name", ["", "tf", "TRL"])
def test_a_format_that_there_is_not_is_refused_before_anything_is_asked(name: str) -> None:
    with pytest.raises(MalformedError) as caught:
        load_release("none@1", format=name)
    assert (caught.value.errors[0].field, caught.value.errors[0].value) == ("format", name)
    check_format("torch")
