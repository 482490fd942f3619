"""How an apply ended, and what to do next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.apply import RunResult
from sharectl.model.access import AccessRule
from sharectl.model.events import StepFailed
from sharectl.model.plans import Action
from sharectl.model.verbs import Verb
from sharectl.render.result import result_lines, result_object, skipped_by_cause
from sharectl.render.text import Look
from tests.render.samples import a_plan, a_step, held_shares, new_share, rich_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Golden = Callable[[str, Iterable[str]], None]

RULE = AccessRule("ip", "10.0.0.0/8", "rw")


def failure(name: str, *, unresolved: bool = False, error: str = "no space left") -> StepFailed:
    """Return the failure of the creation of a share."""
    return StepFailed(f"create-share:share/{name}", f"share/{name}", Verb.CREATE_SHARE, "nas1", error, unresolved)


def test_a_plan_that_is_done_says_so_in_one_line() -> None:
    """With what was done, and how long it took."""
    lines = list(result_lines(rich_plan(), RunResult(18, (), 0, cancelled=False, seconds=12.3)))
    sentence = (
        "Applied in 12.3 s: 4 created, 1 adopted, 2 updated, 1 renamed, 2 replaced, 1 turned back, 1 forgotten, 3 deleted; "
        "access rules: 1 created, 1 updated, 1 deleted."
    )
    assert lines == [sentence]


def test_nothing_to_do_is_done_too() -> None:
    """An empty plan."""
    lines = list(result_lines(a_plan(), RunResult(0, (), 0, cancelled=False, seconds=0.0)))
    assert lines == ["Applied in 0.0 s: nothing to do."]


@pytest.mark.parametrize(("verb", "action"), [(Verb.CREATE_SHARE, Action.CREATE), (Verb.ADOPT, Action.ADOPT)])
def test_where_a_backend_could_not_be_prepared_only_an_import_is_to_be_repeated(verb: Verb, action: Action) -> None:
    """New shares are for the next apply, shares that were to be taken over are for the next import."""
    prepare = a_step("backend/nas1", Action.CREATE, Verb.PREPARE_BACKEND, "never used before", backend="nas1")
    share = a_step("share/a", action, verb, "wanted", waits_for=(prepare.step_id,), backend="nas1")
    failed = StepFailed(prepare.step_id, prepare.address, Verb.PREPARE_BACKEND, "nas1", "no such disk")
    lines = list(result_lines(a_plan(prepare, share), RunResult(0, (failed,), 1, cancelled=False, seconds=1.0)))
    assert ("import it again" in lines[-1]) is (verb is Verb.ADOPT)


def test_failures_come_with_what_they_took_along_and_the_next_step(golden: Golden) -> None:
    """Each failed address with its error and backend, the skipped ones by cause, unknown outcomes, advice."""
    child = a_step(
        "snapshot/a",
        Action.CREATE,
        Verb.CREATE_SNAPSHOT,
        "not there yet",
        waits_for=("update-access:share/a",),
        backend="nas1",
    )
    plan = a_plan(*new_share("a", RULE), child, *new_share("b", RULE), *new_share("c"))
    result = RunResult(
        1,
        (failure("a"), failure("b", unresolved=True, error="no answer within 300 s")),
        3,
        cancelled=False,
        seconds=301.0,
    )
    golden("result-failed.txt", result_lines(plan, result))
    skipped = {cause: [step.step_id for step in steps] for cause, steps in skipped_by_cause(plan, result).items()}
    assert skipped == {
        "share/a": ["update-access:share/a", "create-snapshot:snapshot/a"],
        "share/b": ["update-access:share/b"],
    }


def test_what_waits_for_two_failures_is_skipped_once() -> None:
    """Under the first of them."""
    child = a_step(
        "share/c", Action.FORGET, Verb.FORGET, "x", waits_for=("create-share:share/a", "create-share:share/b")
    )
    result = RunResult(0, (failure("a"), failure("b")), 1, cancelled=False, seconds=1.0)
    assert skipped_by_cause(a_plan(*new_share("a"), *new_share("b"), child), result) == {"share/a": [child]}


def test_a_cancelled_run_says_how_to_go_on(golden: Golden) -> None:
    """What is done is recorded."""
    plan = a_plan(*new_share("a", RULE), *new_share("b"))
    golden(
        "result-cancelled.txt", result_lines(plan, RunResult(1, (), 2, cancelled=True, seconds=3.0), Look(color=True))
    )


def test_a_state_that_cannot_be_written_is_named(golden: Golden) -> None:
    """It goes before everything else that is to be mended."""
    lost = failure("a", unresolved=True, error="the disk is full")
    result = RunResult(0, (lost,), 1, cancelled=False, seconds=0.5, problem="/srv/state.db: the disk is full")
    golden("result-problem.txt", result_lines(a_plan(*new_share("a", RULE)), result))


def test_failures_that_say_the_same_are_one() -> None:
    """A backend that refuses everything is told of once, with how many, and what waited for all of them."""
    names = [f"s{n:03d}" for n in range(70)]
    plan = a_plan(*(step for name in names for step in new_share(name, RULE)))
    failures = (*(failure(name) for name in names[:-1]), replace(failure(names[-1]), error="busy"))
    lines = list(result_lines(plan, RunResult(0, failures, 70, cancelled=False, seconds=1.0)))
    assert lines[:4] == [
        "Failed",
        "  ✗ 69 steps  create-share on nas1: no space left",
        "    share/s000, share/s001, share/s002, share/s003, share/s004 and 64 more",
        "  ✗ share/s069  create-share on nas1: busy",
    ]
    assert lines[5].startswith("  because these 69 failed: update-access share/s000, ")
    assert lines[6] == "  because share/s069 failed: update-access share/s069"


def test_many_failures_are_shown_in_part() -> None:
    """The first fifty, and how many more; the same for causes."""
    names = [f"s{n:03d}" for n in range(70)]
    plan = a_plan(*(step for name in names for step in new_share(name, RULE)))
    failures = tuple(replace(failure(name), error=f"no space for {name}") for name in names)
    result = RunResult(0, failures, 70, cancelled=False, seconds=1.0)
    lines = list(result_lines(plan, result))
    assert "  and 20 more; `sharectl history` has them all" in lines
    assert "  and because of 20 more failures" in lines
    assert len(lines) < 120


def test_errors_of_a_backend_cannot_act_on_the_terminal() -> None:
    """They are shown as they are, made visible."""
    result = RunResult(0, (failure("a\n", error="\x1b[2Jx"),), 0, cancelled=False, seconds=1.0)
    assert all(line.isprintable() for line in result_lines(a_plan(), result))


def test_the_object_has_every_failure() -> None:
    """With its backend and whether its outcome is known."""
    result = RunResult(1, (failure("a", unresolved=True),), 2, cancelled=True, seconds=1.5, problem="p")
    assert orjson.loads(orjson.dumps(result_object(a_plan(), result, 1))) == {
        "format": "sharectl-result",
        "version": 1,
        "succeeded": False,
        "done": 1,
        "failed": 1,
        "skipped": 2,
        "cancelled": True,
        "seconds": 1.5,
        "problem": "p",
        "exit_code": 1,
        "unreadable": [],
        "failures": [
            {
                "step_id": "create-share:share/a",
                "address": "share/a",
                "verb": "create-share",
                "backend": "nas1",
                "error": "no space left",
                "unresolved": True,
            }
        ],
        "held": [],
    }


def test_what_was_held_is_said_at_the_end() -> None:
    """An apply that did all that could be done has not done all that was asked for: which, on one line, as its plan has said why."""
    plan = a_plan(by_action={"create": 1}, held=held_shares())
    result = RunResult(1, (), 0, cancelled=False, seconds=1.5)
    lines = list(result_lines(plan, result))
    assert lines[0].startswith("Applied in")
    assert lines[1:] == ["2 resources are held, as the plan says: share/copy, share/home."]
    plain = result_object(plan, result, 1)
    assert [each["address"] for each in plain["held"]] == ["share/home", "share/copy"]
