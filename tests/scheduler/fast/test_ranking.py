"""The ranking finds what a look at every member finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sharectl.scheduler.fast.ranking import Ranking

LIMITS = st.sampled_from([float("-inf"), 0.0, 1.0, 2.5, 10.0, 10.0, 99.0, float("inf")])


@given(st.lists(st.tuples(LIMITS, st.integers(-5, 5)), max_size=120), st.data())
def test_best_and_worst_are_those_of_a_plain_search(drawn: list[tuple[float, int]], data: st.DataObject) -> None:
    """Through any sequence of changes."""
    count = max(len(drawn), 1)
    members = {index: (limit, value * count + index) for index, (limit, value) in enumerate(drawn)}
    ranking = Ranking(members.values())
    for _ in range(data.draw(st.integers(0, 30)) if members else 0):
        index = data.draw(st.integers(0, len(members) - 1))
        changed = (data.draw(LIMITS), data.draw(st.integers(-50, 5)) * count + index)
        ranking.replace(members[index], changed)
        members[index] = changed
    size = data.draw(st.sampled_from([0.5, 1.0, 2.0, 10.0, 1000.0]))
    able = sorted((key for limit, key in members.values() if limit >= size), reverse=True)
    wanted = data.draw(st.integers(1, 8))
    assert ranking.best(size, wanted) == able[:wanted]
    assert ranking.worst(size) == (able[-1] if able else None)
    assert sorted(ranking.members(size), reverse=True) == able
    assert ranking.highest_limit() == max((limit for limit, _ in members.values()), default=float("-inf"))
