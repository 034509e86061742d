"""Fills the page of one sample: the answer, its facts as they were signed, its terms, its text, its use, its proof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provenance.api.pages import Asked
from provenance.api.views.common import Link, Proof, Sibling
from provenance.api.views.decisions import Answer, parse_answer
from provenance.api.views.samples import (
    Message,
    SampleFacts,
    SamplePage,
    SampleText,
    SampleUse,
    SampleVerdict,
    TermsInForce,
)
from provenance.attestation.envelope import parse_entry, parse_envelope
from provenance.attestation.signature import ED25519
from provenance.canonical import parse_json
from provenance.ledger.keys import ACTIVE, KeyRing
from provenance.ledger.merkle import leaf_hash
from provenance.ledger.prove import Prover
from provenance.store.erasures import find_erasure_of
from provenance.store.log import find_content, get_statement, read_entry
from provenance.store.pages import find_run_of_release, list_latest, list_release_classes, name_students
from provenance.store.samples import get_sample
from provenance.store.tables import SampleRow
from provenance.terms.catalogue import Catalogue

RELEASED = frozenset({"allow", "allow-with-conditions"})
WHOLE_TEXT = "whole text"


def fill_sample(asked: Asked, index: int) -> SamplePage:
    """The page of the sample at `index`.

    Raises:
        NotFoundError: there is none.
    """
    session = asked.session
    row = get_sample(session, index)
    entry = read_entry(session, index)
    said = parse_entry(entry).predicate
    words = find_content(session, index)
    _, signatures = parse_envelope(read_entry(session, row.batch_index))
    return SamplePage(
        index=index,
        verdict=_fill_verdict(asked, row),
        facts=_fill_facts(said, row),
        terms=[_fill_terms(item, asked.runtime.catalogue) for item in said["terms"]],
        text=SampleText(_messages(words["prompt"]), _messages(words["completion"])) if words else None,
        erased=words is None,
        erasure_id=find_erasure_of(session, index) if words is None else None,
        uses=_fill_uses(asked, row, said["dataset"]),
        parents=[_fill_parent(parent) for parent in said["parents"]],
        proof=fill_proof(asked.runtime.prover(session, newest=index), index, entry),
        statement=entry.decode(),
        evidence_url=f"/api/v1/samples/{index}/evidence.json",
        bundle_url=f"/api/v1/samples/{index}/evidence",
        log_vkey=find_log_vkey(asked.runtime.ring),
        collector_keyid=signatures[0].keyid,
    )


def fill_proof(prover: Prover, index: int, entry: bytes) -> Proof:
    """The inclusion proof of an entry, each sibling with its side (RFC 9162, section 2.1.3.2)."""
    siblings = []
    position, last = index, prover.size - 1
    for value in prover.inclusion(index):
        left = bool(position & 1) or position == last
        siblings.append(Sibling("left" if left else "right", value.hex()))
        while left and not position & 1 and position:
            position, last = position >> 1, last >> 1
        position, last = position >> 1, last >> 1
    return Proof(index, prover.size, leaf_hash(entry).hex(), prover.root.hex(), siblings)


def find_log_vkey(ring: KeyRing) -> str:
    """The log's newest Ed25519 verifier key, which browsers can check."""
    keys = (item.vkey for item in reversed(ring.records) if item.algorithm == ED25519 and item.state == ACTIVE)
    return next(vkey for vkey in keys if vkey is not None)


def _fill_verdict(asked: Asked, row: SampleRow) -> SampleVerdict | None:
    judged = list_latest(asked.session).get(row.fact_class_id)
    if judged is None:
        return None
    decision = get_statement(asked.session, "decision", judged.decision)
    student = decision.predicate["student"]["id"]
    answer = _answer_on_class(asked, decision.index, row)
    text = describe_answer(answer) if answer else "The decision's whole answer is no longer stored; its verdict is."
    if row.index >= decision.predicate["log_size"]:
        text += " The decision judged samples with the same facts; this one was logged after it."
    spoke = answer.reasons_of("deny") or answer.reasons_of("review") or answer.reasons_of("permit") if answer else []
    return SampleVerdict(
        verdict=judged.verdict,
        student=name_students(asked.session).get(student, student),
        text=text,
        rules=[reason.rule for reason in spoke],
        decision_id=judged.decision,
        decided_at=decision.predicate["decided_at"],
    )


