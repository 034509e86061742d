"""Which documents bind a sample: by model, route, host, and the date of generation or of the copy.

- `weights`: the licence of the copy, and of its base under a fine-tune.
- `api`, `consumer`: the host's documents of the day, whatever the licence of the weights says.
- `reseller`: the host's documents and the licence of the weights.
- `dataset`: licences that follow the artefact; a contract is shown as somebody else's.
- What cannot be matched is an `Unmatched` with its reason, never an absence of restrictions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provenance.terms.catalogue import PROVIDER_TERMS, Catalogue, Provider
from provenance.terms.days import parse_day
from provenance.terms.document import Document
from provenance.terms.match import matches, model_names, most_specific, normal_host
from provenance.terms.series import Choice, choose_version

UNKNOWN = "unknown"
UNMATCHED_KINDS = frozenset(
    "unknown-teacher unknown-model unknown-route served-another no-terms no-host no-licence inherited others-model".split()
)
THIRD_PARTY_DEPLOYMENT = "partner-or-own-infrastructure"


@dataclass(frozen=True)
class Unmatched:
    """Why no document could be bound for a part of the question, and which facts would help."""

    kind: str
    text: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bound:
    """A choice together with why it binds; `of_another` marks a contract that the student's developer did not accept.

    `path` are the models through which an inherited document came, and `party` is who accepted it; a document of the
    sample's own day has neither.
    """

    choice: Choice
    why: str
    of_another: bool = False
    path: tuple[str, ...] = ()
    party: str | None = None

    @property
    def way(self) -> str:
        """The path in words."""
        return " <- ".join(self.path)

    @property
    def origin(self) -> str | None:
        """The model that the inherited document is about."""
        return self.path[-1].partition("/")[2] if self.path else None


@dataclass(frozen=True)
class Binding:
    """All that binds one sample; `trained_by` are the developers of a teacher that was trained here, None one of no name."""

    route: str
    provider: str | None
    model: str | None
    day: dt.date | None
    bound: tuple[Bound, ...] = ()
    unmatched: tuple[Unmatched, ...] = ()
    trained_by: tuple[str | None, ...] = ()

    @property
    def documents(self) -> list[Document]:
        """Every candidate once, in order."""
        return list({d.id: d for bound in self.bound for d in bound.choice.candidates}.values())


@dataclass
class _Question:
    """The facts of a sample that decide what binds it, and what has been found so far."""

    catalogue: Catalogue
    route: str
    provider: Provider | None
    model: str | None
    host: str | None
    host_unknown: bool
    day: dt.date | None
    copy_day: dt.date | None
    copy_unknown: tuple[str, ...]
    revision: str | None
    place: str | None
    bound: list[Bound] = field(default_factory=list)
    unmatched: list[Unmatched] = field(default_factory=list)

    def miss(self, kind: str, text: str, *needs: str) -> None:
        self.unmatched.append(Unmatched(kind, text, needs))


def known(value: Any) -> Any:
    """The value of a fact, or None when it is missing or said to be unknown."""
    return None if value == UNKNOWN else value


def resolve_terms(sample: Mapping[str, Any], catalogue: Catalogue, *, at: dt.date | None = None) -> Binding:
    """The documents that bind a sample, by its facts; `at` asks for the terms of another day instead of its own."""
    teacher = sample.get("teacher") or {}
    name = known(teacher.get("provider"))
    generated = known(sample.get("generated_at"))
    obtained = known(teacher.get("obtained_at"))
    question = _Question(
        catalogue=catalogue,
        route=known(teacher.get("route")) or UNKNOWN,
        provider=catalogue.find_provider(name) if name else None,
        model=known(teacher.get("served_model")) or known(teacher.get("model")),
        host=normal_host(teacher["host"]) if known(teacher.get("host")) else None,
        host_unknown=teacher.get("host") == UNKNOWN,
        day=at or (parse_day(generated) if generated else None),
        copy_day=at or (parse_day(obtained) if obtained else None),
        copy_unknown=tuple(f"teacher.{n}" for n in ("obtained_at", "revision") if teacher.get(n) == UNKNOWN),
        revision=known(teacher.get("revision")),
        place=known(sample.get("generated_in")),
    )
    _match_names(question, name)
    if not question.unmatched:
        _match_served(question, known(teacher.get("model")), teacher.get("served_model"))
        _ROUTES.get(question.route, _bind_unknown_route)(question)
    return Binding(
        route=question.route,
        provider=question.provider.name if question.provider else name,
        model=question.model,
        day=question.day,
        bound=tuple(question.bound),
        unmatched=tuple(question.unmatched),
    )


def _match_names(question: _Question, name: str | None) -> None:
    if name is None:
        question.miss("unknown-teacher", "the teacher's provider is not known", "teacher.provider")
    elif question.provider is None and question.route != "reseller":
        question.miss("unknown-teacher", f"no provider {name!r} is on record")
    if question.model is None:
        question.miss("unknown-model", "the teacher's model is not known", "teacher.model")


def _match_served(question: _Question, requested: str | None, served: str | None) -> None:
    """The served name decides; a snapshot that no document names is what the name it begins with stands for."""
    if served == UNKNOWN:
        question.miss("unknown-model", "which model was served is not known", "teacher.served_model")
    if served in (None, UNKNOWN, requested) or requested is None or question.provider is None:
        return
    if any(matches(document.models, served) for document in question.provider.documents):
        return
    question.model = requested
    if not matches([f"{name}[-_.:@]*" for name in model_names(requested)], served):
        text = f"{requested} was asked for, and {served}, which no document names, was served"
        question.miss("served-another", text)


def _bind_weights(question: _Question) -> None:
    """The licence of the copy: by its day, else by a revision on record, else by the day of generation."""
    if not _bind_licence(question, "the weights were run by the student's side under this licence"):
        question.miss("no-terms", f"no licence on record names {question.model} for the day of the copy")


def _bind_licence(question: _Question, why: str) -> bool:
    if question.provider is None or question.model is None:
        return False
    offered = [d for d in question.provider.documents if "weights" in d.access]
    named = most_specific(offered, question.model)
    by_revision = [d for d in named if question.revision and question.revision in _commits(d)]
    choice: Choice | None
    if by_revision and question.copy_day is None:
        choice = Choice(by_revision[0].series, tuple(by_revision[:1]))
    elif question.copy_unknown and not question.copy_day and named and question.day:
        choice = _any_copy_until(question.day, named, question.copy_unknown)
    else:
        choice = choose_version(named, question.copy_day or question.day)
    if choice is None:
        return False
    question.bound.append(Bound(choice, why))
    _bind_base(question, choice)
    return True


def _any_copy_until(day: dt.date, named: Sequence[Document], needs: tuple[str, ...]) -> Choice | None:
    """The copy is said to be of an unknown day or revision: every licence that had begun by the day of generation."""
    begun = tuple(document for document in named if document.period.presence(day) != "before")
    return Choice(begun[0].series, begun, needs=needs) if begun else None


def _commits(document: Document) -> list[str]:
    return [part.strip() for part in (document.source.get("commit") or "").split(";") if part.strip()]


def _bind_base(question: _Question, choice: Choice) -> None:
    """The licence of the base stays in force under a fine-tune."""
    for document in choice.candidates:
        for target in _inherited(document, question.model or ""):
            base = question.catalogue.find(target)
            if base is not None:
                why = f"licence of the base model, which stays in force beside {document.id}"
                question.bound.append(Bound(Choice(base.series, (base,)), why))


def _inherited(document: Document, model: str) -> list[str]:
    tables = (condition.details.get("inherits", {}) for condition in document.conditions)
    found = (target for table in tables for pattern, target in table.items() if matches([pattern], model))
    return list(dict.fromkeys(found))


def _bind_api(question: _Question) -> None:
    if _is_foreign_host(question, "api"):
        _bind_reseller(question)
    elif not _bind_contract(question, "api", "API terms of the day, accepted by the account's holder"):
        question.miss("no-terms", f"no API terms on record for {question.model} on that day")
    _miss_host(question)


def _miss_host(question: _Question) -> None:
    """A host that is left out is the provider; one that is said to be unknown may have terms of its own."""
    if question.host_unknown:
        question.miss("no-host", "which host served it is not known", "teacher.host")


def _bind_consumer(question: _Question) -> None:
    _miss_host(question)
    if not _bind_contract(question, "consumer", "consumer terms of the day, accepted by the account's holder"):
        question.miss("no-terms", "no consumer terms on record for that day")


def _bind_reseller(question: _Question) -> None:
    if question.host is None:
        question.miss("no-host", "bought from a reseller that is not named", "teacher.host")
    else:
        _bind_host(question)
    if _bind_licence(question, "licence of the weights, which holds beside the host's terms"):
        return
    inherits = any(
        PROVIDER_TERMS in _inherited(d, question.model or "") for b in question.bound for d in b.choice.candidates
    )
    if inherits and _bind_contract(
        question, "api", "terms of the model's provider, to which the host's terms refer", own=True
    ):
        return
    question.miss("no-licence", f"no licence or terms of the model itself are on record for {question.model}")


def _bind_host(question: _Question) -> None:
    if not _bind_contract(question, "api", "the host's terms of the day, accepted by the account's holder"):
        question.miss("no-host", f"host {question.host!r} has no documents on record for this model and day")


def _bind_dataset(question: _Question) -> None:
    """Licences follow the artefact; a contract bound whoever accepted it, and is shown as theirs."""
    licensed = _bind_licence(question, "licence of the weights, which follows what was made with them")
    _miss_host(question)
    if licensed and question.host is None:
        return
    routes = ("api", "consumer")
    why = "contract of whoever generated the data set; it does not bind a downloader by itself"
    if not any(_bind_contract(question, route, why, of_another=True) for route in routes) and not licensed:
        question.miss("no-terms", f"no terms on record for {question.model} on that day")


def _bind_unknown_route(question: _Question) -> None:
    question.miss("unknown-route", "how the output was obtained is not known", "teacher.route")


def _bind_contract(question: _Question, route: str, why: str, *, own: bool = False, of_another: bool = False) -> bool:
    documents = _host_documents(question, route, own=own)
    if route == "api" or of_another:
        # Versions of one text name models more or less closely: here the day decides, not the pattern. An app calls
        # its model as it likes, but somebody else's data set is not laid to an app that is not known to serve it.
        documents = [d for d in documents if matches(d.models, question.model or "")]
    found = False
    for versions in _by_series(documents):
        choice = choose_version(versions, question.day, question.place)
        if choice is not None:
            question.bound.append(Bound(choice, why, of_another=of_another))
            found = True
    return found


def _host_documents(question: _Question, route: str, *, own: bool) -> list[Document]:
    """The documents of the host; by default the provider itself, under whatever name it serves."""
    provider = question.provider
    mine = [d for d in provider.documents if route in d.access] if provider else []
    host = None if own else question.host
    if host is not None and host != THIRD_PARTY_DEPLOYMENT and not _is_own_name(question, host):
        everywhere = (d for d in question.catalogue.documents if route in d.access)
        served = [d for d in everywhere if d.served_by == host]
        other = question.catalogue.find_provider(host)
        if served or other is None:
            return served
        return [d for d in other.documents if route in d.access]
    exact = [d for d in mine if provider and d.served_by == (host or provider.name)]
    return exact or [d for d in mine if d.served_by != THIRD_PARTY_DEPLOYMENT]


def _is_own_name(question: _Question, host: str) -> bool:
    provider = question.provider
    return (
        provider is not None
        and host in (provider.name, *provider.aliases)
        and not any(d.served_by == host for d in provider.documents)
    )


def _is_foreign_host(question: _Question, route: str) -> bool:
    if question.host is None or question.provider is None:
        return False
    served = {d.served_by for d in question.provider.documents if route in d.access}
    return question.host not in served and not _is_own_name(question, question.host)


def _by_series(documents: Iterable[Document]) -> list[list[Document]]:
    """Versions that replace each other; hosts of one provider that were not told apart are alternatives too."""
    groups: dict[str, list[Document]] = {}
    for document in documents:
        groups.setdefault(document.series.split("@")[0], []).append(document)
    return list(groups.values())


_ROUTES = {
    "weights": _bind_weights,
    "api": _bind_api,
    "consumer": _bind_consumer,
    "reseller": _bind_reseller,
    "dataset": _bind_dataset,
}


def candidate_documents(bindings: Sequence[Binding]) -> list[Document]:
    """Every candidate of several bindings once, in order."""
    return list({d.id: d for binding in bindings for d in binding.documents}.values())
