"""Read what the report may say out of log and store: everything about one release, as it stood at a log size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from provenance.errors import NotFoundError
from provenance.ledger.merkle import RightEdge, leaf_hash
from provenance.ledger.tiles import TileHashes
from provenance.prices import describe_cost
from provenance.report.context import Evidence, LogState
from provenance.report.facts import (
    ClauseFact,
    DecisionFacts,
    DocumentFacts,
    ModelFacts,
    ReleaseFacts,
    RunFacts,
    TeacherGroup,
)
from provenance.store.history import find_statement_of
from provenance.store.log import (
    find_content,
    find_statement,
    get_head,
    get_statement,
    list_statements,
    load_tile,
    read_entry,
)
from provenance.store.publications import list_publications
from provenance.store.runs import list_phases
from provenance.store.samples import get_dataset
from provenance.store.tables import FactClass, Report, Run, SampleRow, StatementRow
from provenance.training.compute import describe_method

RELEASABLE = ("allow", "allow-with-conditions")
NOT_RECORDED = "not recorded"


class Collector:
    """Reads one release's facts from one snapshot, nothing of which stands at or after `log_size`."""

    def __init__(self, session: Session, log_size: int) -> None:
        self.session, self.log_size = session, log_size

    def collect(self, report_id: str, release_id: str) -> ReleaseFacts:
        """All facts of a release.

        Raises:
            NotFoundError: the log of this size does not hold the release.
        """
        release = get_statement(self.session, "release", release_id)
        if release.index >= self.log_size:
            raise NotFoundError(f"release {release_id} is not in the log of {self.log_size} entries")
        said = release.predicate
        decision = get_statement(self.session, "decision", said["decision"]["id"])
        content = find_content(self.session, decision.index) or {"answer": {}, "classes": []}
        student = get_statement(self.session, "student", said["student"]).predicate["facts"]
        run = self._find_run(release_id)
        return ReleaseFacts(
            report_id=report_id,
            previous_report_id=self._previous_report(report_id, release_id),
            log=self._log_state(),
            release=f"{said['name']}@{said['version']}",
            state=said["state"],
            manifest_digest=said["manifest_digest"],
            selected=said["counts"]["selected"],
            released=said["counts"]["released"],
            quarantined=said["counts"]["quarantined"],
            release_evidence=self.cite(release.index, f"release {said['name']}@{said['version']}"),
            student=student,
            decision=self._decision(decision, content["answer"]),
            groups=self._groups(decision.predicate, content["classes"]),
            agreements=(),
            run=self._run_facts(run) if run else None,
            model=self._find_model(run),
        )

    def cite(self, index: int, what: str) -> Evidence:
        """The entry at `index` as evidence."""
        return Evidence(index, f"sha256:{leaf_hash(read_entry(self.session, index)).hex()}", what)

    def _log_state(self) -> LogState:
        head = get_head(self.session)
        keys = [row.predicate["keyid"] for row in list_statements(self.session, "key") if row.index < self.log_size]
        return LogState(head.origin, self.log_size, self._root().hex(), head.updated_at, keys, ())

    def _root(self) -> bytes:
        """The root of the log as it stood at `log_size`: over its complete subtrees, largest first."""
        hashes = TileHashes(self.log_size, partial(load_tile, self.session))
        parts, begin = [], 0
        while begin < self.log_size:
            level = (self.log_size - begin).bit_length() - 1
            parts.append(hashes.read(level, begin >> level))
            begin += 1 << level
        return RightEdge(self.log_size, parts).root()

    def _previous_report(self, report_id: str, release_id: str) -> str | None:
        query = (
            select(Report.id)
            .where(Report.subject == release_id, Report.index < self.log_size, Report.id != report_id)
            .order_by(col(Report.index).desc())
        )
        return self.session.exec(query).first()

    def _decision(self, row: StatementRow, answer: Mapping[str, Any]) -> DecisionFacts:
        said = row.predicate
        policy = f"pol_{said['policy']['digest'].removeprefix('sha256:')[:16]}"
        statement = find_statement(self.session, "policy", policy)
        return DecisionFacts(
            id=said["id"],
            decided_at=said["decided_at"],
            answer=answer,
            policy_author=statement.predicate["author"] if statement else None,
            evidence=self.cite(row.index, f"decision {said['id']}"),
            policy_evidence=self.cite(statement.index, "policy in force") if statement else None,
        )

    def _groups(self, decision: Mapping[str, Any], classes: Sequence[Mapping[str, Any]]) -> list[TeacherGroup]:
        grouped: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        for item in classes:
            teacher = item["facts"]["teacher"]
            account = (item["facts"].get("account") or {}).get("holder")
            source = (item["facts"].get("source_dataset") or {}).get("ref")
            key = (teacher["provider"], teacher["model"], teacher["route"], teacher.get("host"), account, source)
            grouped.setdefault((*key, item["answer"]["verdict"]), []).append(item)
        return [
            self._group(decision, key, items) for key, items in sorted(grouped.items(), key=lambda pair: str(pair[0]))
        ]

    def _group(
        self, decision: Mapping[str, Any], key: tuple[Any, ...], items: Sequence[Mapping[str, Any]]
    ) -> TeacherGroup:
        provider, model, route, host, account, source, verdict = key
        first, last, spans = self._span(decision, [item["fact_class"] for item in items])
        samples = sum(item["samples"] for item in items)
        documents = {document["id"]: document for item in items for document in item["answer"]["documents"]}
        return TeacherGroup(
            teacher=f"{provider}/{model}",
            provider=provider,
            route=route,
            host=host,
            account=account,
            source_dataset=source,
            verdict=verdict,
            samples=samples,
            released=samples if verdict in RELEASABLE else 0,
            tokens=sum(item["tokens"] for item in items),
            first_generated_at=spans[0],
            last_generated_at=spans[1],
            evidence_grades=_count(items, lambda facts: facts.get("evidence")),
            human_contributions=_count(items, lambda facts: (facts.get("human_contribution") or {}).get("kind")),
            prompt_origins=_count(items, lambda facts: (facts.get("prompt_origin") or {}).get("kind")),
            documents=[self._document(name, documents[name]["digest"]) for name in sorted(documents)],
            evidence=[
                self.cite(first, f"first sample of {provider}/{model}"),
                *([] if last == first else [self.cite(last, f"last sample of {provider}/{model}")]),
            ],
        )

    def _span(self, decision: Mapping[str, Any], digests: Sequence[str]) -> tuple[int, int, tuple[str, str]]:
        dataset = get_dataset(self.session, decision["selection"]["dataset"]).id
        query = (
            select(
                func.min(SampleRow.index),
                func.max(SampleRow.index),
                func.min(SampleRow.generated_at),
                func.max(SampleRow.generated_at),
            )
            .join(FactClass, col(FactClass.id) == col(SampleRow.fact_class_id))
            .where(
                SampleRow.dataset_id == dataset,
                SampleRow.index < decision["log_size"],
                col(FactClass.digest).in_(digests),
            )
        )
        first, last, begins, ends = self.session.exec(query).one()
        return first, last, (begins, ends)

    def _document(self, identifier: str, digest: str) -> DocumentFacts:
        """The version that the decision named, whatever was recorded since."""
        row = find_statement_of(self.session, "terms", identifier, digest=digest)
        if row is None:
            raise NotFoundError(f"terms document {identifier} of digest {digest} is not in the log")
        document = find_content(self.session, row.index)
        if document is None:
            raise NotFoundError(f"the text of terms document {identifier} is no longer stored")
        facts = document["facts"]
        clauses = [_clause(name, fact) for name, fact in facts.items()]
        conditions = [_clause(fact["type"], {"value": fact["type"], **fact}) for fact in document["conditions"]]
        return DocumentFacts(
            id=identifier,
            title=document["title"],
            version=document["version"],
            kind=document["kind"],
            digest=row.predicate["document_digest"],
            effective_from=document["effective_from"],
            effective_to=document["effective_to"],
            verified=document["verified"],
            clauses=clauses,
            conditions=conditions,
            evidence=self.cite(row.index, f"terms {identifier}"),
        )

    def _find_run(self, release_id: str) -> Run | None:
        query = select(Run).where(Run.release == release_id, Run.index < self.log_size).order_by(col(Run.index).desc())
        runs = self.session.exec(query).all()
        return next((run for run in runs if run.phase == "end"), runs[0] if runs else None)

    def _run_facts(self, run: Run) -> RunFacts:
        rows = [row for row in list_phases(self.session, run.id) if row.index < self.log_size]
        said = rows[-1].predicate
        flops, energy = said.get("flops") or {}, said.get("energy_kwh") or {}
        return RunFacts(
            id=run.id,
            state=run.phase,
            base_model=said.get("base_model"),
            recipe=said["recipe"],
            steps=said.get("steps"),
            tokens=said.get("tokens"),
            device=said.get("device"),
            isolation=said.get("isolation"),
            flops=flops.get("value"),
            flops_method=describe_method(flops),
            energy_kwh=energy.get("value"),
            energy_method=energy.get("method"),
            evidence=[self.cite(row.index, f"run {run.id}, {row.predicate['phase']}") for row in rows],
            cost=describe_cost(said.get("cost")),
        )

    def _find_model(self, run: Run | None) -> ModelFacts | None:
        row = find_statement(self.session, "model", run.model) if run and run.model else None
        if row is None or row.index >= self.log_size:
            return None
        said = row.predicate
        return ModelFacts(
            id=said["id"],
            name=f"{said['provider']}/{said['name']}",
            weights_digest=said["weights_digest"],
            parameters_count=said.get("parameters_count"),
            license=said["license"],
            conditions=said["conditions"],
            evidence=self.cite(row.index, f"model {said['id']}"),
            published=[
                (item["name"], self.cite(item["entry"], f"publication {item['id']}"))
                for item in reversed(list_publications(self.session, said["id"]))
                if item["entry"] < self.log_size
            ],
        )


def _clause(name: str, fact: Mapping[str, Any]) -> ClauseFact:
    return ClauseFact(name, str(fact["value"]), fact.get("clause"), fact["paraphrase"], fact["verified"])


def _count(items: Sequence[Mapping[str, Any]], read: Any) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for item in items:
        counts[read(item["facts"]) or NOT_RECORDED] += item["samples"]
    return dict(sorted(counts.items()))
