"""A repository at work: its manifests, its state and its backends, each opened where a command needs it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import DiagnosticError, Severity, did_you_mean, error, has_errors, warning
from sharectl.model.frozen import dataclass
from sharectl.model.kinds import is_of
from sharectl.model.state_urls import (
    StateUrlError,
    absolute_state_url,
    is_in_file,
    is_state_url,
    path_in_state_url,
    url_of_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from sharectl.manifests.desired import Desired
    from sharectl.manifests.loader import Loaded
    from sharectl.manifests.project import Project
    from sharectl.model.backends import BackendSpec
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address, Kind
    from sharectl.model.records import Promise
    from sharectl.planner.options import Elsewhere
    from sharectl.state.contract import StateStore
    from sharectl.workspace.backends import Backends
    from sharectl.workspace.parallel import Unanswered
    from sharectl.workspace.survey import Asked

STATE_VARIABLE: Final = "SHARECTL_STATE"


class Input:
    """Standard input, read once and given out as often as it is asked for."""

    def __init__(self, stream: BinaryIO | None) -> None:
        """Read from `stream` when that is first needed; None where it was closed before the program began."""
        self._stream = stream
        self._data: bytes | None = None

    def again(self) -> BinaryIO | None:
        """Return what was given, from its beginning."""
        if self._stream is None:
            return None
        if self._data is None:
            from sharectl.manifests.files import MAX_FILE_BYTES  # noqa: PLC0415 - only for -f -

            self._data = self._stream.read(MAX_FILE_BYTES + 1)  # more is refused
        return BytesIO(self._data)


@dataclass(frozen=True, slots=True)
class Repository:
    """A project and what a command was told of it.

    Relative paths are under `directory`. `files` are the manifests that were named instead of the project's own, `stdin` is where `-`
    reads from. `tell` is given the diagnostics that stop nothing, `wait` the backends that are waited for, and `asked` what became of
    each question to a backend.
    """

    directory: Path
    project: Project
    environ: Mapping[str, str]
    tell: Callable[[Sequence[Diagnostic]], object]
    files: tuple[str, ...] = ()
    stdin: Input | None = None
    wait: Callable[[Unanswered | None], object] | None = None
    asked: Callable[[Asked], None] | None = None

    def load(self, only: Collection[Address] | None = None) -> Loaded:
        """Return the manifests with all that is wrong. Raises DiagnosticError where there is nothing to work on at all.

        In a folder without project file, manifest or state, the user is in the wrong place, and "no changes" would hide it.
        """
        loaded = self._loaded(self.files, only)
        found = self.files or self.project.file or loaded.diagnostics or loaded.desired.addresses or only is not None
        if not found and not self.has_state():
            summary = f"there is neither a sharectl.yaml nor a manifest nor a state in {self.directory}"
            remedy = (
                "-C names another folder, -f manifests elsewhere; `sharectl init` writes a repository to begin with"
            )
            raise DiagnosticError(error("project.none", summary, remedy=remedy))
        if self.files:
            return replace(loaded, diagnostics=tuple(map(_of_named_files, loaded.diagnostics)))
        return loaded

    def desired(self, only: Collection[Address] | None = None) -> Desired:
        """Return the manifests; warnings are told. Raises DiagnosticError for errors."""
        loaded = self.load(only)
        if has_errors(loaded.diagnostics):
            raise DiagnosticError(*loaded.diagnostics, *self.infeasible(loaded))
        self._tell(loaded.diagnostics)
        return loaded.desired

    def infeasible(self, loaded: Loaded) -> tuple[Diagnostic, ...]:
        """Return what cannot be done of what could be read of the manifests, told without asking any backend.

        Beside other mistakes a state that cannot be read is one more; alone it ends the command. Raises DiagnosticError and StateError.
        """
        from sharectl.planner.defaults import told_once  # noqa: PLC0415 - as above
        from sharectl.state.contract import StateError  # noqa: PLC0415 - only where manifests are checked
        from sharectl.workspace.feasibility import share_findings, state_findings  # noqa: PLC0415 - as above

        desired = loaded.readable
        try:
            with self.store() as store, store.read() as reader:
                view = reader.view()
                return told_once(desired, state_findings(desired, view) + share_findings(desired, view))
        except (DiagnosticError, StateError) as failure:
            if not has_errors(loaded.diagnostics):
                raise
            if isinstance(failure, DiagnosticError):
                return failure.diagnostics
            return (error(f"state.{failure.problem}", str(failure), remedy=failure.remedy),)

    def readable(self, only: Collection[Address] | None = None, *, beside: bool = False) -> tuple[Desired, bool]:
        """Return the manifests that can be read, and whether those are all; mistakes are told as warnings: nothing is changed by them.

        Those that were named are read by themselves, or `beside` the project's own.
        """
        loaded = self.beside(only)[0] if beside else self.load(only)
        self._tell([as_warning(found) for found in loaded.diagnostics])
        return loaded.desired, not has_errors(loaded.diagnostics)

    def desired_with(self, text: str) -> Desired:
        """Return the manifests together with those in `text`, which are not written yet. Raises DiagnosticError."""
        from sharectl.manifests.sources import STANDARD_INPUT  # noqa: PLC0415 - only for an import

        sources = [*(self.files or self.project.manifests), STANDARD_INPUT]
        directory = self.directory if self.files else self.project.root
        loaded = self._loaded(sources, directory=directory, stdin=BytesIO(text.encode()))
        if has_errors(loaded.diagnostics):
            raise DiagnosticError(*map(_of_text, loaded.diagnostics))
        return loaded.desired

    def desired_beside(self) -> tuple[Desired, Callable[[str], bool]]:
        """Return the named files beside the project's own, and a test whether a shown path is among them. Raises DiagnosticError."""
        if not self.files:
            return self.desired(), lambda _path: True
        loaded, is_named = self.beside()
        if has_errors(loaded.diagnostics):
            raise DiagnosticError(*loaded.diagnostics)
        return loaded.desired, is_named

    def beside(self, only: Collection[Address] | None = None) -> tuple[Loaded, Callable[[str], bool]]:
        """Return the named files beside the project's own, with all that is wrong, and a test whether a shown path is among them.

        Files that bring their own backends stand alone, as they do for every other command.
        """
        from sharectl.manifests.sources import STANDARD_INPUT, STANDARD_INPUT_NAME  # noqa: PLC0415 - only for -f

        if not self.files:
            return self.load(only), lambda _path: True
        loaded = self._loaded(self.files, only)
        if not loaded.desired.backends:
            beside = [str(self.project.root / name) for name in self.project.manifests]
            loaded = self._loaded([*self.files, *beside], only)
        names = {STANDARD_INPUT_NAME if name == STANDARD_INPUT else name.rstrip("/") for name in self.files}
        return loaded, lambda path: any(name in {".", path} or path.startswith(f"{name}/") for name in names)

    def elsewhere(self) -> Elsewhere | None:
        """Return what the project's own manifests describe, for a plan of files that were named; None where none were."""
        if not self.files:
            return None
        from sharectl.planner.options import Elsewhere  # noqa: PLC0415 - only for -f

        own = self._loaded(())
        return Elsewhere.of(own.desired, is_whole=not has_errors(own.diagnostics))

    def knows(self, address: Address, store: StateStore) -> bool:
        """Tell whether the state or a manifest has the address."""
        with store.read() as reader:
            if reader.record(address) is not None:
                return True
        return address in self.load({address}).desired.addresses

    def nearest(self, address: Address, store: StateStore, kind: Kind | None = None) -> str:
        """Return `did you mean …?` for an address that nobody knows (with `kind`, only of that kind), or an empty text.

        The state is asked first, which looks it up; all manifests are read only where it has nothing like it.
        """
        with store.read() as reader:
            known = reader.addresses_like(address)
        near = did_you_mean(address, [other for other in known if kind is None or is_of(kind, other)])
        if near:
            return near
        known = self.load().desired.addresses
        return did_you_mean(address, [other for other in known if kind is None or is_of(kind, other)])

    @contextmanager
    def store(self, *, create: bool = False, hint: bool = True, tells_overtaken: bool = True) -> Iterator[StateStore]:
        """Yield the state of the project, and close it afterwards; with `hint`, tell where it is missing and copies of it are kept.

        A state that such a copy has overtaken is told as well, and not given out to be changed (`create`). Of neither is told where the
        caller does, who asks `overtaken`.
        Raises DiagnosticError.
        """
        from sharectl.state.stores import open_store  # noqa: PLC0415 - a command may need no state

        is_there = self.has_state()
        if hint and tells_overtaken and not is_there and (lost := self._lost_state()) is not None:
            self._tell((lost,))
        store = open_store(self.project.state_url, create=create)
        try:
            if hint and is_there and tells_overtaken:
                self._tell_overtaken(store, is_to_change=create)
            if create:
                self._tell_doubts(store)
                self._tell_waiting(store)
            elif is_there:
                self._tell_moved(store)
            yield store
        finally:
            store.close()

    def overtaken(self, store: StateStore) -> Diagnostic | None:
        """Return what to say of a state that a kept copy has overtaken, or that is missing; None where there is nothing to say."""
        from sharectl.workspace.copies import overtaken_state  # noqa: PLC0415 - only where there is a state

        found = overtaken_state(store, self.project, self.environ)
        return self._lost_state() if found is None and not self.has_state() else found

    @contextmanager
    def existing_store(self) -> Iterator[StateStore]:
        """Yield the state for a command that is about nothing else. Raises DiagnosticError where there is none."""
        self.require_state()
        with self.store() as store:
            yield store

    @staticmethod
    def promises(store: StateStore) -> Sequence[Promise]:
        """Return the room in pools that runs have promised to their shares; none where a state takes one run at a time."""
        from sharectl.state.contract import KeepsPromises  # noqa: PLC0415 - a command may need no state

        return store.promises() if isinstance(store, KeepsPromises) else ()

    def has_state(self) -> bool:
        """Tell whether there is a state."""
        from sharectl.state.stores import kind_of_store  # noqa: PLC0415 - a command may need no state

        return kind_of_store(self.project.state_url).is_at(self.project.state_url)

    def require_state(self) -> None:
        """Raise DiagnosticError where there is no state."""
        if self.has_state():
            return
        if (lost := self._lost_state()) is not None:
            raise DiagnosticError(replace(lost, severity=Severity.ERROR))
        remedy = "the first `sharectl apply` makes one; -C names another repository"
        raise DiagnosticError(
            error("state.missing", f"there is no state at {self.project.state_location}", remedy=remedy)
        )

    def backends(self, specs: Mapping[str, BackendSpec]) -> AbstractContextManager[Backends]:
        """Open these backends, each when it is first asked; what cannot be closed is told."""
        from sharectl.workspace.backends import opened_backends  # noqa: PLC0415 - a command may need none

        return opened_backends(specs, self.project, self.tell, self.wait, self.asked)

    def _loaded(
        self,
        sources: Sequence[str],
        only: Collection[Address] | None = None,
        *,
        directory: Path | None = None,
        stdin: BinaryIO | None = None,
    ) -> Loaded:
        from sharectl.manifests.sources import STANDARD_INPUT  # noqa: PLC0415 - a command may read no manifests
        from sharectl.workspace.validation import load_manifests  # noqa: PLC0415 - as above

        if stdin is None and self.stdin is not None and STANDARD_INPUT in sources:
            stdin = self.stdin.again()
        return load_manifests(self.project, sources, directory=directory or self.directory, only=only, stdin=stdin)

    def _lost_state(self) -> Diagnostic | None:
        from sharectl.workspace.copies import missing_state  # noqa: PLC0415 - only where there is no state

        return missing_state(self.project, self.environ)

    def _tell_overtaken(self, store: StateStore, *, is_to_change: bool) -> None:
        found = self.overtaken(store)
        if found is not None:
            if is_to_change and found.severity is Severity.ERROR:
                raise DiagnosticError(found)
            self._tell((as_warning(found),))

    def _tell_moved(self, store: StateStore) -> None:
        from sharectl.state.contract import CanMove, StateMovedError  # noqa: PLC0415 - a command may need no state

        moved_to = store.moved_to() if isinstance(store, CanMove) else None
        if moved_to is not None:
            moved = StateMovedError(store.location, moved_to)
            detail = "what is read here is as it was when it moved, or when the move was cut short."
            self._tell((warning("state.moved", str(moved), detail=detail, remedy=moved.remedy),))

    def _tell_doubts(self, store: StateStore) -> None:
        from sharectl.state.contract import TellsDoubts  # noqa: PLC0415 - a command may need no state

        doubts = store.doubts() if isinstance(store, TellsDoubts) else ""
        if doubts:
            self._tell(
                (
                    warning(
                        "state.forgetful",
                        f"{store.location} may forget what was recorded when its power is cut: {doubts}",
                        detail="what was done since would be on the backends, and unknown.",
                        remedy="turn it on in postgresql.conf, and restart the server",
                    ),
                )
            )

    def _tell_waiting(self, store: StateStore) -> None:
        """Let a run say why it stands still while the server of the state is away."""
        from sharectl.state.contract import TellsWaiting  # noqa: PLC0415 - a command may need no state

        def tell(reason: str) -> None:
            summary = f"{store.location} does not answer, and is waited for: {reason}"
            detail = "what runs goes on; nothing more is begun, or recorded, until it answers."
            remedy = "see to the database; after most of the lease of this run, the command ends and says so"
            self._tell((warning("state.waiting", summary, detail=detail, remedy=remedy),))

        if isinstance(store, TellsWaiting):
            store.tell_waiting(tell)

    def _tell(self, diagnostics: Sequence[Diagnostic]) -> None:
        if diagnostics:
            self.tell(diagnostics)


