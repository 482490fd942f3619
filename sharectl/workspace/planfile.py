"""Saved plans: written whole or not at all, readable by their owner alone, and checked when they are read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.planner.saved.document import PlanDocumentError, plan_from_document, plan_to_document
from sharectl.planner.saved.soundness import UnsoundPlanError, check_plan

if TYPE_CHECKING:
    from sharectl.model.plans import Plan


def write_plan_file(path: Path, plan: Plan) -> None:
    """Write the plan to `path` with mode 0600, replacing what is there in one step. Raises DiagnosticError."""
    body = orjson.dumps(plan_to_document(plan))
    data = b'{"checksum":"' + _checksum(body).encode() + b'","plan":' + body + b"}\n"
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
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


def _checksum(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()
