"""Samples as pipelines send them: what is taken, what is refused, and that every refusal names its place."""

from __future__ import annotations

import json
import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.capture.sample import MAX_TEXT_BYTES, Message, parse_samples
from provenance.errors import FieldError, MalformedError
from tests.store.logs import NOW, raw_sample


def _parse(*raw: Any, lines: bool = True) -> list[Any]:
    if lines:
        return parse_samples(b"\n".join(json.dumps(item).encode() for item in raw), now=NOW, lines=True)
    return parse_samples(json.dumps(raw).encode(), now=NOW, lines=False)


def _refuse(body: bytes, *, lines: bool = True) -> tuple[FieldError, str]:
    with pytest.raises(MalformedError) as caught:
        parse_samples(body, now=NOW, lines=lines)
    return caught.value.errors[0], caught.value.detail


# --- What is taken -----------------------------------------------------------------------------------------------


def test_both_forms_of_a_body_give_the_same_samples() -> None:
    raw = [raw_sample(), raw_sample(dataset="code")]
    assert _parse(*raw, lines=True) == _parse(*raw, lines=False)
    assert [item.dataset for item in _parse(*raw)] == ["math", "code"]


def test_only_what_is_required_is_enough() -> None:
    sample = _parse(
        {
            "dataset": "d",
            "teacher": {"provider": "openai", "model": "gpt-4o", "route": "api"},
            "generated_at": "2026-11-24T10:00:00Z",
            "prompt": "p",
            "completion": "c",
        }
    )[0]
    assert (sample.role, sample.parameters, sample.parents, sample.account) == ("generator", {}, [], None)
    assert sample.prompt == [Message(role="user", content="p")]
    assert sample.completion == [Message(role="assistant", content="c")]


@pytest.mark.parametrize("provider", ["nobody-knows-me", "01-ai", "x", "a.b_c-9"])
def test_an_unknown_teacher_is_no_error(provider: str) -> None:
    teacher = {"provider": provider, "model": "Some/Model:v1@2024+x", "route": "weights"}
    assert _parse(raw_sample(teacher=teacher))[0].teacher.provider == provider


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
        ("2026-11-20t10:00:00z", "2026-11-20T10:00:00Z"),
        ("2026-11-20T10:00:00+02:00", "2026-11-20T08:00:00Z"),
        ("2026-11-20T23:30:00-05:00", "2026-11-21T04:30:00Z"),
        ("2026-11-20T10:00:00.5Z", "2026-11-20T10:00:00.500Z"),
        ("2026-11-20T10:00:00.123456789Z", "2026-11-20T10:00:00.123Z"),
        ("2026-11-25T09:59:59Z", "2026-11-25T09:59:59Z"),  # clocks differ by a day at most
        ("1999-01-01T00:00:00Z", "1999-01-01T00:00:00Z"),  # a day without terms
    ],
)
def test_times_are_kept_in_utc(given: str, kept: str) -> None:
    assert _parse(raw_sample(generated_at=given))[0].generated_at == kept


@pytest.mark.parametrize("given", ["2026-02-03", "2026-02-03T23:00:00Z"])
def test_the_day_of_a_copy_is_a_day(given: str) -> None:
    assert _parse(raw_sample(teacher__obtained_at=given))[0].teacher.obtained_at == "2026-02-03"


def test_words_keep_every_character() -> None:
    words = 'a\u0000b\u202e\u2066 \ufeff \U0001f600 \\" \n\r\t ' + "ﬁ" + "e\u0301"
    sample = _parse(raw_sample(prompt=words, completion=words))[0]
    assert sample.prompt[0].content == sample.completion[0].content == words


def test_a_tool_call_needs_no_text() -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    sample = _parse(raw_sample(completion=[{"role": "assistant", "content": None, "tool_calls": calls}]))[0]
    assert sample.completion[0].tool_calls == calls


def test_whole_numbers_are_kept_as_canonical_json_writes_them() -> None:
    parameters = _parse(raw_sample(parameters={"a": 1.0, "b": [-0.0, 0.5], "c": {"d": 2**53 - 1}}))[0].parameters
    assert json.dumps(parameters) == '{"a": 1, "b": [0, 0.5], "c": {"d": 9007199254740991}}'


def test_blank_lines_and_windows_line_ends_are_passed_over_and_counted() -> None:
    line = json.dumps(raw_sample()).encode()
    assert len(parse_samples(b"\n" + line + b"\r\n\r\n" + line + b"\n\n", now=NOW, lines=True)) == 2
    problem, _ = _refuse(b"\n" + line + b"\r\n\r\n{}\n")
    assert problem.line == 4


