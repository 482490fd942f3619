"""The candidates of a new share, packed."""

from __future__ import annotations

import pytest

from sharectl.model.candidates import Candidate, Candidates, shared_place

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


def test_shares_with_the_same_candidates_have_one_object_for_them() -> None:
    """And it is as good as one of their own; with other weights, or in another order, they are others."""
    fast, slow = (shared_place("nas1", pool, None, ("CapacityWeigher",)) for pool in ("fast", "slow"))
    shared = Candidates.shared([fast, slow], [0.8, 0.8, 0.4, 0.4])
    assert Candidates.shared((fast, slow), (0.8, 0.8, 0.4, 0.4)) is shared
    assert shared == Candidates([fast, slow], [0.8, 0.8, 0.4, 0.4])
    for places, weights in (((slow, fast), (0.8, 0.8, 0.4, 0.4)), ((fast, slow), (0.8, 0.8, 0.3, 0.3))):
        assert Candidates.shared(places, weights) == Candidates(places, weights) != shared
