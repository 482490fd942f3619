"""The candidates of a new share, packed."""

from __future__ import annotations

import pytest

from sharectl.model.candidates import Candidate, Candidates

FEW = (
    Candidate("nas1", "fast", 0.83, (("CapacityWeigher", 0.8), ("GoodnessWeigher", 0.03))),
    Candidate("nas2", "slow", 0.41, (("CapacityWeigher", 0.41),), "share_server/net-0@nas2"),
    Candidate("nas3", "bare", -0.0),
)


@pytest.mark.parametrize("number", range(len(FEW) + 1))
def test_they_are_as_a_tuple_of_them(number: int) -> None:
    """In length, order, parts and comparison."""
    some = FEW[:number]
    packed = Candidates.of(some)
    assert (len(packed), tuple(packed), bool(packed)) == (number, some, bool(some))
    assert packed == some
    assert packed == Candidates.of(some)
    assert hash(packed) == hash(Candidates.of(some))
    assert packed != FEW[1:]
    assert packed[:2] == some[:2]
    assert [packed[at] for at in range(number)] == list(some)
