"""The body of `add-checkpoint`: written and read alike, and the specification's own example is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import MalformedError
from provenance.ledger.witness.request import format_request, parse_request
from tests.ledger.witness.witnesses import SmallLog

LOG = SmallLog().grow(40)
NOTES = {size: LOG.note(size) for size in (0, 1, 39)}
EXAMPLE = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63), st.sampled_from([*NOTES]))
def test_what_is_written_is_read(old: int, proof: list[bytes], size: int) -> None:
    parsed = parse_request(format_request(old, proof, NOTES[size]))
    assert (parsed.old_size, list(parsed.proof), parsed.note) == (old, proof, NOTES[size])
    assert parsed.checkpoint.size == size


@given(st.data())
def test_a_bent_request_is_another_one_or_none(data: st.DataObject) -> None:
    body = bytearray(format_request(7, LOG.proof(7, 39), NOTES[39]))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_request(bytes(body))
    except MalformedError:
        return
    assert format_request(parsed.old_size, parsed.proof, parsed.note) == bytes(body), "it has one spelling"


def test_the_specification_s_example_is_read() -> None:
    parsed = parse_request(EXAMPLE.encode())
    assert (parsed.old_size, len(parsed.proof)) == (20852014, 4)
    assert (parsed.checkpoint.origin, parsed.checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert format_request(parsed.old_size, parsed.proof, parsed.note).decode() == EXAMPLE
