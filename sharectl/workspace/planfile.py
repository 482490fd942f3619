"""Saved plans: written whole or not at all, readable by their owner alone, and checked when they are read."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, BinaryIO, Final

import orjson

from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.plans import Origin
from sharectl.planner.saved.checks import UnsoundPlanError, check_plan
from sharectl.planner.saved.document import PlanDocumentError, plan_from_document, streamed_document
from sharectl.private import beginning_of_drafts, draft_of, may_replace, sweep_drafts, way_out
from sharectl.workspace.git import git_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sharectl.manifests.project import Project
    from sharectl.model.plans import Plan
    from sharectl.state.contract import StateStore


_CHECKSUM_BYTES: Final = 16
_BEFORE_CHECKSUM: Final = b'{"checksum":"'
_BEFORE_PLAN: Final = b'","plan":'
_BEFORE_STEPS: Final = b'"steps":[\n'
_END: Final = b"]}}\n"


class _ChangedError(ValueError):
    """A saved plan that is not as it was written."""


def write_plan_file(path: Path, plan: Plan) -> None:
    """Write the plan to `path` with mode 0600, replacing an earlier plan there, and nothing else, in one step. Raises DiagnosticError.

    It is one JSON object, with each step on a line of its own. The checksum is of the plan without the line ends.
    """
    document = streamed_document(plan)
    steps = document["steps"]
    digest = _digest_of(head := orjson.dumps({**document, "steps": []}).removesuffix(b"]}"))
    try:
        if not may_replace(path, _BEFORE_CHECKSUM):
            summary = f"{path} is not replaced: it is no saved plan"
            raise DiagnosticError(error("plan.taken", summary, remedy="name another file with --out"))
        sweep_drafts(path.parent, beginning_of_drafts(path))
        with draft_of(path) as draft, draft.open("wb") as file:
            file.write(_BEFORE_CHECKSUM + b"0" * 2 * _CHECKSUM_BYTES + _BEFORE_PLAN + head)
            separator = b""
            for step in steps:
                line = orjson.dumps(step)
                digest.update(separator + line)
                file.write(separator + b"\n" + line)
                separator = b","
            digest.update(_END[:-2])
            file.write(b"\n" + _END)
            file.seek(len(_BEFORE_CHECKSUM))
            file.write(digest.hexdigest().encode())
    except OSError as problem:
        raise DiagnosticError(
            error(
                "plan.unwritable",
                f"the plan could not be written to {path}: {problem.strerror}",
                detail="what was at that path is as it was.",
                remedy=way_out(problem, "name a file with --out, in a folder that is there"),
            )
        ) from problem


def read_plan_file(path: Path) -> Plan:
    """Return the plan saved at `path`. Raises DiagnosticError where it cannot be read, or is not whole."""
    try:
        with path.open("rb") as file:
            plan = _plan_in(file)
            check_plan(plan)
            return plan
    except OSError as problem:
        raise DiagnosticError(
            error(
                "plan.unreadable",
                f"the plan {path} could not be read: {problem.strerror}",
                remedy="name a file that `sharectl plan --out FILE` has made",
            )
        ) from problem
    except _ChangedError:
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


def _plan_in(file: BinaryIO) -> Plan:
    """Return the plan in a file, of which one step is read at a time."""
    head = file.readline()
    if not head.endswith(_BEFORE_STEPS):  # on one line, as sharectl wrote it before, or laid out by another program
        outer = orjson.loads(head + file.read())
        if outer["checksum"] != _digest_of(orjson.dumps(outer["plan"])).hexdigest():
            raise _ChangedError
        return plan_from_document(outer["plan"])
    outer = orjson.loads(head + _END)
    digest = _digest_of(head[:-1].partition(_BEFORE_PLAN)[2])
    lines = _step_lines(file, digest)
    try:
        return plan_from_document(outer["plan"], map(orjson.loads, lines))
    finally:
        for _ in lines:
            pass
        if outer["checksum"] != digest.hexdigest():
            raise _ChangedError


def _step_lines(file: BinaryIO, digest: hashlib.blake2b) -> Iterator[bytes]:
    """Yield the JSON of each step, and add all that is read to the digest."""
    for line in file:
        if line == _END:
            digest.update(_END[:-2])
        else:
            digest.update(line.rstrip(b"\n"))
            yield line.rstrip(b",\n")


def plan_origin(project: Project) -> Origin:
    """Return where a plan is made: for the state of `project`, in the repository that it is in."""
    root, file = project.root, project.state_path
    answer = git_lines(root, "rev-parse", "HEAD", "--show-prefix")
    commit, folder = (answer[0], answer[1]) if len(answer) > 1 else (None, "")
    return Origin(project.state_location if file is None else str(file.resolve()), commit, folder)


def require_own_plan(
    plan: Plan, open_store: Callable[[], AbstractContextManager[StateStore]] | None, here: Origin
) -> None:
    """Refuse a saved plan that was made for another state or project, before a state is made for it here. Raises DiagnosticError.

    `open_store` is None where there is no state. A plan that was made before there was a state is for the project that it was made in, at this place or in another checkout of
    the same commit.
    """
    lineage = ""
    if open_store is not None:
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


def _digest_of(body: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES)
