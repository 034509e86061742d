"""The error tree: every failure that a caller may meet, with its stable code.

- `code` is the slug that stands in logs, JSON problems and the documentation.
- `exit_code` is the command line's, `status` the HTTP answer's (`CONTRACT`: exit codes, problem details).
- Bad input says which field, which value and what was expected, in `errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

SHOWN_VALUE_CHARACTERS = 120


@dataclass(frozen=True)
class FieldError:
    """One bad field: where it stands, what came, what was expected; `line` counts from 1 in a line-based body."""

    field: str
    value: Any
    expected: str
    line: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The problem-details form; a long or unprintable value is shortened, never dropped."""
        shown = self.value
        if not (shown is None or isinstance(shown, bool | int | float)):
            text = shown if isinstance(shown, str) else repr(shown)
            shown = text if len(text) <= SHOWN_VALUE_CHARACTERS else text[:SHOWN_VALUE_CHARACTERS] + "…"
        body: dict[str, Any] = {"field": self.field, "value": shown, "expected": self.expected}
        if self.line is not None:
            body["line"] = self.line
        return body


class ProvenanceError(Exception):
    """Base of all errors of this package."""

    code: ClassVar[str] = "provenance-error"
    title: ClassVar[str] = "The request could not be carried out"
    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500

    def __init__(self, detail: str, *errors: FieldError) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class MalformedError(ProvenanceError):
    """Input that does not have the form it must have; nothing was changed."""

    code = "malformed"
    title = "The input is malformed"
    exit_code = 3
    status = 422


class StatementError(MalformedError):
    code = "malformed-statement"


class CheckpointError(MalformedError):
    code = "malformed-checkpoint"


class TermsDocumentError(MalformedError):
    code = "malformed-terms"


class PolicyDocumentError(MalformedError):
    code = "malformed-policy"


class ManifestError(MalformedError):
    code = "malformed-manifest"


class BundleError(MalformedError):
    code = "malformed-bundle"


class SettingsError(MalformedError):
    code = "bad-setting"
    exit_code = 2


class VerificationError(ProvenanceError):
    """Evidence that does not check: the step that failed is named in the message."""

    code = "verification-failed"
    title = "Verification failed"
    exit_code = 6
    status = 409


class SignatureError(VerificationError):
    code = "bad-signature"


class InclusionError(VerificationError):
    code = "bad-inclusion-proof"


class ConsistencyError(VerificationError):
    code = "bad-consistency-proof"


class DigestMismatchError(VerificationError):
    code = "digest-mismatch"


class DeniedError(ProvenanceError):
    """A gate refused; `decision` is the answer that it gave."""

    code = "denied"
    title = "Refused by policy"
    exit_code = 5
    status = 409

    def __init__(self, detail: str, decision: Mapping[str, Any] | None = None, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.decision = decision
        if code is not None:
            self.code = code  # type: ignore[misc]  # an instance may narrow the class's slug


class AuthenticationError(ProvenanceError):
    """No token, or one that is unknown, expired or revoked."""

    code = "not-authenticated"
    title = "A valid token is needed"
    exit_code = 5
    status = 401


class ForbiddenError(ProvenanceError):
    """A valid token whose role may not do this."""

    code = "forbidden"
    title = "This role may not do that"
    exit_code = 5
    status = 403


class NotFoundError(ProvenanceError):
    code = "not-found"
    title = "Not found"
    exit_code = 4
    status = 404


class GoneError(NotFoundError):
    """It was there, and was taken away on purpose; the detail says by whom and why."""

    code = "gone"
    title = "It was taken away"
    status = 410


class ConflictError(ProvenanceError):
    """What was asked contradicts what stands; nothing was changed."""

    code = "conflict"
    title = "It conflicts with what is recorded"
    exit_code = 3
    status = 409


class LedgerConflictError(ConflictError):
    """Another writer moved the log; trying again is safe."""

    code = "ledger-conflict"


class AlreadyRecalledError(ConflictError):
    code = "already-recalled"


class UnavailableError(ProvenanceError):
    """Something that this needs is not there now: a service, an upstream teacher, an optional package."""

    code = "unavailable"
    title = "Something that this needs is not available"
    exit_code = 7
    status = 503


class FatalError(ProvenanceError):
    """The writer stops; nothing is published until a person has looked."""

    code = "fatal"
    title = "The log stopped"


class LedgerForkError(FatalError):
    code = "ledger-fork"
