"""`--metrics FILE`: what a command measured, written when it has ended, however it did."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sharectl.cli.codes import ExitCode, Finished
from sharectl.model.diagnostics import DiagnosticError, error, warning
from sharectl.private import beginning_of_drafts, draft_of, may_replace, sweep_drafts, way_out
from sharectl.render.metrics import BEGINNING, metrics_lines
from sharectl.workspace.metrics import Measured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharectl.cli.session import Session


@contextmanager
def written_afterwards(session: Session, path: Path, command: str) -> Iterator[Measured]:
    """Yield what the command is to fill; afterwards the file is whole, or as it was before. Raises DiagnosticError."""
    target = session.path(path)
    if not target.parent.is_dir() or target.is_dir():
        summary = f"metrics cannot be written to {path}"
        raise DiagnosticError(error("usage.metrics", summary, remedy="name a file in a folder that is there"))
    if not _may_be_written(target):
        summary = f"{path} is not replaced: it holds no metrics of sharectl"
        raise DiagnosticError(error("usage.metrics", summary, remedy="name another file with --metrics"))
    measured, has_succeeded = Measured(command), False
    try:
        yield measured
        has_succeeded = True
    except Finished as ended:
        has_succeeded = ended.code in {ExitCode.DONE, ExitCode.CHANGES}
        raise
    finally:
        measured.end(has_succeeded=has_succeeded)
        _write(session, measured, target)


def _may_be_written(target: Path) -> bool:
    """Tell whether there is nothing but earlier metrics; what cannot be read is told where it cannot be written."""
    try:
        return may_replace(target, BEGINNING)
    except OSError:
        return True


def _write(session: Session, measured: Measured, target: Path) -> None:
    """Write the file in one step; what stands in the way is told, and the outcome of the command stays what it is."""
    try:
        sweep_drafts(target.parent, beginning_of_drafts(target))
        with draft_of(target, mode=0o666, is_durable=False) as draft, draft.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in metrics_lines(measured))
    except OSError as problem:
        summary = f"the metrics could not be written to {target}: {problem.strerror or problem}"
        remedy = way_out(problem, "name another file with --metrics")
        session.output.diagnostics((warning("metrics.not-written", summary, remedy=remedy),))
