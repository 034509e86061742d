"""A recall over ten thousand models and all samples: what it would reach, and what the gate asks once one is open.

The rows are those of the lineage's benchmark. Memory is what the process grew by at most, the filling apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.fill import NAME, log_size_of
from benchmarks.lineage import fill_lineage, read_anew
from benchmarks.measure import Options, Result, result, time_median
from benchmarks.memory import forget_peak, peak_mb
from provenance.attestation.facts import teacher_name
from provenance.lineage.load import load_graph
from provenance.policy.held import find_held
from provenance.recall.open import plan_recall
from provenance.store.recall_steps import Recall
from provenance.store.recalls import Logged
from provenance.store.session import read_session


def run(options: Options, folder: Path) -> Iterator[Result]:
    """The largest size on SQLite."""
    filled = fill_lineage(options, folder)
    size = log_size_of(filled.samples)
    forget_peak()
    before = peak_mb()
    source = {"kind": "teacher", "id": teacher_name(filled.classes[0][1])}
    with read_session(filled.engine) as session:
        planned = plan_recall(session, source)
        counts = planned["reach"]["counts"]
        more = filled.counts | {"reached_models": counts["models"], "reached_samples": counts["samples"]}
        logged = Logged(Recall("rcl", source, "r", "ann", "2026-11-24T10:00:00Z", size), None, ())
        digests = [digest for digest, _ in filled.classes]
        acts = {
            "a plan, the graph read anew": lambda: (read_anew(session), plan_recall(session, source)),
            "a plan, the graph kept": lambda: plan_recall(session, source),
            "the graph itself, kept": lambda: load_graph(session),
            "what an open recall holds of a data set": lambda: find_held(
                session, NAME, digests, size, filled.catalogue, holding=[logged]
            ),
        }
        for name, act in acts.items():
            took = time_median(act, max(options.rounds, 5))
            yield result(name, "question", 1, took, **more, grown_mb=peak_mb() - before)
    filled.drop()
