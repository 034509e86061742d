"""A recall over ten thousand models and all samples: what it would reach, and what the gate asks once one is open.

The rows are those of the lineage's benchmark. Memory is what the process grew by at most, the filling apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.classes import make_classes
from benchmarks.fill import NAME, fill_database, log_size_of
from benchmarks.lineage import CLASSES, MODELS, QUICK_MODELS, add_models, read_anew
from benchmarks.measure import Options, Result, result, time_median
from provenance.attestation.facts import teacher_name
from provenance.lineage.load import load_graph
from provenance.policy.held import find_held
from provenance.recall.open import plan_recall
from provenance.store.recall_steps import Recall
from provenance.store.recalls import Logged
from provenance.store.session import read_session
from provenance.terms.catalogue import load_catalogue


def measure_peak(*, anew: bool = False) -> float:
    """The most memory of this process so far, or since it was last asked `anew`, in MB; Linux tells."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1000


def run(options: Options, folder: Path) -> Iterator[Result]:
    """The largest size on SQLite."""
    samples = max(options.sizes)
    models = MODELS if samples >= MODELS * 100 else QUICK_MODELS
    catalogue = load_catalogue()
    classes = make_classes(catalogue, CLASSES if models == MODELS else options.classes)
    path = folder / f"recall-{samples}.db"
    engine = fill_database(f"sqlite:///{path}", classes, samples)
    edges = add_models(engine, classes, models, log_size_of(samples))
    before = measure_peak(anew=True)
    source = {"kind": "teacher", "id": teacher_name(classes[0][1])}
    with read_session(engine) as session:
        planned = plan_recall(session, source)
        counts = planned["reach"]["counts"]
        more: dict[str, float | str] = {"samples": samples, "models": models, "edges": edges}
        more |= {"reached_models": counts["models"], "reached_samples": counts["samples"]}
        logged = Logged(Recall("rcl", source, "r", "ann", "2026-11-24T10:00:00Z", log_size_of(samples)), None, ())
        digests = [digest for digest, _ in classes]
        acts = {
            "a plan, the graph read anew": lambda: (read_anew(session), plan_recall(session, source)),
            "a plan, the graph kept": lambda: plan_recall(session, source),
            "the graph itself, kept": lambda: load_graph(session),
            "what an open recall holds of a data set": lambda: find_held(
                session, NAME, digests, log_size_of(samples), catalogue, holding=[logged]
            ),
        }
        for name, act in acts.items():
            took = time_median(act, max(options.rounds, 5))
            yield result(name, "question", 1, took, **more, grown_mb=measure_peak() - before)
    engine.dispose()
    path.unlink()
