"""What the predicate of each kind must hold, and which key signs it, as tables.

- A form is a list of `field:type`; `?` after the type allows null (not known). A field that is missing is an error:
  unknown is written, never left out. Further fields are free, so that version 1 can grow.
- Types: `str` (not empty), `int` (a count, never negative), `bool`, `list`, `map`, `digest`, `day` (YYYY-MM-DD), `time`
  (RFC 3339, UTC, Z).
- `PURPOSES` names the one key that signs a kind; samples are signed through their batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from provenance.errors import FieldError, StatementError

FORMS: Mapping[str, str] = MappingProxyType(
    {
        "access": "actor:str act:str target:str? reason:str? at:time",
        "agreement": "id:str step:agreement-step provider:str parties:list models:list routes:list actions:list "
        "students:list document_digest:digest valid_from:day valid_to:day? actor:str at:time reason:str?",
        "approval": "id:str release:str manifest_digest:digest reason:str? actor:str at:time",
        "batch": "capture:str collector:str count:int root:digest",
        "capture": "id:str dataset:str collector:str opened_at:time code:map? source:str?",
        "curation": "id:str",
        "decision": "id:str action:str student:map selection:map? log_size:int policy:map terms_digest:digest? "
        "verdict:verdict counts:map? classes:list answer_digest:digest",
        "erasure": "id:str phase:str reason:str requester:str approver:str? at:time count:int tokens:int "
        "indices_digest:digest releases:list",
        "exception": "id:str step:exception-step request_digest:digest reason:str? scope:map? expires_on:day? "
        "actor:str at:time",
        "key": "purpose:purpose name:str algorithm:str keyid:str valid_from:time valid_to:time? state:state",
        "model": "id:str provider:str name:str revision:str? weights_digest:digest? kind:str license:str? "
        "parents:list run:str? conditions:list",
        "policy": "id:str digest:digest packs:list author:str? approver:str?",
        "publication": "id:str model:str run:str name:str weights_digest:digest verdict:verdict conditions:list policy:map "
        "terms_digest:digest? answer_digest:digest files:files signature:map actor:str at:time",
        "recall": "id:str step:recall-step actor:str at:time",
        "release": "id:str name:str dataset:str student:any decision:map log_size:int state:str counts:map "
        "files:files manifest_digest:digest? conditions:list",
        "report": "id:str kind:str subject:map log_size:int files:files previous:str?",
        "run": "id:str phase:str release:any student:any recipe:str? at:time",
        "sample": "capture:str dataset:str teacher:map role:str generated_at:time account:map? terms:list "
        "prompt_commitment:digest completion_commitment:digest parameters:map? usage:map? request_id:str? "
        "prompt_origin:map? source_dataset:map? parents:list evidence:grade fact_class:digest external_id:str? "
        "logged_at:time",
        "student": "id:str facts:map digest:digest",
        "terms": "id:str provider:str document_digest:digest? effective_from:any effective_to:any",
        "withdrawal": "id:str release:str reason:str actor:str at:time",
        "witness": "name:str",
    }
)

PURPOSES: Mapping[str, str] = MappingProxyType(
    {
        "batch": "collector",
        "capture": "collector",
        "curation": "collector",
        "model": "release",
        "publication": "release",
        "release": "release",
        "report": "release",
        "run": "release",
        "access": "authority",
        "agreement": "authority",
        "approval": "authority",
        "decision": "authority",
        "erasure": "authority",
        "exception": "authority",
        "key": "authority",
        "policy": "authority",
        "recall": "authority",
        "student": "authority",
        "terms": "authority",
        "withdrawal": "authority",
        "witness": "authority",
    }
)

KEY_PURPOSES = ("log", "collector", "authority", "release", "model", "witness")
KEY_STATES = ("active", "retired", "revoked")
VERDICTS = ("allow", "allow-with-conditions", "review", "deny")
EVIDENCE_GRADES = ("claimed", "declared", "recorded", "replayed")

AGREEMENT_STEPS = ("made", "revoked")
EXCEPTION_STEPS = ("request", "approve", "refuse", "revoke")
RECALL_STEPS = ("open", "act", "close")

_MISSING = object()
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z\Z")


def signing_purpose(kind: str) -> str:
    """The purpose of the key that signs statements of `kind`.

    Raises:
        StatementError: the kind is unknown, or a sample (signed through its batch).
    """
    if kind not in PURPOSES:
        raise StatementError(f"no key signs {kind!r} statements", FieldError("kind", kind, ", ".join(sorted(PURPOSES))))
    return PURPOSES[kind]


def check_predicate(kind: str, predicate: Mapping[str, Any]) -> None:
    """Check that a predicate has the fields of its kind.

    Args:
        kind: one of `statement.KINDS`.
        predicate: the predicate, parsed.
    Raises:
        StatementError: a field is missing or has another form; the error names it.
    """
    if kind not in _FIELDS:
        raise StatementError(f"unknown kind {kind!r}", FieldError("kind", kind, ", ".join(FORMS)))
    for name, check, nullable, form in _FIELDS[kind]:
        value = predicate.get(name, _MISSING)
        if value is _MISSING:
            raise StatementError(f"{kind}: {name} is missing", FieldError(name, None, form))
        if not (check(value) or (nullable and value is None)):
            raise StatementError(f"{kind}: {name} has another form than {form}", FieldError(name, value, form))


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.match(value) is not None  # what `parse_digest` takes, without its errors


def _is_files(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("path"), str) and _is_digest(item.get("digest"))
        for item in value
    )


_CHECKS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "any": lambda value: True,  # noqa: ARG005  # present is all that is asked
        "str": lambda value: isinstance(value, str) and value != "",
        "int": lambda value: type(value) is int and value >= 0,
        "bool": lambda value: isinstance(value, bool),
        "list": lambda value: isinstance(value, list),
        "map": lambda value: isinstance(value, dict),
        "digest": _is_digest,
        "files": _is_files,
        "time": lambda value: isinstance(value, str) and _TIME.match(value) is not None,
        "day": lambda value: isinstance(value, str) and _DAY.match(value) is not None,
        "agreement-step": lambda value: value in AGREEMENT_STEPS,
        "exception-step": lambda value: value in EXCEPTION_STEPS,
        "recall-step": lambda value: value in RECALL_STEPS,
        "verdict": lambda value: value in VERDICTS,
        "grade": lambda value: value in EVIDENCE_GRADES,
        "purpose": lambda value: value in KEY_PURPOSES,
        "state": lambda value: value in KEY_STATES,
    }
)


def _fields_of(forms: str) -> tuple[tuple[str, Callable[[Any], bool], bool, str], ...]:
    pairs = (item.split(":") for item in forms.split())
    return tuple((name, _CHECKS[form.removesuffix("?")], form.endswith("?"), form) for name, form in pairs)


# Split once: the audit asks for every entry of a log. Name, check, whether null is allowed, form.
_FIELDS = MappingProxyType({kind: _fields_of(forms) for kind, forms in FORMS.items()})
