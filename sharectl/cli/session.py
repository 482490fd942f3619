"""What every command begins with: the repository that it works in, and how it writes."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.cli.codes import ExitCode, Finished
from sharectl.cli.interrupts import wait_for_input
from sharectl.cli.values import parse_duration_seconds
from sharectl.model.diagnostics import DiagnosticError, error, has_errors
from sharectl.model.frozen import dataclass
from sharectl.private import NAME, mend_private
from sharectl.render.output import Output
from sharectl.workspace.repository import Input, Repository, project_at, with_state

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.state.contract import StateStore
    from sharectl.workspace.interventions import Edit

working_directory: Final[ContextVar[Path]] = ContextVar("working_directory", default=Path())
"""What `sharectl -C DIR COMMAND` names; a command's own -C is under it, as with git."""


@dataclass(frozen=True, slots=True)
class Session:
    """One command at work: its repository and its output."""

    repository: Repository
    output: Output

    @property
    def project(self) -> Project:
        """The project of the repository."""
        return self.repository.project

    def path(self, path: Path) -> Path:
        """Return a path from the command line; a relative one is under the directory that -C names."""
        return self.repository.directory / path

    def readable(self, only: Collection[Address] | None = None) -> tuple[Desired, bool]:
        """Return the manifests that can be read, and whether those are all, for a command that only looks."""
        desired, is_whole = self.repository.readable(only)
        if not is_whole:
            self.output.note(
                "The manifests have mistakes; what is shown is from the state and from what could be read of them."
            )
        return desired, is_whole

    def agree(self, question: str, *, yes: bool, instead: str = "", refused: str = "Nothing was changed.") -> None:
        """Ask, unless `yes` was given, and end the command where the answer is another than `yes`.

        Where nobody can be asked, say how to go on: with --yes, or what `instead` names.
        """
        if yes:
            return
        if sys.stdin is None or not sys.stdin.isatty():
            summary = "nobody can be asked: standard input is not a terminal"
            raise DiagnosticError(error("usage.no-terminal", summary, remedy=f"pass --yes{instead}"))
        self.output.note(f"{question} Type `yes` to agree.")
        wait_for_input(sys.stdin.fileno())
        if sys.stdin.readline().strip() != "yes":
            self.output.note(refused)
            raise Finished(ExitCode.FAILED)


def start(chdir: Path, files: Sequence[str] | None = None) -> Session:
    """Return the session of a command that works in `chdir`, with the manifests that it was given instead of the project's."""
    directory = _directory(chdir)
    return _session(directory, project_at(directory, os.environ), files)


def start_looking(chdir: Path, files: Sequence[str] | None) -> tuple[Session, tuple[Diagnostic, ...]]:
    """Return the session of a command that only tells what is wrong, and what is wrong with the project's own file. Raises DiagnosticError."""
    from sharectl.manifests.project import ProjectError

    directory = _directory(chdir)
    try:
        return _session(directory, project_at(directory, os.environ), files), ()
    except ProjectError as failure:
        if failure.project is None:
            raise
        return _session(directory, with_state(failure.project, os.environ), files), failure.diagnostics


def _directory(chdir: Path) -> Path:
    chosen = working_directory.get() / chdir
    directory = chosen.resolve()
    if not directory.is_dir():
        raise DiagnosticError(
            error("usage.no-directory", f"there is no directory {chosen}", remedy="name another with -C")
        )
    return directory


def _session(directory: Path, project: Project, files: Sequence[str] | None) -> Session:
    mend_private(project.root / NAME, project.state_path)
    output = standard_output()
    stdin = Input(None if sys.stdin is None else sys.stdin.buffer)
    repository = Repository(directory, project, os.environ, output.diagnostics, tuple(files or ()), stdin)
    return Session(repository, output)


def standard_output() -> Output:
    """Return the output of this process."""
    return Output.for_streams(sys.stdout, sys.stderr, environ=os.environ)


@contextmanager
def kept_afterwards(session: Session, store: StateStore) -> Iterator[None]:
    """Keep a copy of the state when the block has ended, however it did; a state that is damaged by then fails the command."""
    from datetime import UTC, datetime

    from sharectl.workspace.copies import keep_copy_of

    problems: tuple[Diagnostic, ...] = ()
    try:
        yield
    finally:
        problems = keep_copy_of(store, session.project, os.environ, datetime.now(UTC))
        if problems:
            session.output.diagnostics(problems)
    if has_errors(problems):
        raise Finished(ExitCode.FAILED)


@contextmanager
def edited_state(session: Session, command: str, lock_timeout: str, *, create: bool = False) -> Iterator[Edit]:
    """Yield the state under the lock, for a change by hand; a repository without a state is refused, unless one is to be made."""
    from sharectl.workspace.interventions import Edit
    from sharectl.workspace.run import describe_run, held_lease

    if not create:
        session.repository.require_state()
    record = describe_run(command, session.project.root, os.environ)
    wait_seconds = parse_duration_seconds(lock_timeout)
    with (
        session.repository.store(create=True, hint=not create) as store,
        held_lease(store, record, wait_seconds) as lease,
        kept_afterwards(session, store),
    ):
        yield Edit(store, lease, record)
