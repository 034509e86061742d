from __future__ import annotations

from provenance.store.captures import count_samples, list_captures
from provenance.store.lifts import list_histories
from provenance.store.session import read_session
from provenance.terms.catalogue import Catalogue
from tests.store.logs import Log, make_samples, raw_sample
from tests.store.statements import AT, say

RUN = {"id": "cap_1", "dataset": "math", "collector": "w", "opened_at": AT, "code": None, "source": "api"}


def test_a_capture_is_its_newest_statement_and_counts_the_samples_of_its_batches(
    log: Log, catalogue: Catalogue
) -> None:
    say(log, "capture", **RUN)
    say(log, "capture", **(RUN | {"id": "cap_2"}))
    closed = say(log, "capture", **(RUN | {"closed_at": AT}))
    recorder = log.recorder(catalogue)
    recorder.record(make_samples(*[raw_sample()] * 3), source="api")
    recorder.record(make_samples(*[raw_sample()] * 2), source="api")
    with read_session(log.engine) as session:
        own, first, second = list_captures(session)
        assert [(row.key, row.index) for row in (first, second)] == [("cap_1", closed), ("cap_2", 1)]
        assert (count_samples(session, own.key), count_samples(session, "cap_1")) == (5, 0)
        assert [row.key for row in list_captures(session, before=closed)] == ["cap_2"]
        found = list_histories(session, "capture", ["cap_2", "cap_1", "cap_none"])
    assert {key: [row.index for row in rows] for key, rows in found.items()} == {
        "cap_2": [1],
        "cap_1": [0, closed],
        "cap_none": [],
    }
