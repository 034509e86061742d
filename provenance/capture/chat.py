"""OpenAI chat completions as samples: what of a request and its answers is recorded.

- The log is for ever: of a request's parameters those that shape the answer are kept, large ones as digests; names of
  end users and caching hints are left out. Text goes only where it can be erased, into prompt and completion.
- Whatever an upstream sends may be odd. An odd name or count is left out; it never costs the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import orjson

from provenance.canonical import canonical_bytes, parse_json, sha256_digest
from provenance.capture.sample import (
    MAX_NAME_CHARACTERS,
    MODEL,
    Message,
    PromptOrigin,
    Sample,
    Usage,
    check_sample,
    format_moment,
)
from provenance.capture.upstream import Upstream
from provenance.errors import FieldError, MalformedError

MAX_PARAMETER_BYTES = 1024
MAX_CHOICES = 128
INTERRUPTED = "interrupted"
NOT_PARAMETERS = frozenset((
    "messages", "model", "user", "metadata", "safety_identifier", "prompt_cache_key", "prediction", "store",
))  # fmt: skip
ALWAYS_DIGESTS = frozenset(("tools", "functions", "response_format", "logit_bias"))
ORIGINS = ("human", "dataset", "synthetic", "retrieved", "mixed", "unknown")
KEPT_OF_MESSAGE = frozenset(Message.__struct_fields__)


@dataclass(frozen=True)
class ChatRequest:
    """A request that may be forwarded: the upstream's body, and all of the sample but its completion."""

    upstream: Upstream
    body: Mapping[str, Any]
    dataset: str
    prompt: list[Message]
    parameters: Mapping[str, Any]
    prompt_origin: PromptOrigin | None
    external_id: str | None

    @property
    def stream(self) -> bool:
        """Whether the client asked for a stream."""
        return bool(self.body.get("stream"))


