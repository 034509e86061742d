"""Samples of every kind that a pipeline may hand in: each optional field there, null or missing, hostile text and numbers."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

NAME_CHARACTERS = st.characters(
    exclude_categories=["Cc", "Cs", "Zl", "Zp"],
    exclude_characters="\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
)
names = st.text(NAME_CHARACTERS, min_size=1, max_size=40).filter(str.strip)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    ["\u0000", '"', '{"a": 1, "a": 2}', "\\", "\\u0061", "\u2028", "\ufeff", "\U0001f600", "é", "\x7f"]
)
words = texts.filter(str.strip)
# What RFC 8785 writes in another way than most: integral floats, exponents, the ends of what a double holds exactly.
numbers = st.sampled_from([1.0, -0.0, 1e-5, 1e-6, 1e-7, 5e-324, 1e21, 1.5e300, 2**53 - 1, -(2**53) + 1, 123456789.125])
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | numbers | names
scalars |= st.floats(-1e15, 1e15) | st.text(max_size=5)
free_form = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
objects = st.dictionaries(names, free_form, max_size=3)
models = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,30}\Z")
providers = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20)
countries = st.sampled_from(["US", "DE", "CN"])
tokens = st.integers(0, 2**31 - 1)
moments = st.sampled_from(["2026-11-20T10:00:00Z", "2026-11-20t12:00:00.25+02:00", "2026-11-21T00:00:00.000001Z"])


def _object(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional={name: st.none() | value for name, value in optional.items()})


teachers = _object(
    {"provider": providers, "model": models, "route": st.sampled_from(["weights", "api", "consumer", "reseller"])},
    {
        "served_model": models,
        "revision": names,
        "weights_digest": st.just("sha256:" + "0f" * 32),
        "obtained_at": st.sampled_from(["2026-02-03", "2026-02-03T23:00:00Z"]),
        "host": st.just("azure"),
    },
)
calls = st.lists(objects.filter(bool), min_size=1, max_size=2)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]), "content": words},
    optional={"name": names, "tool_call_id": names, "tool_calls": calls},
)
silent = st.fixed_dictionaries({"role": st.just("assistant"), "tool_calls": calls}, optional={"content": st.none()})
halves = words | st.builds(lambda first, rest: [first, *rest], messages, st.lists(messages | silent, max_size=2))
raw_samples = st.builds(
    lambda sample, source: {**sample, **source},
    st.fixed_dictionaries(
        {
            "dataset": st.sampled_from(["math", "code", "Übung"]),
            "teacher": teachers,
            "generated_at": moments,
            "prompt": halves,
            "completion": halves,
        },
        optional={
            "role": st.sampled_from(["generator", "rewriter", "judge", "reward", "verifier"]),
            "generated_in": st.none() | countries,
            "account": st.none() | _object({}, {"holder": names, "plan": names}),
            "parameters": objects,
            "usage": st.none() | _object({}, {"input_tokens": tokens, "output_tokens": tokens}),
            "request_id": st.none() | names,
            "finish_reason": st.none() | names,
            "prompt_origin": st.none()
            | _object({"kind": st.sampled_from(["human", "synthetic", "unknown"])}, {"ref": names, "license": names}),
            "parents": st.lists(names, max_size=2),
            "human_contribution": st.none()
            | st.builds(lambda kind, more: {**more, **kind}, _object({}, {"kind": names}), objects),
            "external_id": st.none() | names,
        },
    ),
    st.just({})
    | st.fixed_dictionaries(
        {
            "teacher": teachers.map(lambda teacher: {**teacher, "route": "dataset"}),
            "source_dataset": _object({"ref": names}, {"license": names}),
        }
    ),
)