names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"), min_size=1, max_size=40).filter(str.strip)  # fmt: skip
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(str.strip)
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | names  # fmt: skip
free_form = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
samples = st.fixed_dictionaries(
    {
        "dataset": names,
        "teacher": st.fixed_dictionaries(
            {
                "provider": st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20),
                "model": st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,30}\Z"),
                "route": st.sampled_from(["weights", "api", "consumer", "reseller", "dataset"]),
            },
            optional={"revision": st.none() | names, "host": st.none() | st.just("azure")},
        ),
        "generated_at": st.just("2026-11-20T10:00:00Z"),
        "prompt": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": words}), min_size=1, max_size=3),
        "completion": st.lists(st.fixed_dictionaries({"role": st.just("assistant"), "content": words}), min_size=1, max_size=2),
    },
    optional={
        "role": st.sampled_from(["generator", "rewriter", "judge", "reward", "verifier"]),
        "generated_in": st.none() | st.sampled_from(["US", "DE"]),
        "parameters": st.dictionaries(names, free_form, max_size=3),
        "usage": st.none() | st.fixed_dictionaries({"input_tokens": st.integers(0, 2**31 - 1)}),
        "parents": st.lists(names, max_size=3),
        "external_id": st.none() | names,
    },
)  # fmt: skip


