"""Trust policies: logs, witnesses, groups, quorum."""

from __future__ import annotations

import pytest

from provenance.errors import MalformedError, SignatureError
from provenance.ledger.note import VerifierKey, format_vkey, parse_vkey
from provenance.ledger.policy import parse_policy

LOG = format_vkey(VerifierKey("example.com/log", 1, b"l" * 32))
W = [format_vkey(VerifierKey(f"w{number}.example", 4, bytes([number]) * 32)) for number in range(6)]
GROUPS = f"""
# the example of the specification
log {LOG} https://example.com/log
witness X1 {W[0]}
witness X2 {W[1]}
\twitness  X3\t{W[2]} https://w2.example/
group X-witnesses 2 X1 X2 X3
witness Y1 {W[3]}
witness Y2 {W[4]}
group Y-witnesses any Y1 Y2
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


@pytest.mark.parametrize(
    ("witnesses", "met"),
    [([0, 1, 3], True), ([0, 2, 4], True), ([0, 1, 2, 3, 4], True), ([0, 1], False), ([0, 3, 4], False), ([], False)],
)
def test_the_quorum_of_the_specification_s_example(witnesses: list[int], met: bool) -> None:
    policy = parse_policy(GROUPS)
    signed = [parse_vkey(text) for text in (LOG, *(W[number] for number in witnesses))]
    if met:
        policy.check(signed)
    else:
        with pytest.raises(SignatureError, match="quorum"):
            policy.check(signed)
    with pytest.raises(SignatureError, match="log"):
        policy.check(signed[1:])


def test_bare_verifier_keys_are_logs_without_witnesses() -> None:
    policy = parse_policy(f"{LOG}\n")
    policy.check([parse_vkey(LOG)])
    with pytest.raises(SignatureError):
        policy.check([parse_vkey(W[0])])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        f"log {LOG}\n",
        "quorum none\n",
        f"log {LOG}\nquorum X\n",
        f"log {LOG}\nquorum none\nquorum none\n",
        f"log {LOG}\nlog {LOG}\nquorum none\n",
        f"log {LOG}\nwitness none {W[0]}\nquorum none\n",
        f"log {LOG}\nwitness A {W[0]}\nwitness A {W[1]}\nquorum A\n",
        f"log {LOG}\ngroup G any G\nquorum G\n",
        f"log {LOG}\nwitness A {W[0]}\ngroup G 2 A\nquorum G\n",
        f"log {LOG}\nwitness A {W[0]}\ngroup G 0 A\nquorum G\n",
        f"log {LOG}\nwitness A {W[0]}\ngroup G 2 A A\nquorum G\n",
        f"log {LOG}\ntrust me\nquorum none\n",
    ],
)
def test_a_policy_that_says_less_than_it_must_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_policy(text)


W_PLAIN = format_vkey(VerifierKey("w.example", 1, b"p" * 32))


@pytest.mark.parametrize(
    "text",
    [
        f"log {LOG}\nwitness A {W_PLAIN}\nquorum A\n",
        f"log {W[0]}\nwitness A {W[1]}\nquorum A\n",
        f"log {LOG}\nwitness A {W[0]} https://a.example more\nquorum A\n",
        f"log {LOG}\nwitness A {W[0]}\ngroup G any A\ngroup H any A\nquorum G\n",
        f"log {LOG}\nwitness A {W[0]}\ngroup G any A\ngroup H any G\ngroup I any G\nquorum I\n",
        f"log {LOG}\nwitness A {W[0]}\ngroup G any G\nquorum G\n",
        f"log {LOG}\r\nwitness A {W[0]}\r\nquorum A\r\n",
        f"log {LOG}\nwitness A {W[0]}\x0bquorum A\n",
        f"log {LOG}\nwitness\u00a0A {W[0]}\nquorum A\n",
        f"log {LOG}\nwitness A {W[0]}\u2028quorum A\n",
    ],
    ids=["a witness's plain key", "a log's cosignature key", "five words", "a member of two groups", "a group of two",
         "a group of itself", "carriage returns", "a vertical tab", "a wide space", "a line separator"],
)  # fmt: skip
def test_what_the_specification_forbids_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_policy(text)


def test_names_and_addresses_are_opaque_and_urls_are_kept() -> None:
    policy = parse_policy(f"log {LOG}\n# a comment\n\t witness  \u212a\t{W[0]} https://k.example/w \nquorum \u212a\n")
    assert policy.urls == {"\u212a": "https://k.example/w"}
    assert policy.is_met({parse_vkey(W[0])})
    assert not policy.is_met(set())
