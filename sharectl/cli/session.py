"""What every command begins with: the words of the command line as values, the repository that it works in, and how it writes."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.cli.codes import ExitCode, Finished
from sharectl.cli.interrupts import wait_for_input
from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error, has_errors
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import Kind, address_of
from sharectl.private import NAME, mend_private
from sharectl.render.output import Output
from sharectl.workspace.repository import Input, Repository, project_at

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.project import Project
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.state.contract import StateStore
    from sharectl.workspace.interventions import Edit
    from sharectl.workspace.parallel import Unanswered
    from sharectl.workspace.traces import Trace

_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?"
_DURATION: Final = r"([0-9]{1,9})(s|m|h|d)"
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KINDS: Final = {kind.value.replace("_", ""): kind for kind in Kind}


def parse_address(text: str) -> Address:
    """Return the address that a user wrote; `sharetype/gold` is `share_type/gold`. Raises DiagnosticError."""
    kind_text, separator, name = text.partition("/")
    kind = _KINDS.get(kind_text.lower().replace("_", "").replace("-", ""))
    if not separator or not name or kind is None or not _is_utf8(name):
        raise DiagnosticError(error("usage.address", f"{text!r} is not an address", remedy=_address_remedy(text)))
    return f"{kind.value}/{name}"


def _is_utf8(text: str) -> bool:
    """Tell whether a text is one: bytes of the command line and of paths that are not UTF-8 are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _address_remedy(text: str) -> str:
    kind_text, separator, name = text.partition("/")
    if not separator and kind_text:
        return f'did you mean "{address_of(Kind.SHARE, text)}"? an address is kind/name'
    near = did_you_mean(kind_text, sorted(_KINDS)) if name else ""
    return f"{near} an address is kind/name, such as share/projects; the kinds are {', '.join(Kind)}".strip()


def parse_addresses(texts: Sequence[str] | None) -> frozenset[Address]:
    """Return the addresses that a user wrote."""
    return frozenset(parse_address(text) for text in texts or ())


def parse_labels(texts: Sequence[str] | None) -> dict[str, str]:
    """Return labels written as KEY=VALUE. Raises DiagnosticError."""
    labels = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not separator or re.fullmatch(_LABEL, key) is None:
            remedy = "write KEY=VALUE, such as team=research"
            raise DiagnosticError(error("usage.label", f"{text!r} is not a label", remedy=remedy))
        labels[key] = value
    return labels


def parse_time(text: str, now: datetime) -> str:
    """Return the time that `2h`, `7d`, `2026-05-04` or `2026-05-04T12:00` names, in UTC, as the history writes it. Raises DiagnosticError."""
    from datetime import UTC, datetime, timedelta

    try:
        if (match := re.fullmatch(_DURATION, text)) is not None:
            then = now - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
        else:
            found = datetime.fromisoformat(text)
            then = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        remedy = "write how long ago, such as 2h or 7d, or when, such as 2026-05-04 or 2026-05-04T12:00"
        raise DiagnosticError(error("usage.time", f"{text[:80]!r} is not a time", remedy=remedy)) from None
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_duration_seconds(text: str) -> float:
    """Return the seconds of `30s`, `5m`, `2h` or `7d`; `0` is none. Raises DiagnosticError."""
    if text == "0":
        return 0.0
    match = re.fullmatch(_DURATION, text)
    if match is None:
        remedy = "write a number and s, m, h or d: 30s, 5m, 2h, 7d"
        raise DiagnosticError(error("usage.duration", f"{text!r} is not a time", remedy=remedy))
    return float(int(match[1]) * _SECONDS[match[2]])


def parse_size(text: str) -> int:
    """Return the bytes that `100GiB` names. Raises DiagnosticError."""
    from sharectl.model import quantities

    try:
        return quantities.parse_size(text)
    except quantities.SizeError as problem:
        raise DiagnosticError(error("usage.size", str(problem), remedy=quantities.SIZE_HINT)) from problem


working_directory: Final[ContextVar[Path]] = ContextVar("working_directory", default=Path())
"""What `sharectl -C DIR COMMAND` names; a command's own -C is under it, as with git."""

