"""Saved plans: written whole or not at all, readable by their owner alone, and checked when they are read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.plans import Origin
from sharectl.planner.saved.checks import UnsoundPlanError, check_plan
from sharectl.planner.saved.document import PlanDocumentError, plan_from_document, plan_to_document
from sharectl.private import draft_of
from sharectl.workspace.git import git_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sharectl.model.plans import Plan
    from sharectl.state.contract import StateStore


def write_plan_file(path: Path, plan: Plan) -> None:
    """Write the plan to `path` with mode 0600, replacing what is there in one step. Raises DiagnosticError."""
    body = orjson.dumps(plan_to_document(plan))
    data = b'{"checksum":"' + _checksum(body).encode() + b'","plan":' + body + b"}\n"
    try:
        with draft_of(path) as draft:
            draft.write_bytes(data)
    except OSError as problem:
        raise DiagnosticError(
            error("plan.unwritable", f"the plan could not be written to {path}: {problem.strerror}")
        ) from problem


def read_plan_file(path: Path) -> Plan:
    """Return the plan saved at `path`. Raises DiagnosticError where it cannot be read, or is not whole."""
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise DiagnosticError(
            error("plan.unreadable", f"the plan {path} could not be read: {problem.strerror}")
        ) from problem
    try:
        outer = orjson.loads(data)
        if outer["checksum"] == _checksum(orjson.dumps(outer["plan"])):
            plan = plan_from_document(outer["plan"])
            check_plan(plan)
            return plan
        reason = "it was changed or cut short after it was saved"
    except PlanDocumentError as problem:
        reason = str(problem)
    except UnsoundPlanError as problem:
        reason = f"it is not as sharectl writes it: {problem}"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        reason = "it is not a plan of sharectl"
    raise DiagnosticError(
        error(
            "plan.not-a-plan",
            f"{path} cannot be applied: {reason}",
            remedy="make a new one with `sharectl plan --out FILE`",
        )
    )


def plan_origin(root: Path, state_path: Path) -> Origin:
    """Return where a plan is made: for the state at `state_path`, in the repository that `root` is in."""
    answer = git_lines(root, "rev-parse", "HEAD", "--show-prefix")
    commit, folder = (answer[0], answer[1]) if len(answer) > 1 else (None, "")
    return Origin(str(state_path.resolve()), commit, folder)


def require_own_plan(plan: Plan, open_store: Callable[[], AbstractContextManager[StateStore]], here: Origin) -> None:
    """Refuse a saved plan that was made for another state or project, before a state is made for it here. Raises DiagnosticError.

    A plan that was made before there was a state is for the project that it was made in, at this place or in another checkout of
    the same commit.
    """
    lineage = ""
    if Path(here.state_path).exists():
        with open_store() as store, store.read() as reader:
            lineage = reader.view(()).lineage
    planned = "`sharectl plan --out FILE` makes one for what is here"
    if plan.lineage and plan.lineage != lineage:
        found = f"the one at {here.state_path} is {lineage}" if lineage else f"there is none at {here.state_path}"
        raise DiagnosticError(
            error(
                "plan.other-state",
                f"the plan was made with another state: {plan.lineage}; {found}",
                detail="applied here it would make a second time what is there already.",
                remedy=f"apply it where it was made (-C names that folder), bring that state back, or plan anew: {planned}",
            )
        )
    if not plan.lineage and (plan.origin is None or not plan.origin.is_same_project(here)):
        where = "" if plan.origin is None else f" for the state at {plan.origin.state_path}"
        raise DiagnosticError(
            error(
                "plan.other-project",
                f"the plan was made{where}, before there was one, and here it would be {here.state_path}",
                detail="applied here it would make a second state. Two checkouts of one repository are the same project at the same commit.",
                remedy=f"apply it where it was made (-C names that folder), or plan anew: {planned}",
            )
        )


def _checksum(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
