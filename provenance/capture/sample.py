"""One sample as a pipeline hands it in (`CONTRACT`: POST /api/v1/samples), decoded strictly.

- A malformed value is an error that names the field; an unknown teacher or a day without terms is none.
- What two parsers could read in two ways is refused: duplicate keys, integers beyond 2^53, lone surrogates, NaN.
- Names refuse control and bidirectional-override characters; prompts and completions keep every character they came with.
- `Sample` is plain data; nothing here asks a clock, a database or a network.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal

import msgspec
import orjson
from msgspec import UNSET, Struct, UnsetType

from provenance.canonical import parse_json
from provenance.capture.check import MAX_NAME_CHARACTERS, Checker, format_moment
from provenance.errors import FieldError, MalformedError

__all__ = [
    "MAX_NAME_CHARACTERS",
    "MODEL",
    "Account",
    "Message",
    "PromptOrigin",
    "Sample",
    "SourceDataset",
    "Teacher",
    "Usage",
    "check_sample",
    "format_moment",
    "parse_samples",
]

MAX_TEXT_BYTES = 4 * 1024 * 1024  # of the prompt, and of the completion

PROVIDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
COUNTRY = re.compile(r"[A-Z]{2}")

Route = Literal["weights", "api", "consumer", "reseller", "dataset"]
Role = Literal["generator", "rewriter", "judge", "reward", "verifier"]
OriginKind = Literal["human", "dataset", "synthetic", "retrieved", "mixed", "unknown"]


class Teacher(Struct, forbid_unknown_fields=True, gc=False):
    """Which model answered, and by which way its output was obtained."""

    provider: str
    model: str
    route: Route
    served_model: str | None = None
    revision: str | None = None
    weights_digest: str | None = None
    obtained_at: str | None = None
    host: str | None = None


class Account(Struct, forbid_unknown_fields=True, gc=False):
    """Who held the account at the provider."""

    holder: str | None = None
    plan: str | None = None


class Message(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One message of a conversation, in the field's usual form."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | UnsetType | None = UNSET
    name: str | UnsetType = UNSET
    tool_calls: list[Any] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class Usage(Struct, forbid_unknown_fields=True, gc=False):
    """Tokens as the provider counted them."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class PromptOrigin(Struct, forbid_unknown_fields=True, gc=False):
    """Where the prompt came from, and under which license."""

    kind: OriginKind
    ref: str | None = None
    license: str | None = None


class SourceDataset(Struct, forbid_unknown_fields=True, gc=False):
    """The public data set that somebody else's outputs were got from."""

    ref: str
    license: str | None = None


