"""What every command begins with: where it works, how it writes, and the words on its command line turned into values."""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.cli.codes import ExitCode, Finished
from sharectl.model.diagnostics import DiagnosticError, Severity, did_you_mean, error, has_errors
from sharectl.model.kinds import Kind, address_of
from sharectl.private import NAME, mend_private
from sharectl.render.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.loader import Loaded
    from sharectl.manifests.project import Project
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Lease, RunRecord
    from sharectl.planner.elsewhere import Elsewhere
    from sharectl.state.contract import StateStore

working_directory: Final[ContextVar[Path]] = ContextVar("working_directory", default=Path())
"""What `sharectl -C DIR COMMAND` names; a command's own -C is under it, as with git."""

_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_STATE_VARIABLE: Final = "SHARECTL_STATE"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_KINDS = {kind.value.replace("_", ""): kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Session:
    """One command at work: its directory, project and output."""

    directory: Path
    project: Project
    output: Output

    def path(self, path: Path) -> Path:
        """Return a path from the command line; a relative one is under the directory that -C names."""
        return self.directory / path


def start(chdir: Path) -> Session:
    """Return the session of a command that works in `chdir`."""
    chosen = working_directory.get() / chdir
    directory = chosen.resolve()
    if not directory.is_dir():
        raise DiagnosticError(
            error("usage.no-directory", f"there is no directory {chosen}", remedy="name another with -C")
        )
    project = project_at(directory, os.environ)
    mend_private(project.root / NAME, project.state_path)
    return Session(directory, project, standard_output())


def project_at(directory: Path, environ: Mapping[str, str]) -> Project:
    """Return the project that the directory is in; `SHARECTL_STATE` says where its state is instead. Raises DiagnosticError."""
    from sharectl.manifests.project import find_project

    project = find_project(directory)
    elsewhere = environ.get(_STATE_VARIABLE)
    if not elsewhere:
        return project
    path = Path(elsewhere).expanduser()
    if not path.is_absolute():
        remedy = f"write an absolute path: {_STATE_VARIABLE}={(Path.cwd() / path)}"
        raise DiagnosticError(error("usage.state", f"{_STATE_VARIABLE}={elsewhere} is no absolute path", remedy=remedy))
    return replace(project, state_path=path)


def standard_output() -> Output:
    """Return the output of this process."""
    return Output.for_streams(sys.stdout, sys.stderr, environ=os.environ)


def standard_input() -> BinaryIO | None:
    """Return standard input as bytes; None where it was closed before the program began."""
    return None if sys.stdin is None else sys.stdin.buffer


def load(session: Session, files: Sequence[str] | None, only: Collection[Address] | None = None) -> Loaded:
    """Return the manifests with all that is wrong. Raises DiagnosticError where there is nothing to work on at all.

    In a folder with neither project file nor manifest nor state somebody is in the wrong place, and "no changes" would hide it.
    """
    from sharectl.workspace.validation import load_manifests

    project = session.project
    loaded = load_manifests(project, files or (), directory=session.directory, only=only, stdin=standard_input())
    found = files or project.file or loaded.diagnostics or loaded.desired.addresses or only is not None
    if not found and not project.state_path.exists():
        summary = f"there is neither a sharectl.yaml nor a manifest nor a state in {session.directory}"
        remedy = "-C names another folder, -f manifests elsewhere; `sharectl init` writes a repository to begin with"
        raise DiagnosticError(error("project.none", summary, remedy=remedy))
    if files:
        return replace(loaded, diagnostics=tuple(map(_of_named_files, loaded.diagnostics)))
    return loaded


def _of_named_files(found: Diagnostic) -> Diagnostic:
    """Say of a reference that leads nowhere that what it means may stand in a file that was not named."""
    if found.code != "manifest.dangling":
        return found
    remedy = f"{found.remedy}; with -f only the files that it names are read: name the one that describes it too, or leave -f out"
    return replace(found, remedy=remedy)


def desired_of(session: Session, files: Sequence[str] | None, only: Collection[Address] | None = None) -> Desired:
    """Return the manifests; warnings are shown, and errors end the command."""
    loaded = load(session, files, only)
    if has_errors(loaded.diagnostics):
        raise DiagnosticError(*loaded.diagnostics)
    if loaded.diagnostics:
        session.output.diagnostics(loaded.diagnostics)
    return loaded.desired


def described_elsewhere(session: Session) -> Elsewhere:
    """Return what the project's own manifests describe, for a plan of files that were named with -f."""
    from sharectl.planner.elsewhere import Elsewhere
    from sharectl.workspace.validation import load_manifests

    own = load_manifests(session.project, directory=session.directory)
    return Elsewhere.of(own.desired, is_whole=not has_errors(own.diagnostics))


def desired_for_looking(
    session: Session, files: Sequence[str] | None, only: Collection[Address] | None = None
) -> tuple[Desired, bool]:
    """Return the manifests that can be read, and whether those are all; mistakes are shown as warnings, since nothing is changed by them."""
    loaded = load(session, files, only)
    if loaded.diagnostics:
        session.output.diagnostics([_as_warning(found) for found in loaded.diagnostics])
    if not has_errors(loaded.diagnostics):
        return loaded.desired, True
    session.output.note(
        "The manifests have mistakes; what is shown is from the state and from what could be read of them."
    )
    return loaded.desired, False


def _as_warning(found: Diagnostic) -> Diagnostic:
    return replace(found, severity=Severity.WARNING) if found.severity is Severity.ERROR else found


def desired_with(session: Session, files: Sequence[str] | None, text: str) -> Desired:
    """Return the manifests together with those in `text`, which are not written yet. Raises DiagnosticError."""
    from sharectl.manifests.sources import STANDARD_INPUT
    from sharectl.workspace.validation import load_manifests

    sources = [*(files or session.project.manifests), STANDARD_INPUT]
    directory = session.directory if files else session.project.root
    loaded = load_manifests(session.project, sources, directory=directory, stdin=BytesIO(text.encode()))
    if has_errors(loaded.diagnostics):
        raise DiagnosticError(*map(_of_text, loaded.diagnostics))
    return loaded.desired


def _of_text(found: Diagnostic) -> Diagnostic:
    """Say of a mistake in manifests that are not written yet that it is not one of standard input."""
    from sharectl.manifests.sources import STANDARD_INPUT_NAME

    if found.source is None or found.source.path != STANDARD_INPUT_NAME:
        return found
    return replace(found, source=replace(found.source, path="<to be written>"))


def desired_beside(
    session: Session, files: Sequence[str] | None, only: Collection[Address] | None
) -> tuple[Desired, Callable[[str], bool]]:
    """Return the manifests in `files` beside those of the project, and a test whether a shown path is among `files`.

    Files that bring their own backends stand alone, as they do for every other command. Raises DiagnosticError.
    """
    from sharectl.manifests.sources import STANDARD_INPUT, STANDARD_INPUT_NAME
    from sharectl.workspace.validation import load_manifests

    if not files:
        return desired_of(session, None, only), lambda _path: True
    data = b""
    if STANDARD_INPUT in files and (stream := standard_input()) is not None:
        data = stream.read()
    alone = load_manifests(session.project, files, directory=session.directory, only=only, stdin=BytesIO(data))
    names = {STANDARD_INPUT_NAME if name == STANDARD_INPUT else name.rstrip("/") for name in files}
    loaded = alone
    if not alone.desired.backends:
        beside = [str(session.project.root / name) for name in session.project.manifests]
        sources = [*files, *beside]
        loaded = load_manifests(session.project, sources, directory=session.directory, only=only, stdin=BytesIO(data))
    if has_errors(loaded.diagnostics):
        raise DiagnosticError(*loaded.diagnostics)
    return loaded.desired, lambda path: any(name in {".", path} or path.startswith(f"{name}/") for name in names)


def all_addresses(session: Session, files: Sequence[str] | None, store: StateStore) -> list[Address]:
    """Return every address in the manifests and the state, to find the one that was meant; slow, for mistakes only."""
    with store.read() as reader:
        records = reader.view().records
    return [*load(session, files).desired.addresses, *records]


@contextmanager
def opened_store(session: Session, *, create: bool = False, hint: bool = True) -> Iterator[StateStore]:
    """Yield the state of the project, and close it afterwards; with `hint`, say so where it is missing and copies of it are kept.

    A state that such a copy has overtaken is told as well, and not given out to be changed (`create`). Raises DiagnosticError.
    """
    from sharectl.state.sqlite.store import open_store

    is_there = session.project.state_path.exists()
    if hint and not is_there:
        from sharectl.workspace.copies import missing_state

        lost = missing_state(session.project, os.environ)
        if lost is not None:
            session.output.diagnostics((lost,))
    store = open_store(session.project.state_path, create=create)
    try:
        if hint and is_there:
            _tell_overtaken(session, store, is_to_change=create)
        yield store
    except (AttributeError, KeyError, TypeError, ValueError):
        from sharectl.state.soundness import expect_sound_rows

        expect_sound_rows(store)  # a row that nobody can understand is the usual cause, and is named then
        raise
    finally:
        store.close()


def _tell_overtaken(session: Session, store: StateStore, *, is_to_change: bool) -> None:
    from sharectl.workspace.copies import overtaken_state

    found = overtaken_state(store, session.project, os.environ)
    if found is not None:
        if is_to_change:
            raise DiagnosticError(found)
        session.output.diagnostics((_as_warning(found),))


@contextmanager
def existing_store(session: Session) -> Iterator[StateStore]:
    """Yield the state for a command that is about nothing else. Raises DiagnosticError where there is none."""
    _require_state(session)
    with opened_store(session) as store:
        yield store


def _require_state(session: Session) -> None:
    path = session.project.state_path
    if not path.exists():
        from sharectl.workspace.copies import missing_state

        lost = missing_state(session.project, os.environ)
        if lost is not None:
            raise DiagnosticError(replace(lost, severity=Severity.ERROR))
        remedy = "the first `sharectl apply` makes one; -C names another repository"
        raise DiagnosticError(error("state.missing", f"there is no state at {path}", remedy=remedy))


def parse_address(text: str) -> Address:
    """Return the address that a user wrote; `sharetype/gold` is `share_type/gold`. Raises DiagnosticError."""
    kind_text, separator, name = text.partition("/")
    kind = _KINDS.get(kind_text.lower().replace("_", "").replace("-", ""))
    if not separator or not name or kind is None:
        raise DiagnosticError(error("usage.address", f"{text!r} is no address", remedy=_address_remedy(text)))
    return f"{kind.value}/{name}"


def _address_remedy(text: str) -> str:
    kind_text, separator, name = text.partition("/")
    if not separator and kind_text:
        return f'did you mean "{address_of(Kind.SHARE, text)}"? an address is kind/name'
    near = did_you_mean(kind_text, sorted(_KINDS)) if name else ""
    return f"{near} an address is kind/name, such as share/projects; the kinds are {', '.join(Kind)}".strip()


def parse_addresses(texts: Sequence[str] | None) -> frozenset[Address]:
    """Return the addresses that a user wrote."""
    return frozenset(parse_address(text) for text in texts or ())


def allowed_backends(names: Sequence[str] | None, desired: Desired) -> frozenset[str]:
    """Return the backends that need not be read. Raises DiagnosticError for one that there is not."""
    unknown = sorted(set(names or ()) - desired.backends.keys())
    if unknown:
        known = sorted(desired.backends)
        remedy = did_you_mean(unknown[0], known) or f"there are: {', '.join(known) or 'none'}"
        raise DiagnosticError(
            error("usage.unknown-backend", f"there is no backend named {unknown[0]} to do without", remedy=remedy)
        )
    return frozenset(names or ())


def parse_labels(texts: Sequence[str] | None) -> dict[str, str]:
    """Return labels written as KEY=VALUE. Raises DiagnosticError."""
    labels = {}
    for text in texts or ():
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise DiagnosticError(
                error("usage.label", f"{text!r} is no label", remedy="write KEY=VALUE, such as team=research")
            )
        labels[key] = value
    return labels


def parse_duration_seconds(text: str) -> float:
    """Return the seconds of `30s`, `5m`, `2h` or `7d`; `0` is none. Raises DiagnosticError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        remedy = "write a number and s, m, h or d: 30s, 5m, 2h, 7d"
        raise DiagnosticError(error("usage.duration", f"{text!r} is no time", remedy=remedy))
    return float(int(match[1]) * _SECONDS[match[2]])


def parse_size(text: str) -> int:
    """Return the bytes that `100GiB` names. Raises DiagnosticError."""
    from sharectl.model import quantities

    try:
        return quantities.parse_size(text)
    except quantities.SizeError as problem:
        raise DiagnosticError(error("usage.size", str(problem), remedy=quantities.SIZE_HINT)) from problem


def confirmed(output: Output, question: str, instead: str = "") -> bool:
    """Ask, and return whether the answer is `yes`; where nobody can be asked, end the command and say how to go on.

    `instead` is another way than --yes.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        remedy = f"pass --yes{instead}"
        raise DiagnosticError(
            error("usage.no-terminal", "nobody can be asked: standard input is no terminal", remedy=remedy)
        )
    output.note(f"{question} Only `yes` is taken as consent.")
    return sys.stdin.readline().strip() == "yes"


@contextmanager
def kept_afterwards(session: Session, store: StateStore) -> Iterator[None]:
    """Keep a copy of the state when the block has ended, however it did; a state that is damaged by then is no success."""
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
def edited_state(chdir: Path, command: str, lock_timeout: str, *, create: bool = False) -> Iterator[StateEdit]:
    """Yield the state under the lock, for a change by hand; a repository without a state is refused, unless one is to be made."""
    from sharectl.workspace.run import describe_run, held_lease

    session = start(chdir)
    if not create:
        _require_state(session)
    record = describe_run(command, session.project.root, os.environ)
    wait_seconds = parse_duration_seconds(lock_timeout)
    with (
        opened_store(session, create=True, hint=not create) as store,
        held_lease(store, record, wait_seconds) as lease,
        kept_afterwards(session, store),
    ):
        yield StateEdit(session, store, lease, record)


@dataclass(frozen=True, slots=True)
class StateEdit:
    """A change of the state by hand, under the lock."""

    session: Session
    store: StateStore
    lease: Lease
    record: RunRecord