def _answer_on_class(asked: Asked, decision_index: int, row: SampleRow) -> Answer | None:
    content = find_content(asked.session, decision_index)
    digest = parse_json(read_entry(asked.session, row.index))["predicate"]["fact_class"]
    found = next((item for item in content["classes"] if item["fact_class"] == digest), None) if content else None
    return parse_answer(found["answer"]) if found else None


def describe_answer(answer: Answer) -> str:
    """Why, in a sentence or two: the first rule that decided, its clause, and what is unmet."""
    spoke = answer.reasons_of("deny") or answer.reasons_of("review") or answer.reasons_of("permit")
    if not spoke:
        return "No rule permits it, and nothing is allowed without a permission."
    first = spoke[0]
    said_so = first.document is None or first.document in first.text
    source = "" if said_so else f" ({first.document}{f', clause {first.clause}' if first.clause else ''})"
    unmet = [item.requirement for item in answer.conditions if item.status == "unmet"]
    return f"{first.text.rstrip('.')}{source}." + (f" Not met yet: {'; '.join(unmet)}." if unmet else "")


def _fill_facts(said: Mapping[str, Any], row: SampleRow) -> SampleFacts:
    teacher, usage = said["teacher"], said["usage"] or {}
    plain = (
        "dataset", "role", "generated_at", "generated_in", "parameters", "finish_reason", "request_id", "evidence",
        "prompt_commitment", "completion_commitment", "fact_class", "external_id", "logged_at", "capture",
    )  # fmt: skip
    return SampleFacts(
        **{name: said[name] for name in plain},
        **{name: teacher[name] for name in ("provider", "route", "host", "revision", "weights_digest", "served_model")},
        teacher=f"{teacher['provider']}/{teacher['model']}",
        account=_join(said["account"], "holder", "plan"),
        input_tokens=usage.get("input_tokens"),
        output_tokens=usage.get("output_tokens"),
        prompt_origin=_join(said["prompt_origin"], "kind", "ref", "license"),
        source_dataset=_join(said["source_dataset"], "ref", "license"),
        human_contribution=_join(said["human_contribution"], "kind", "ref"),
        batch_index=row.batch_index,
    )


def _join(value: Mapping[str, Any] | str | None, *names: str) -> str | None:
    if not isinstance(value, Mapping):
        return value
    return ", ".join(str(value[name]) for name in names if value.get(name)) or None


def _fill_terms(item: Mapping[str, Any], catalogue: Catalogue) -> TermsInForce:
    document = catalogue.find(item["id"])
    if document is None:
        gone = "not in today's catalogue"
        return TermsInForce(item["id"], "", item["id"], None, None, None, verified=False, training=gone)
    training = document.training
    where = f", {training.clause}" if training.clause == WHOLE_TEXT else f", clause {training.clause}"
    says = training.value.replace("-", " ") + (where if training.clause else "")
    changed = "" if document.digest == item["digest"] else "; the catalogue's reading changed since"
    return TermsInForce(
        id=document.id,
        provider=document.provider,
        title=document.title,
        version=document.version,
        effective_from=document.effective_from,
        effective_to=document.effective_to,
        verified=document.verified,
        training=says + changed,
    )


def _messages(items: Any) -> list[Message]:
    return [Message(str(item["role"]), _text_of(item.get("content"))) for item in items]


def _text_of(content: Any) -> str:
    return content if isinstance(content, str) else "" if content is None else str(content)


def _fill_uses(asked: Asked, row: SampleRow, dataset: str) -> list[SampleUse]:
    students, totals, uses = name_students(asked.session), dict[str, int](), []
    pairs = [pair for pair in list_release_classes(asked.session) if pair[0].dataset == dataset]
    for release, judged in pairs:
        if judged.verdict in RELEASED:
            totals[release.id] = totals.get(release.id, 0) + judged.tokens
    for release, judged in pairs:
        if judged.fact_class_id == row.fact_class_id and row.index < release.log_size:
            released = judged.verdict in RELEASED
            uses.append(
                SampleUse(
                    release=f"{release.name}@{release.version}",
                    state="released" if released else "quarantined",
                    student=students.get(release.student, release.student),
                    run_id=find_run_of_release(asked.session, release.id) if released else None,
                    tokens_share=row.tokens / totals[release.id] if released and totals[release.id] else None,
                )
            )
    return uses


def _fill_parent(parent: Any) -> Link:
    name = str(parent)
    return Link(f"Sample {name}", f"/samples/{name}") if name.isdecimal() else Link(name, f"/search?q={name}")
