"""How each kind in manifests is planned: a module for each, named as the kind is."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.kinds import Address, Kind
    from sharectl.planner.draft import Draft

    Plan = Callable[[Draft, Address], None]


class KindPlanner(NamedTuple):
    """What tells whether a resource of a kind may be made, and what plans one that is new, has changed, is lost, or is not wanted."""

    is_free: Callable[[Draft, Address], bool]
    new: Plan
    changed: Plan
    lost: Plan
    removed: Plan


@cache
def planner_of(kind: Kind) -> KindPlanner:
    """Return the `PLANNER` of the module that is named as the kind is."""
    planner: KindPlanner = import_module(f"{__name__}.{kind}").PLANNER
    return planner