class Sample(Struct, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One teacher output with everything that is said of it."""

    dataset: str
    teacher: Teacher
    generated_at: str
    prompt: list[Message] | str
    completion: list[Message] | str
    role: Role = "generator"
    generated_in: str | None = None
    account: Account | None = None
    parameters: dict[str, Any] = {}
    usage: Usage | None = None
    request_id: str | None = None
    finish_reason: str | None = None
    prompt_origin: PromptOrigin | None = None
    source_dataset: SourceDataset | None = None
    parents: list[str] = []
    human_contribution: dict[str, Any] | None = None
    external_id: str | None = None


_decode_one = msgspec.json.Decoder(Sample).decode
_KEY = re.compile(rb'"[ \t\r\n]*:')
_KEY_AMONG_QUOTES = re.compile(rb'(?<!\\)"[ \t\r\n]*:')  # ten times slower: it looks behind every byte
_PATH = re.compile(r"^(?P<expected>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)


def parse_samples(body: bytes, *, now: datetime, lines: bool) -> list[Sample]:
    """Every sample of a request body: NDJSON if `lines`, a JSON array otherwise.

    Raises:
        MalformedError: the first bad sample, with its line (or place in the array) counted from 1; none is taken.
    """
    if lines:
        raw = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line and not line.isspace()]
    else:
        raw = list(enumerate(_split_array(body), 1))
    if not raw:
        raise MalformedError("the request holds no sample", FieldError("samples", 0, "at least one sample"))
    check = Checker(None)
    samples = []
    for number, line in raw:
        check.line = number
        samples.append(_check(_parse_line(line, number), check, now))
    return samples


def _split_array(body: bytes) -> list[bytes]:
    try:
        return [bytes(item) for item in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (ValueError, RecursionError) as exc:
        expected = "a JSON array of samples, or NDJSON with Content-Type application/x-ndjson"
        raise MalformedError(f"the body is not {expected}: {exc}", FieldError("body", body[:60], expected)) from exc


def _parse_line(line: bytes, number: int) -> Sample:
    try:
        sample = _decode_one(line)
        _refuse_duplicates(line)
    except msgspec.ValidationError as exc:
        raise _named(str(exc), line, number) from exc
    except MalformedError as exc:
        problems = [FieldError(item.field or "sample", item.value, item.expected, number) for item in exc.errors]
        raise MalformedError(f"line {number}: {exc.detail}", *problems) from exc
    except (ValueError, RecursionError) as exc:  # not JSON, not UTF-8, or nested without end
        problem = FieldError("line", line[:80].decode("utf-8", "replace"), "one JSON object", number)
        raise MalformedError(f"line {number} is not JSON: {exc}", problem) from exc
    return sample


def _refuse_duplicates(line: bytes) -> None:
    # The decoder keeps the last of two equal keys. A line that a writer of the same kind makes again, byte for byte, has
    # lost none. Otherwise counting the keys as they are written tells, for a tenth of what the strict parser costs; where
    # a text ends in a backslash the count is not sure, and the strict parser is asked.
    value = orjson.loads(line)
    if _is_written_so(value, line):
        return
    key = _KEY_AMONG_QUOTES if b'\\"' in line else _KEY
    if b'\\\\"' in line or len(key.findall(line)) != _count_keys(value):
        parse_json(line)


def _is_written_so(value: Any, line: bytes) -> bool:
    try:
        return orjson.dumps(value) == line
    except orjson.JSONEncodeError:  # nested deeper than it writes
        return False


def _count_keys(value: Any) -> int:
    if type(value) is dict:
        inner, count = value.values(), len(value)
    else:
        inner, count = value, 0
    for item in inner:
        if type(item) is dict or type(item) is list:
            count += _count_keys(item)
    return count


def _named(text: str, line: bytes, number: int) -> MalformedError:
    match = _PATH.match(text)
    expected, path = (match["expected"], match["path"]) if match else (text, None)
    field = (path or "").lstrip(".") or "sample"
    missing = re.search(r"(?:missing required|unknown) field `([^`]+)`", expected)
    if missing:
        field = f"{field}.{missing[1]}" if path else missing[1]
    return MalformedError(
        f"line {number}: {field}: {expected}", FieldError(field, _value_at(line, field), expected, number)
    )


def _value_at(line: bytes, field: str) -> Any:
    try:
        value: Any = msgspec.json.decode(line)
    except (ValueError, RecursionError):  # broken behind the bad field
        return None
    if field == "sample":
        return value
    for part in re.findall(r"[^.\[\]]+", field):
        try:
            value = value[int(part)] if isinstance(value, list) else value.get(part)
        except (AttributeError, IndexError, ValueError):
            return None
    return value


def check_sample(sample: Sample, *, now: datetime, line: int | None = None) -> Sample:
    """Refuse what the types cannot say; turn plain strings into messages.

    Raises:
        MalformedError: a field with a bad value.
    """
    return _check(sample, Checker(line), now)


def _check(sample: Sample, check: Checker, now: datetime) -> Sample:
    check.name("dataset", sample.dataset)
    sample.teacher = check.once(sample.teacher, lambda teacher: _check_teacher(check, teacher, now))
    sample.generated_at = check.moment("generated_at", sample.generated_at, now)
    check.matches("generated_in", sample.generated_in, COUNTRY, "an ISO 3166-1 alpha-2 country, for example US")
    sample.prompt = _messages("prompt", sample.prompt, "user", check)
    sample.completion = _messages("completion", sample.completion, "assistant", check)
    check.name("external_id", sample.external_id, optional=True)
    check.name("request_id", sample.request_id, optional=True)
    check.name("finish_reason", sample.finish_reason, optional=True)
    sample.parameters = check.free_form("parameters", sample.parameters)
    sample.human_contribution = check.free_form("human_contribution", sample.human_contribution)
    if sample.human_contribution is not None:
        check.kind("human_contribution.kind", sample.human_contribution.get("kind"))
    for position, parent in enumerate(check.free_form("parents", sample.parents)):
        check.name(f"parents[{position}]", parent)
    if sample.account is not None:
        check.name("account.holder", sample.account.holder, optional=True)
        check.name("account.plan", sample.account.plan, optional=True)
    if sample.prompt_origin is not None:
        check.name("prompt_origin.ref", sample.prompt_origin.ref, optional=True)
        check.name("prompt_origin.license", sample.prompt_origin.license, optional=True)
    if sample.usage is not None:
        check.count("usage.input_tokens", sample.usage.input_tokens)
        check.count("usage.output_tokens", sample.usage.output_tokens)
    _check_source(check, sample)
    return sample


def _check_teacher(check: Checker, teacher: Teacher, now: datetime) -> None:
    check.matches(
        "teacher.provider", teacher.provider, PROVIDER, "a provider such as `openai`: lower-case letters, digits, . _ -"
    )
    check.matches("teacher.model", teacher.model, MODEL, "a model name such as `gpt-4o-2024-08-06`")
    check.matches("teacher.served_model", teacher.served_model, MODEL, "a model name")
    check.matches("teacher.weights_digest", teacher.weights_digest, DIGEST, "sha256: and 64 lower-case hex digits")
    check.matches("teacher.host", teacher.host, PROVIDER, "a host such as `openai` or `azure`")
    check.name("teacher.revision", teacher.revision, optional=True)
    if teacher.obtained_at is not None:
        teacher.obtained_at = check.moment("teacher.obtained_at", teacher.obtained_at, now, day=True)[:10]


def _check_source(check: Checker, sample: Sample) -> None:
    source = sample.source_dataset
    if source is None:
        return
    if sample.teacher.route != "dataset":
        check.fail("source_dataset", source.ref, "only with teacher.route `dataset`")
    check.name("source_dataset.ref", source.ref)
    check.name("source_dataset.license", source.license, optional=True)


def _messages(field: str, value: list[Message] | str, role: Any, check: Checker) -> list[Message]:
    messages = [Message(role=role, content=value)] if isinstance(value, str) else value
    size, empty = 0, True
    for position, message in enumerate(messages):
        text = message.content
        if isinstance(text, str):
            size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
            empty = empty and (not text or text.isspace())
        if message.tool_calls:
            empty = False
            message.tool_calls = check.plain(f"{field}[{position}].tool_calls", message.tool_calls)
            size += len(msgspec.json.encode(message.tool_calls))
        if message.name is not UNSET:
            check.name(f"{field}[{position}].name", message.name)
        if message.tool_call_id is not UNSET:
            check.name(f"{field}[{position}].tool_call_id", message.tool_call_id)
    if empty:
        check.fail(field, value if isinstance(value, str) else "", "some text")
    if size > MAX_TEXT_BYTES:
        check.fail(field, f"{size:,} bytes", f"at most {MAX_TEXT_BYTES:,} bytes of text")
    return messages
