"""Each kind that manifests describe and the state records has a planner of its own."""

from __future__ import annotations

import pytest

from sharectl.model.kinds import MANAGED_KINDS, Kind
from sharectl.planner.kinds import KindPlanner, planner_of


@pytest.mark.parametrize("kind", sorted(MANAGED_KINDS))
def test_each_managed_kind_is_planned(kind: Kind) -> None:
    """By the module that is named as it is."""
    planner = planner_of(kind)
    assert isinstance(planner, KindPlanner)
    assert all(map(callable, planner))