@given(st.lists(samples, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_what_is_parsed_says_what_was_sent(raw: list[dict[str, Any]], lines: bool, ascii_only: bool) -> None:
    texts = [json.dumps(item, ensure_ascii=ascii_only) for item in raw]
    body = "\n".join(texts) if lines else f"[{', '.join(texts)}]"
    parsed = parse_samples(body.encode(), now=NOW, lines=lines)
    for sent, kept in zip(raw, map(msgspec.to_builtins, parsed), strict=True):
        for name, value in sent.items():
            if isinstance(value, dict) and name != "parameters":
                assert {key: kept[name][key] for key in value} == value
            else:
                assert kept[name] == value
    again = parse_samples(msgspec.json.encode(parsed), now=NOW, lines=False)
    assert again == parsed


# --- What is refused ---------------------------------------------------------------------------------------------

RLO = "\u202e"
BAD = [
    ("dataset", {"dataset": ""}),
    ("dataset", {"dataset": "   "}),
    ("dataset", {"dataset": "a\u0000b"}),
    ("dataset", {"dataset": "a\nb"}),
    ("dataset", {"dataset": f"a{RLO}b"}),
    ("dataset", {"dataset": "a\u2028b"}),
    ("dataset", {"dataset": "x" * 201}),
    ("dataset", {"dataset": 5}),
    ("dataset", {"dataset": None}),
    ("teacher", {"teacher": "openai/gpt-4o"}),
    ("teacher.provider", {"teacher__provider": "OpenAI"}),
    ("teacher.provider", {"teacher__provider": ""}),
    ("teacher.provider", {"teacher__provider": "open ai"}),
    ("teacher.provider", {"teacher__provider": "openai\n"}),
    ("teacher.provider", {"teacher__provider": "оpenai"}),  # a Cyrillic o
    ("teacher.model", {"teacher__model": "gpt 4o"}),
    ("teacher.model", {"teacher__model": "../../etc/passwd"}),
    ("teacher.model", {"teacher__model": f"gpt{RLO}4o"}),
    ("teacher.model", {"teacher__model": "m" * 201}),
    ("teacher.served_model", {"teacher__served_model": "\u0007"}),
    ("teacher.route", {"teacher__route": "pigeon"}),
    ("teacher.revision", {"teacher__revision": "\u0000"}),
    ("teacher.weights_digest", {"teacher__weights_digest": "sha256:" + "A" * 64}),
    ("teacher.weights_digest", {"teacher__weights_digest": "md5:" + "a" * 32}),
    ("teacher.obtained_at", {"teacher__obtained_at": "2026-13-01"}),
    ("teacher.obtained_at", {"teacher__obtained_at": "2027-01-01"}),
    ("teacher.obtained_at", {"teacher__obtained_at": "2026-W47-2"}),
    ("teacher.host", {"teacher__host": "Azure East"}),
    ("teacher.color", {"teacher__color": "red"}),
    ("role", {"role": "author"}),
    ("generated_at", {"generated_at": "yesterday"}),
    ("generated_at", {"generated_at": "2026-11-20"}),
    ("generated_at", {"generated_at": "2026-11-20T10:00:00"}),
    ("generated_at", {"generated_at": "20261120T100000Z"}),
    ("generated_at", {"generated_at": "2026-02-30T10:00:00Z"}),
    ("generated_at", {"generated_at": "2026-11-20T25:00:00Z"}),
    ("generated_at", {"generated_at": "0001-01-01T00:00:00+23:00"}),
    ("generated_at", {"generated_at": "2026-11-25T10:00:01Z"}),
    ("generated_at", {"generated_at": "9999-12-31T23:59:59-23:00"}),
    ("generated_at", {"generated_at": "٢٠٢٦-11-20T10:00:00Z"}),
    ("generated_at", {"generated_at": 1764000000}),
    ("generated_in", {"generated_in": "usa"}),
    ("generated_in", {"generated_in": "us"}),
    ("account.holder", {"account": {"holder": f"acme{RLO}"}}),
    ("account.plan", {"account": {"holder": None, "plan": ""}}),
    ("prompt", {"prompt": ""}),
    ("prompt", {"prompt": " \n\t"}),
    ("prompt", {"prompt": []}),
    ("prompt", {"prompt": None}),
    ("prompt", {"prompt": [{"role": "user", "content": ""}]}),
    ("prompt", {"prompt": [{"role": "user", "content": None}]}),
    ("prompt", {"prompt": [{"role": "user", "tool_calls": []}]}),
    ("prompt", {"prompt": "x" * 10_000_000}),
    ("prompt", {"prompt": [{"role": "user", "content": "x" * 3_000_000}] * 2}),
    ("prompt[0].role", {"prompt": [{"role": "alien", "content": "x"}]}),
    ("prompt[1].content", {"prompt": [{"role": "user", "content": "x"}, {"role": "user", "content": 5}]}),
    ("prompt[0].name", {"prompt": [{"role": "user", "content": "x", "name": "\u0000"}]}),
    ("completion", {"completion": ""}),
    ("completion", {"completion": [{"role": "assistant", "tool_calls": ["x" * MAX_TEXT_BYTES]}]}),
    ("parameters", {"parameters": {"x": "y" * 9000}}),
    ("parameters.seed", {"parameters": {"seed": 2**53}}),
    ("parameters.seeds[1]", {"parameters": {"seeds": [1, -(10**30)]}}),
    ("parameters", {"parameters": [1]}),
    ("parameters", {"parameters": [[[[1]]]]}),
    ("human_contribution", {"human_contribution": {"x": "y" * 9000}}),
    ("human_contribution.kind", {"human_contribution": {"kind": {"a": 1}}}),
    ("human_contribution.kind", {"human_contribution": {"kind": "\u0000"}}),
    ("usage.output_tokens", {"usage": {"output_tokens": -1}}),
    ("usage.output_tokens", {"usage": {"output_tokens": 2**31}}),
    ("usage.output_tokens", {"usage": {"output_tokens": 10**30}}),
    ("usage.output_tokens", {"usage": {"output_tokens": 1.5}}),
    ("usage.output_tokens", {"usage": {"output_tokens": True}}),
    ("request_id", {"request_id": "\u001b[31m"}),
    ("finish_reason", {"finish_reason": ""}),
    ("external_id", {"external_id": "x" * 201}),
    ("prompt_origin.kind", {"prompt_origin": {"kind": "alien"}}),
    ("prompt_origin.license", {"prompt_origin": {"kind": "human", "license": "\u0000"}}),
    ("prompt_origin.kind", {"prompt_origin": {}}),
    ("source_dataset", {"source_dataset": {"ref": "hf/x"}}),
    ("source_dataset.ref", {"source_dataset": {"ref": ""}, "teacher__route": "dataset"}),
    ("parents[1]", {"parents": ["a", "\u0000"]}),
    ("parents[0]", {"parents": [5]}),
    ("color", {"color": "red"}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "changes"), BAD, ids=[f"{number}-{field}" for number, (field, _) in enumerate(BAD)])
@pytest.mark.parametrize("lines", [True, False], ids=["ndjson", "array"])
def test_a_bad_value_refuses_the_batch_and_names_field_value_expectation_and_line(
    field: str, changes: dict[str, Any], lines: bool
) -> None:
    raw = [json.dumps(item).encode() for item in (raw_sample(), raw_sample(**changes), raw_sample())]
    body = b"\n".join(raw) if lines else b"[" + b",".join(raw) + b"]"
    problem, detail = _refuse(body, lines=lines)
    assert (problem.field, problem.line) == (field, 2)
    assert problem.expected
    assert detail.startswith("line 2: ")
    assert field in detail
    assert len(detail) < 600, "a message shows the value, not all of it"
    json.dumps(problem.to_json())


@pytest.mark.parametrize("field", ["dataset", "teacher", "generated_at", "prompt", "completion"])
def test_what_is_required_is_named_when_it_is_missing(field: str) -> None:
    raw = raw_sample()
    del raw[field]
    assert _refuse(json.dumps(raw).encode())[0].field == field


NOT_JSON = {
    "cut off": b'{"dataset": "math", "teach',
    "words": b"hello",
    "two objects": json.dumps(raw_sample()).encode() + b"{}",
    "a number that is none": b'{"dataset": NaN}',
    "infinity": b'{"parameters": {"a": Infinity}}',
    "not UTF-8": b'{"dataset": "\xff\xfe"}',
    "a lone surrogate": b'{"dataset": "\\ud800"}',
    "a lone surrogate in words": json.dumps(raw_sample()).encode().replace(b"It is 42.", b"It is \\udc00"),
    "a surrogate as UTF-8": b'{"dataset": "\xed\xa0\x80"}',
    "nested without end": b'{"parameters": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "a byte order mark": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("bad", NOT_JSON.values(), ids=NOT_JSON)
def test_a_line_that_is_not_json_refuses_the_whole_batch_with_its_number(bad: bytes) -> None:
    good = json.dumps(raw_sample()).encode()
    problem, detail = _refuse(b"\n".join([good, good, bad, good]))
    assert (problem.field, problem.line) == ("line", 3)
    assert detail.startswith("line 3 is not JSON: ")
    assert problem.expected == "one JSON object"


@pytest.mark.parametrize("bad", [b"5", b"[]", b'"text"', b"null"])
def test_a_line_that_is_another_value_is_named(bad: bytes) -> None:
    problem, _ = _refuse(json.dumps(raw_sample()).encode() + b"\n" + bad)
    assert (problem.field, problem.value, problem.line) == ("sample", json.loads(bad), 2)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (b'"dataset": "a", "dataset": "b"', "dataset"),
        (b'"dataset" : "a", "dataset": "b"', "dataset"),
        (b'"parameters": {"t": 1, "t": 2}', "t"),
        (b'"parameters": {"t\\\\": 1, "t\\\\": 2}', "t\\"),
        (b'"parameters": {"a\\\\": 1, "t": 1, "t": 2}', "t"),
        (b'"parameters": {"t": 1, "\\u0074": 2}', "t"),
        (b'"parameters": {"q": "\\": ", "t": 1, "t": 2}', "t"),
        (b'"account": {"holder": "acme", "holder": "other"}', "holder"),
        (b'"human_contribution": {"x": [{"t": 1, "t": 1}]}', "t"),
    ],
)
def test_a_key_that_stands_twice_is_refused(given: bytes, key: str) -> None:
    line = json.dumps({name: value for name, value in raw_sample().items() if name not in {"parameters", "account"}})
    body = line.encode() if b'"dataset"' not in given else line.encode().replace(b'"dataset": "math"', b'"role": "judge"', 1).replace(b', "role": "generator"', b"")  # fmt: skip
    problem, detail = _refuse(json.dumps(raw_sample()).encode() + b"\n" + body[:-1] + b", " + given + b"}")
    assert (problem.field, problem.line) == (key, 2)
    assert "duplicate key" in detail


def test_words_full_of_quotes_and_colons_are_no_duplicate_keys() -> None:
    code = 'x = {"a": 1, "a": 2}; s = "\\"; t = {\\"k\\": "v"}\\'
    sample = _parse(raw_sample(prompt=code, completion=code, parameters={'a":': 1, "b\\": {"c": '":'}}))[0]
    assert sample.prompt[0].content == code


def test_deep_nesting_is_refused_by_name() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    problem, _ = _refuse(json.dumps(raw_sample(parameters={"x": deep})).encode())
    assert problem.field.startswith("parameters.x[0]")
    assert problem.expected == "at most 32 levels"


@pytest.mark.parametrize("body", [b"", b"\n\n", b"  \n"])
def test_an_empty_body_holds_no_sample(body: bytes) -> None:
    assert _refuse(body)[0].expected == "at least one sample"
    assert _refuse(b"[]", lines=False)[0].expected == "at least one sample"


@pytest.mark.parametrize("body", [b"{}", b"", b"[1", b"[{]", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_array_is_named(body: bytes) -> None:
    problem, _ = _refuse(body, lines=False)
    assert problem.field in {"body", "line"}