@dataclass
class Choice:
    """One answer of a completion, whole or as far as it came."""

    message: dict[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None

    @property
    def has_text(self) -> bool:
        """Whether there is anything to record."""
        content = self.message.get("content")
        return bool(isinstance(content, str) and content.strip()) or bool(self.message.get("tool_calls"))


@dataclass
class Completion:
    """What an upstream answered."""

    choices: dict[int, Choice] = field(default_factory=dict)
    id: Any = None
    model: Any = None
    system_fingerprint: Any = None
    usage: Any = None


def parse_body(body: bytes) -> dict[str, Any]:
    """The body of a chat request as JSON, checked as far as routing it needs.

    Raises:
        MalformedError: not an object, no model, no messages, or values of another kind.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise MalformedError("the body is not a JSON object", FieldError("body", value, "an object"))
    model, messages, stream, count = (value.get(name) for name in ("model", "messages", "stream", "n"))
    if not isinstance(model, str) or not model:
        raise _bad("model", model, "the name of a model")
    if not isinstance(messages, list) or not messages:
        raise _bad("messages", messages, "a list of one or more messages")
    if stream is not None and not isinstance(stream, bool):
        raise _bad("stream", stream, "true or false")
    if count is not None and (type(count) is not int or not 1 <= count <= MAX_CHOICES):
        raise _bad("n", count, f"1 to {MAX_CHOICES}")
    return value


def prepare_request(
    value: Mapping[str, Any], upstream: Upstream, headers: Mapping[str, str], *, now: datetime
) -> ChatRequest:
    """Everything that can be wrong with a request, before the teacher is asked.

    Raises:
        MalformedError: the dataset is not named, or a message, parameter or header cannot be recorded.
    """
    dataset = headers.get("provenance-dataset")
    if not dataset:
        expected = "the dataset that the answer is recorded in"
        raise MalformedError(
            f"header Provenance-Dataset is missing; expected {expected}",
            FieldError("Provenance-Dataset", None, expected),
        )
    omitted: set[str] = set()
    prompt = [_message(item, f"messages[{at}]", omitted) for at, item in enumerate(value["messages"])]
    request = ChatRequest(
        upstream=upstream,
        body={**value, "model": upstream.upstream_model or upstream.model},
        dataset=dataset,
        prompt=prompt,
        parameters=_parameters(value, omitted),
        prompt_origin=_origin(headers),
        external_id=headers.get("provenance-external-id"),
    )
    probe = Choice({"role": "assistant", "content": "probe"})
    check_sample(_sample(request, Completion(), probe, now), now=now)
    return request


def parse_completion(data: bytes) -> Completion:
    """A whole answer.

    Raises:
        MalformedError: it is no chat completion.
    """
    value = parse_json(data)
    listed = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(listed, list) or not listed or not all(isinstance(item, dict) for item in listed):
        raise MalformedError("the upstream's answer is not a chat completion: it has no choices")
    completion = Completion(
        id=value.get("id"),
        model=value.get("model"),
        system_fingerprint=value.get("system_fingerprint"),
        usage=value.get("usage"),
    )
    for position, item in enumerate(listed):
        message = item.get("message")
        if not isinstance(message, dict):
            raise MalformedError(f"the upstream's answer is not a chat completion: choices[{position}] has no message")
        completion.choices[position] = Choice(message, item.get("finish_reason"))
    return completion


def make_samples(request: ChatRequest, completion: Completion, *, now: datetime) -> list[Sample]:
    """One sample for each choice that holds text.

    Raises:
        MalformedError: an answer that is too large to be recorded.
    """
    choices = [choice for _, choice in sorted(completion.choices.items()) if choice.has_text]
    return [check_sample(_sample(request, completion, choice, now), now=now) for choice in choices]


def _sample(request: ChatRequest, completion: Completion, choice: Choice, now: datetime) -> Sample:
    upstream = request.upstream
    served = completion.model if _is_name(completion.model) and MODEL.fullmatch(completion.model) else None
    omitted = set(request.parameters.get("not_recorded", ()))
    message = _message({"role": "assistant", **choice.message}, "completion", omitted, strict=False)
    parameters = {**request.parameters}
    if _is_name(completion.system_fingerprint):
        parameters["system_fingerprint"] = completion.system_fingerprint
    if served is None and _is_name(completion.model):
        parameters["served_as"] = completion.model
    if omitted:
        parameters["not_recorded"] = sorted(omitted)
    return Sample(
        dataset=request.dataset,
        teacher=msgspec.structs.replace(upstream.teacher, served_model=served or upstream.teacher.served_model),
        account=upstream.account,
        generated_at=format_moment(now),
        generated_in=upstream.generated_in,
        prompt=list(request.prompt),
        completion=[message],
        parameters=parameters,
        usage=_usage(completion.usage),
        request_id=completion.id if _is_name(completion.id) else None,
        finish_reason=choice.finish_reason if _is_name(choice.finish_reason) else None,
        prompt_origin=request.prompt_origin,
        external_id=request.external_id,
    )


def _message(value: Any, where: str, omitted: set[str], *, strict: bool = True) -> Message:
    if not isinstance(value, dict):
        raise _bad(where, value, "a message: {role, content}")
    kept = {name: item for name, item in value.items() if name in KEPT_OF_MESSAGE}
    omitted.update(f"message.{name}" for name, item in value.items() if name not in KEPT_OF_MESSAGE and item)
    for name in ("tool_calls", "tool_call_id", "name"):
        if kept.get(name, "") in (None, []):
            del kept[name]
    if isinstance(kept.get("content"), list):
        kept["content"] = _join(kept["content"], f"{where}.content")
    if not strict:
        kept["role"] = "assistant"
    try:
        return msgspec.convert(kept, Message)
    except msgspec.ValidationError as exc:
        raise _bad(where, kept, f"a message of system, developer, user, assistant or tool ({exc})") from exc


def _join(parts: Iterable[Any], where: str) -> str:
    texts = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, dict) else part
            raise _bad(where, kind, "parts of type text; the gateway records text alone")
        texts.append(part["text"])
    return "".join(texts)


def _parameters(value: Mapping[str, Any], omitted: set[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for name, item in value.items():
        if name in NOT_PARAMETERS or item is None:
            continue
        data = canonical_bytes(item)
        if name in ALWAYS_DIGESTS or len(data) > MAX_PARAMETER_BYTES:
            parameters[f"{name}_digest"] = sha256_digest(data)
        else:
            parameters[name] = item
    if omitted:
        parameters["not_recorded"] = sorted(omitted)
    return parameters


def _origin(headers: Mapping[str, str]) -> PromptOrigin | None:
    text, license_id = headers.get("provenance-prompt-origin"), headers.get("provenance-prompt-license")
    if not text and not license_id:
        return None
    kind, _, ref = (text or "unknown").partition(" ")
    if kind not in ORIGINS:
        raise _bad("Provenance-Prompt-Origin", text, f"{' | '.join(ORIGINS)}, and after a space what it is")
    return PromptOrigin(msgspec.convert(kind, type=Any), ref.strip() or None, license_id or None)


def _usage(value: Any) -> Usage | None:
    if not isinstance(value, dict):
        return None
    counts: Sequence[Any] = (value.get("prompt_tokens"), value.get("completion_tokens"))
    given, made = (item if type(item) is int and 0 <= item < 2**53 else None for item in counts)
    return None if given is None and made is None else Usage(given, made)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= MAX_NAME_CHARACTERS and value.isprintable()


def _bad(field_name: str, value: Any, expected: str) -> MalformedError:
    shown = value if isinstance(value, str) or value is None else orjson.dumps(value, default=str).decode()
    problem = FieldError(field_name, shown, expected)
    return MalformedError(f"{field_name}: expected {expected}, got {problem.to_json()['value']!r}", problem)
