"""Each case in `cases/` is a specification: given this world, the plan is exactly this.

A case has a `name`, `given` and `expect`. In `given`, `applied` is done first: a list of calls of World, then an apply. `then` are
further calls, such as changes of the manifests or of the backends by hand (`applies` is another apply, `crashes_after` one that
is cut short); `options` are those of the plan. `expect` holds the
`steps` (action, verb, address, what is waited for) and, where the case is about them, `changes`, `drift`, `codes` and `says`,
which are texts that the diagnostics contain, and `held`: what is left undone, with the verbs, and the address that it is held for. Every plan
that is not stopped is carried out, and the next one must be empty, unless the case says `settles: false`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from tests.planner.model import carry_out, settle
from tests.planner.world import World, change_lines, codes, drift_lines, held_lines, step_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.model.plans import Plan

FOLDER = Path(__file__).with_name("cases")
LIFTED = {"allow_deletions": 99, "allow_recreations": 99, "allow_revocations": 99, "allow_empty": True}


def _cases() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for case in YAML(typ="safe").load(path):
            yield pytest.param(case, id=f"{path.stem}: {case['name']}")


def _call(world: World, calls: Sequence[Mapping[str, Any]]) -> None:
    for call in calls:
        for method, arguments in call.items():
            given = arguments if isinstance(arguments, list) else [arguments]
            positional = [argument for argument in given if not isinstance(argument, dict)]
            named = {
                name: value for argument in given if isinstance(argument, dict) for name, value in argument.items()
            }
            if method == "applies":
                settle(world)
            elif method == "crashes_after":
                carry_out(world, world.plan(**named), steps=positional[0])
            else:
                getattr(world, method)(*positional, **named)


def _said(plan: Plan) -> str:
    return "\n".join(f"{d.summary} {d.detail} {d.remedy}" for d in plan.diagnostics)


@pytest.mark.parametrize("case", list(_cases()))
def test_the_plan_is_what_the_case_expects(case: dict[str, Any]) -> None:
    """A world, a plan, and what comes of it."""
    given, expect = case["given"], case["expect"]
    world = World(*given.get("backends", ()))
    _call(world, given.get("applied", ()))
    settle(world)
    _call(world, given.get("then", ()))
    plan = world.plan(**given.get("options", {}))
    assert step_lines(plan) == expect.get("steps", [])
    assert codes(plan) == expect.get("codes", [])
    if "changes" in expect:
        assert change_lines(plan) == expect["changes"]
    if "drift" in expect:
        assert drift_lines(plan) == expect["drift"]
    for text in expect.get("says", ()):
        assert text in _said(plan)
    if "held" in expect:
        assert held_lines(plan) == expect["held"]
    if not plan.is_stopped and expect.get("settles", True):
        carry_out(world, plan)
        options = given.get("options", {}) if plan.held else {}
        assert step_lines(world.plan(**{**options, **LIFTED})) == []
