"""A verified release in the forms that trainers take: for `datasets`, for TRL, for a plain torch `DataLoader`.

Nothing here verifies: what comes in are tables whose every check has passed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from provenance.canonical import parse_json
from provenance.errors import FieldError, MalformedError

FORMATS = ("datasets", "trl", "torch")
TRL_COLUMNS = ("prompt", "completion")
COLUMNS = ("entry_index", *TRL_COLUMNS, "teacher", "fact_class", "verdict", "evidence", "terms", "words")


def check_format(name: str) -> None:
    """Refuse a form that there is not.

    Raises:
        MalformedError: names those that there are.
    """
    if name not in FORMATS:
        expected = ", ".join(FORMATS)
        raise MalformedError(f"format: expected one of {expected}", FieldError("format", name, expected))


class ReleaseRows:
    """The samples of a split as a map-style data set, which is what `torch.utils.data.DataLoader` takes; needs no torch.

    A row is a dict: `entry_index`, `prompt` and `completion` (lists of messages, whole, tool calls too), `teacher`, `terms`,
    `fact_class`, `verdict`, `evidence`. Messages differ in length, so give the loader a `collate_fn` (`list` keeps the rows).
    Rows stay in Arrow's memory; one becomes an object when it is asked for.
    """

    def __init__(self, tables: Sequence[Any]) -> None:
        self._tables = [table.select(COLUMNS) for table in tables]
        self._ends = list(accumulate(table.num_rows for table in self._tables))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        number = bisect_right(self._ends, place)
        start = self._ends[number - 1] if number else 0
        (row,) = self._tables[number].slice(place - start, 1).to_pylist()
        return _restore(row)


def _restore(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its messages as they were committed to, where the two columns hold less of them."""
    found = {name: value for name, value in row.items() if name != "words"}
    if row["words"] is not None:
        words = parse_json(row["words"])
        found |= {name: words[name] for name in TRL_COLUMNS}
    return found


def to_trl(dataset: Any) -> Any:
    """A `datasets.Dataset` of the two columns that TRL's trainers take as prompt and completion, in the form of conversations.

    Raises:
        MalformedError: a sample has more than role and content (tool calls), which these columns do not hold.
    """
    column = dataset.data.column("words")
    if column.null_count < len(column):
        held = f"{len(column) - column.null_count} samples with tool calls"
        expected = 'messages of role and content alone; format="torch" holds the others whole'
        raise MalformedError(f"the release has {held}: expected {expected}", FieldError("format", "trl", expected))
    return dataset.select_columns(list(TRL_COLUMNS))