directory_in_use: Final[ContextVar[Path | None]] = ContextVar("directory_in_use", default=None)
"""Where the command works, by which a failure is told too; None until it is known."""


@dataclass(frozen=True, slots=True)
class Session:
    """One command at work: its repository and its output, and its trace, where one is asked for."""

    repository: Repository
    output: Output
    trace: Trace | None = None

    @property
    def project(self) -> Project:
        """The project of the repository."""
        return self.repository.project

    def path(self, path: Path) -> Path:
        """Return a path from the command line; a relative one is under the directory that -C names."""
        return self.repository.directory / path

    def readable(self, only: Collection[Address] | None = None, *, beside: bool = False) -> tuple[Desired, bool]:
        """Return the manifests that can be read, and whether those are all, for a command that only looks; `beside` as of the repository."""
        desired, is_whole = self.repository.readable(only, beside=beside)
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


def start(chdir: Path, files: Sequence[str] | None = None, executor: str | None = None) -> Session:
    """Return the session of a command that works in `chdir`, with the manifests and the executor that it was given instead of the project's."""
    directory = _directory(chdir)
    return _session(directory, project_at(directory, os.environ, executor), files)


def start_looking(chdir: Path, files: Sequence[str] | None) -> tuple[Session, tuple[Diagnostic, ...]]:
    """Return the session of a command that only tells what is wrong, and what is wrong with the project's own file. Raises DiagnosticError."""
    from sharectl.manifests.project import ProjectError

    directory = _directory(chdir)
    try:
        return _session(directory, project_at(directory, os.environ), files), ()
    except ProjectError as failure:
        if failure.project is None:
            raise
        return _session(directory, failure.project, files), failure.diagnostics


def _directory(chdir: Path) -> Path:
    chosen = working_directory.get() / chdir
    directory = chosen.resolve()
    if not directory.is_dir():
        raise DiagnosticError(
            error("usage.no-directory", f"there is no directory {chosen}", remedy="name another with -C")
        )
    directory_in_use.set(directory)
    _require_utf8(directory, "move or rename the folder")
    return directory


def _require_utf8(path: Path, remedy: str) -> None:
    """Refuse a path that neither a state nor a saved plan can hold. Raises DiagnosticError."""
    if not _is_utf8(str(path)):
        raise DiagnosticError(error("usage.path", f"the path {path} is not UTF-8", remedy=remedy))


def _session(directory: Path, project: Project, files: Sequence[str] | None) -> Session:
    if "" in (files or ()):
        raise DiagnosticError(
            error("usage.file", "-f names nothing", remedy="name a file or a folder, or leave -f out")
        )
    if project.state_path is not None:
        _require_utf8(project.state_path, "name another path for the state")
    mend_private(project.root / NAME, project.state_path)
    output = standard_output()
    output.directory = directory
    stdin = Input(None if sys.stdin is None else sys.stdin.buffer)
    repository = Repository(
        directory, project, os.environ, output.diagnostics, tuple(files or ()), stdin, _shows_waiting(output)
    )
    return Session(repository, output)


def _shows_waiting(output: Output) -> Callable[[Unanswered | None], object]:
    """Return what shows who is waited for; made when somebody is."""
    views: list[Callable[[Unanswered | None], object]] = []

    def show(waiting: Unanswered | None) -> None:
        from sharectl.render.waiting import WaitingView

        if not views:
            views.append(WaitingView(output))
        views[0](waiting)

    return show


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
def edited_state(
    session: Session, command: str, lock_timeout: str, *, create: bool = False, records: bool = True
) -> Iterator[Edit]:
    """Yield the state under the lock, for a change by hand; a repository without a state is refused, unless one is to be made.

    The run is recorded first, unless `records` is false, for a change that is compared with the state as it was.
    """
    from sharectl.workspace.interventions import Edit
    from sharectl.workspace.run import describe_run, held_lease

    if not create:
        session.repository.require_state()
    record = describe_run(command, session.project.root, os.environ)
    wait_seconds = parse_duration_seconds(lock_timeout)
    with (
        session.repository.store(create=True, hint=not create) as store,
        held_lease(store, record, wait_seconds, records=records) as lease,
        kept_afterwards(session, store),
    ):
        yield Edit(store, lease, record)
