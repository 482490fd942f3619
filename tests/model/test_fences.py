"""Whoever has lost its lease is refused for good, and nobody else is, whatever runs there are and in which order they come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sharectl.model.fences import Fences


@given(st.data())
def test_a_run_is_refused_once_a_later_one_that_found_it_gone_has_worked_there(data: st.DataObject) -> None:
    """And before that it is not: runs take leases and lose them at random, and come to the backend in any order, or never."""
    fences = Fences()
    living: dict[int, frozenset[int]] = {}
    ended: dict[int, frozenset[int]] = {}
    raised: list[tuple[int, frozenset[int]]] = []
    token = 0
    for _ in range(data.draw(st.integers(1, 25))):
        what = data.draw(st.sampled_from(("take", "lose", "work")))
        if what == "take":
            token += data.draw(st.integers(1, 3))
            living[token] = frozenset(living)
        elif what == "lose" and living:
            gone = data.draw(st.sampled_from(sorted(living)))
            ended[gone] = living.pop(gone)
        everybody = living | ended
        if not everybody:
            continue
        comes = data.draw(st.sampled_from(sorted(everybody)))
        left_out = any(comes < other and comes not in beside for other, beside in raised)
        assert fences.admit(comes) == (not left_out)
        assert comes in ended or not left_out
        if not left_out:
            fences = fences.raised(comes, everybody[comes])
            raised.append((comes, everybody[comes]))
            assert fences.raised(comes, everybody[comes]) == fences
        assert Fences.of(fences.newest, fences.note) == fences


def test_a_note_of_an_older_fence_says_nothing() -> None:
    """A sharectl that knows no such notes has raised the fence since."""
    assert Fences.of(9, [8, 3]) == Fences(9)
    assert Fences.of(9, []) == Fences(9)
    assert not Fences.of(9, [8, 3]).admit(3)
