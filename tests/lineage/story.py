"""Generations told entry by entry: who generated what, what was released, trained and registered."""

from __future__ import annotations

from itertools import count
from typing import Any

from sqlmodel import col, select

from provenance.lineage.graph import Graph
from provenance.lineage.load import find_start, load_graph
from provenance.store.session import read_session
from provenance.store.tables import FactClass
from provenance.terms.catalogue import Catalogue, load_catalogue
from tests.store.logs import Log, digest_of, make_samples, raw_sample
from tests.store.statements import AT, say


class Story:
    """Appends to a log; `said` maps the words of a test to ids."""

    def __init__(self, log: Log, catalogue: Catalogue | None = None) -> None:
        self.log = log
        self.recorder = log.recorder(catalogue or load_catalogue())
        self.numbers = count(1)

    def sample(self, dataset: str, teacher: str, *, samples: int = 3, tokens: int = 10, **more: Any) -> int:
        """Samples of `provider/model`; the index of the first."""
        provider, _, model = teacher.partition("/")
        facts = {"provider": provider, "model": model, "route": more.pop("route", "weights"), **more.pop("facts", {})}
        usage = {"input_tokens": 1, "output_tokens": tokens}
        account = more.pop("account", None)
        raw = [
            raw_sample(dataset=dataset, teacher=facts, usage=usage, account=account, request_id=None, **more)
            for _ in range(samples)
        ]
        receipt = self.recorder.record(make_samples(*raw), source="import")
        return int(receipt.first_index)

    def model(
        self, name: str, *parents: str, run: str | None = None, identifier: str | None = None, **more: Any
    ) -> str:
        """Register `provider/name`; its id."""
        provider, _, own = name.partition("/")
        identifier = identifier or f"mdl_{next(self.numbers)}"
        said = {
            "id": identifier, "provider": provider, "name": own, "revision": run, "weights_digest": None,
            "kind": "trained" if run else "open-weights", "license": None, "parents": list(parents), "run": run,
            "conditions": [],
        }  # fmt: skip
        say(self.log, "model", **{**said, **more})
        return identifier

    def student(self, name: str, **facts: Any) -> str:
        """Declare a student; its id."""
        identifier = f"stu_{next(self.numbers)}"
        told = {"name": name, **facts}
        say(self.log, "student", id=identifier, facts=told, digest=digest_of(identifier))
        return identifier

    def release(self, dataset: str, *, state: str = "allowed", deny: str = "", student: str = "stu") -> str:
        """Release every class of a dataset but those of teacher `deny`; the release's id."""
        number = next(self.numbers)
        with read_session(self.log.engine) as session:
            graph = load_graph(session)
            held = {
                graph.nodes[node].fact_class_id: graph.nodes[node]
                for node in find_start(session, f"dataset:{dataset}", graph)
            }
            rows = session.exec(select(FactClass).where(col(FactClass.id).in_(list(held)))).all()
        size = self.size()
        judged = [
            [
                row.digest[: len("sha256:") + 16],
                "deny" if row.teacher == deny else "allow",
                held[row.id].samples,
                held[row.id].tokens,
            ]
            for row in rows
        ]
        say(
            self.log, "decision", id=f"dec_{number}", action="train", student={"id": student},
            selection={"dataset": dataset, "filter": {}}, log_size=size, policy={}, terms_digest=None, verdict="allow", decided_at=AT,
            counts={}, classes=judged, answer_digest=digest_of("answer"),
        )  # fmt: skip
        say(
            self.log, "release", id=f"rel_{number}", name=f"r{number}", version=1, dataset=dataset, student=student,
            decision={"id": f"dec_{number}", "index": size}, log_size=size, state=state, counts={}, files=[],
            manifest_digest=None, conditions=[],
        )  # fmt: skip
        return f"rel_{number}"

    def train(self, name: str, release: str, *, base: str | None = None, student: str = "stu") -> str:
        """Run a training on a release and register what came out of it; the model's id."""
        run = f"run_{next(self.numbers)}"
        told = {"release": release, "student": student, "recipe": "sft", "at": AT}
        say(self.log, "run", id=run, phase="plan", base_model=base, teachers=[], **told)
        identifier = self.model(name, *([base] if base else []), run=run)
        say(self.log, "run", id=run, phase="end", model=identifier, base_model=base, **told)
        return identifier

    def report(self, kind: str, subject: str) -> str:
        """Report on something; the report's id."""
        identifier = f"rep_{next(self.numbers)}"
        said = {"kind": "k", "subject": {"kind": kind, "id": subject}, "log_size": self.size(), "files": []}
        say(self.log, "report", id=identifier, previous=None, **said)
        return identifier

    def size(self) -> int:
        from provenance.store.log import get_head

        with read_session(self.log.engine) as session:
            return get_head(session).size

    def graph(self) -> Graph:
        """The graph as it is now."""
        with read_session(self.log.engine) as session:
            return load_graph(session)


def keys(graph: Graph, nodes: Any) -> set[str]:
    """What the nodes are called; samples only by their kind."""
    return {graph.nodes[node].key if graph.nodes[node].kind != "samples" else "samples" for node in nodes}