def project_at(directory: Path, environ: Mapping[str, str], executor: str | None = None) -> Project:
    """Return the project that the directory is in; `SHARECTL_STATE` says where its state is instead. Raises DiagnosticError."""
    from sharectl.manifests.project import ProjectChoices, find_project  # noqa: PLC0415 - completion asks for nothing else

    elsewhere = environ.get(STATE_VARIABLE)
    return find_project(directory, ProjectChoices(partial(_state_url, elsewhere) if elsewhere else None, executor))


def _state_url(elsewhere: str, root: Path) -> str:
    """Return the URL of the state that the environment names, for a project with this root. Raises DiagnosticError."""
    try:
        if is_state_url(elsewhere) and not is_in_file(elsewhere):
            return absolute_state_url(elsewhere, root)
        path = Path(path_in_state_url(elsewhere) if is_state_url(elsewhere) else elsewhere).expanduser()
    except StateUrlError as problem:
        summary = f"{STATE_VARIABLE} names no state: {problem}"
        raise DiagnosticError(error("usage.state", summary, remedy=problem.remedy)) from None
    if not path.is_absolute():
        remedy = f"write an absolute path: {STATE_VARIABLE}={(Path.cwd() / path)}"
        raise DiagnosticError(
            error("usage.state", f"{STATE_VARIABLE}={elsewhere} is not an absolute path", remedy=remedy)
        )
    return url_of_file(path)


def as_warning(found: Diagnostic) -> Diagnostic:
    """Return an error as a warning, for a command that goes on all the same."""
    return replace(found, severity=Severity.WARNING) if found.severity is Severity.ERROR else found


def _of_named_files(found: Diagnostic) -> Diagnostic:
    """Say of a reference that leads nowhere that what it means may stand in a file that was not named."""
    if found.code != "manifest.dangling":
        return found
    remedy = f"{found.remedy}; with -f only the files that it names are read: name the one that describes it too, or leave -f out"
    return replace(found, remedy=remedy)


def _of_text(found: Diagnostic) -> Diagnostic:
    """Say of a mistake in manifests that are not written yet that it is not one of standard input."""
    from sharectl.manifests.sources import STANDARD_INPUT_NAME  # noqa: PLC0415 - only for an import

    if found.source is None or found.source.path != STANDARD_INPUT_NAME:
        return found
    return replace(found, source=replace(found.source, path="<to be written>"))
