"""Copies of the state of a project: where they are kept, which project they belong to, and how to restore one."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import orjson

from sharectl.model.diagnostics import DiagnosticError, did_you_mean, error, listed, warning
from sharectl.model.frozen import dataclass
from sharectl.model.state_urls import url_of_file
from sharectl.private import NAME, draft_of, make_private
from sharectl.state.contract import KeepsCopies, StateCorruptError, StateError
from sharectl.state.sqlite.copies import copies_in, follows, keep_copy, lineage_folders, newest_in
from sharectl.state.stores import open_store
from sharectl.workspace.git import git_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sharectl.manifests.project import Project
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import ContentMark
    from sharectl.state.contract import StateStore
    from sharectl.state.sqlite.copies import Copy

_ORIGINS: Final = "origins.json"
_FORMAT: Final = "sharectl-copies"
_MOST_ORIGINS: Final = 50
_LOOKED_UP: Final = 100
_NAMED: Final = 3
_CONTENT: Final = ("lineage", "resources", "rules", "operations", "history")
RESTORE_COMMAND: Final = "sharectl state restore"


@dataclass(frozen=True, slots=True)
class Origin:
    """The project that a state belongs to: its folder on a machine, and the git repository and the folder in it."""

    root: str
    remote: str = ""
    first_commit: str = ""
    folder: str = ""

    def is_project(self, other: Origin) -> bool:
        """Tell whether both are the same project: at the same path, or the same folder of the same repository."""
        if self.root == other.root:
            return True
        same_remote = bool(self.remote) and self.remote == other.remote
        same_beginning = bool(self.first_commit) and self.first_commit == other.first_commit
        return (same_remote or same_beginning) and self.folder == other.folder


@dataclass(frozen=True, slots=True)
class KeptCopies:
    """The copies that were found: those of this project, newest first, and how many there are of others."""

    own: tuple[Copy, ...]
    others: tuple[Copy, ...]


def copy_folders(project: Project, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders for copies, the preferred one first: outside of the checkout, or else beside the state."""
    if project.copies_directory is not None:
        return (project.copies_directory,)
    beside = _beside_state(project)
    for name, under in (("XDG_STATE_HOME", ""), ("HOME", ".local/state")):
        home = environ.get(name, "")
        if home.startswith("/") and home != "/":
            return (Path(home) / under / "sharectl" / "copies", beside)
    return (beside,)


def _beside_state(project: Project) -> Path:
    return (project.root / NAME if project.state_path is None else project.state_path.parent) / "copies"


def _damage(store: StateStore) -> tuple[Diagnostic, ...]:
    """Tell whether a copy is damaged because the state itself is: something else, or the disk, changed it meanwhile."""
    try:
        for _ in store.export_document():
            pass
    except StateCorruptError as failure:
        detail = "the file was changed during this command: what was done is on the backends, and may be missing in the state."
        return (error("state.corrupt", str(failure), detail=detail, remedy=failure.remedy),)
    return ()


def keep_copy_of(
    store: StateStore, project: Project, environ: Mapping[str, str], now: datetime
) -> tuple[Diagnostic, ...]:
    """Keep a copy of the state where it has changed; a problem is a warning, never a failure."""
    if project.copies_kept == 0 or not isinstance(store, KeepsCopies):
        return ()
    problem = ""
    for base in copy_folders(project, environ):
        try:
            folder = keep_copy(store, base, project.copies_kept, now)
            if folder is not None:
                note_origin(folder, project)
        except (OSError, sqlite3.Error, StateError) as failure:
            damage = _damage(store) if isinstance(failure, StateCorruptError) else ()
            if damage:
                return damage
            problem = problem or f"{base}: {getattr(failure, 'strerror', None) or failure}"
        else:
            return ()
    return (
        warning(
            "state.copy-failed",
            f"no copy of the state could be kept ({problem})",
            detail="what was done is recorded in the state itself; only the copy beside it is missing.",
            remedy="make that folder writable, or name another one as `state.copies.directory` in sharectl.yaml (`keep: 0` keeps none)",
        ),
    )


def find_copies(project: Project, environ: Mapping[str, str]) -> KeptCopies:
    """Return all copies that are kept on this machine, newest first."""
    own: list[Copy] = []
    others: list[Copy] = []
    for folder, is_own in _lineages(project, environ):
        (own if is_own else others).extend(copies_in(folder))
    return KeptCopies(_newest_first(own), _newest_first(others))


def _lineages(project: Project, environ: Mapping[str, str]) -> Iterator[tuple[Path, bool]]:
    """Yield each folder with the copies of one state, and whether that is a state of this project.

    So is any in the project's own folder, which may have been moved with it. Where states of several projects lie side by side, those
    that say nothing of theirs count as this one's.
    """
    here: Origin | None = None
    beside = _beside_state(project)
    for base in copy_folders(project, environ):
        for folder in lineage_folders(base):
            origins = _origins_of(folder)
            is_own = any(origin.root == str(project.root) for origin in origins)
            if not is_own and any(origin.remote or origin.first_commit for origin in origins):
                here = here or origin_of(project)
                is_own = any(here.is_project(origin) for origin in origins)
            yield folder, is_own or (base == beside and (not origins or base.is_relative_to(project.root)))


def _newest_first(copies: Iterable[Copy]) -> tuple[Copy, ...]:
    return tuple(sorted(copies, key=lambda copy: copy.taken_at, reverse=True))


def missing_state(project: Project, environ: Mapping[str, str], empty: str = "") -> Diagnostic | None:
    """Return what to say of a missing state of which copies are kept; None where there are none.

    `empty` is the lineage of a state that is there and has never held anything: a command that changes something has made it in the
    place of the missing one.
    """
    folders = [folder for folder, is_own in _lineages(project, environ) if is_own and folder.name != empty]
    own = _newest_first(copy for folder in folders for copy in copies_in(folder))  # those of others stay closed
    if not own or (empty and not own[0].mark.resources):
        return None
    newest = own[0]
    kept = "a copy of this project's state is" if len(own) == 1 else f"{len(own)} copies of this project's state are"
    return warning(
        "state.lost",
        f"there is {'nothing in the' if empty else 'no'} state at {project.state_location}, and {kept} kept",
        detail=f"the newest is of {newest.taken_at}, serial {newest.serial}, with {newest.mark.resources} resources. "
        "Without it, nothing is known of what is on the backends.",
        remedy=f"`{RESTORE_COMMAND}` lists them and brings one back",
    )


def overtaken_state(store: StateStore, project: Project, environ: Mapping[str, str]) -> Diagnostic | None:
    """Return what to say of a state that a kept copy has overtaken, None where it comes after all of them.

    An older file was put in its place, or the state was copied and both copies are in use: an error. A new one that has never held
    anything took the place of one that was lost: a warning. Raises StateError.
    """
    if project.copies_kept == 0 or not isinstance(store, KeepsCopies):
        return None
    mark = store.content_mark()[0]
    lineage = mark.lineage
    if _has_held_nothing(mark):
        return missing_state(project, environ, empty=lineage)
    for base in copy_folders(project, environ) if lineage else ():
        newest = newest_in(base / lineage)
        if newest is not None and not follows(store, newest):
            return error(
                "state.overtaken",
                f"the state at {project.state_location} knows nothing of what was done with it on {newest.taken_at}",
                detail=f"a copy that was kept then, with serial {newest.serial}, has what this one lacks: an older file was put in its place, "
                "or a copy of it is in use elsewhere. What was made, renamed or removed since would be made again, empty, or taken for something else.",
                remedy=f"`{RESTORE_COMMAND} {newest.name}` brings the later one back; to go on with this one all the same, "
                "`sharectl state pull > state.json`, then `sharectl state push --force state.json`",
            )
    return None


def replaced_state(
    store: StateStore, project: Project, environ: Mapping[str, str], in_the_way: Collection[Address]
) -> Diagnostic | None:
    """Return what to say where shares that are in the way, and that `store` has never known, are held by a copy of another state of this project.

    That one was lost, and new ones have been recorded here since. Raises StateError.
    """
    if project.copies_kept == 0 or not isinstance(store, KeepsCopies):
        return None
    mark = store.content_mark()[0]
    if _has_held_nothing(mark):
        return None  # as `missing_state` has said
    folders = [folder for folder, is_own in _lineages(project, environ) if is_own and folder.name != mark.lineage]
    for newest in _newest_first(copy for copy in map(newest_in, folders) if copy is not None):
        held = [address for address in _held_by(newest, in_the_way) if not any(store.history(address=address, limit=1))]
        if held:
            return warning(
                "state.lost",
                f"a copy of another state of this project holds what is in the way here: {listed(held, _NAMED)}",
                detail=f"the copy is of {newest.taken_at}, serial {newest.serial}, with {newest.mark.resources} resources. "
                "If that state was lost, this one was begun without what it knew.",
                remedy=f"`{RESTORE_COMMAND} {newest.name} --force` brings it back in the place of this one; what has been made since is then "
                "taken over with `sharectl import`. To go on with this one, take those shares over with `sharectl import` instead",
            )
    return None


def _held_by(copy: Copy, addresses: Collection[Address]) -> list[Address]:
    """Return which of the addresses are in a copy, some if there are many; none where it cannot be read."""
    try:
        store = open_store(url_of_file(copy.path), create=False)
        try:
            with store.read() as reader:
                return sorted(reader.view(addresses).records.keys() & addresses)[:_LOOKED_UP]
        finally:
            store.close()
    except StateError:
        return []


def _has_held_nothing(mark: ContentMark) -> bool:
    return not (mark.resources or mark.last_history or mark.last_operation)


def lineage_of_state(opened: Callable[[], AbstractContextManager[StateStore]]) -> str:
    """Return the lineage of the state; empty where there is none, it is damaged, or has never held anything."""
    try:
        with opened() as store, store.read() as reader:
            if isinstance(store, KeepsCopies) and _has_held_nothing(store.content_mark()[0]):
                return ""
            return reader.view(()).lineage
    except StateCorruptError:
        return ""


def is_state(copy: Copy, opened: Callable[[], AbstractContextManager[StateStore]]) -> bool:
    """Tell whether the state holds just what a copy does, by their marks."""
    try:
        with opened() as store:
            return isinstance(store, KeepsCopies) and store.content_mark()[0] == copy.mark
    except StateError:
        return False


def newest_copy(kept: KeptCopies, lineage: str) -> Copy:
    """Return the newest copy of the state of this `lineage`, or of the one state that the project has copies of. Raises DiagnosticError."""
    own = [copy for copy in kept.own if lineage in {"", copy.lineage}]
    if not lineage:
        newest = {copy.lineage: copy for copy in reversed(own)}
        own = [copy for copy in own if not _has_held_nothing(newest[copy.lineage].mark)] or own
    if not own:
        remedy = f"`{RESTORE_COMMAND}` lists those of other states on this machine, if there are any"
        raise DiagnosticError(error("state.no-copy", "no copies of this project's state are kept here", remedy=remedy))
    if len(lineages := {copy.lineage for copy in own}) > 1:
        summary = f"copies of {len(lineages)} states of this project are kept here, and no state is there that says which one it is"
        remedy = f"`{RESTORE_COMMAND}` lists them with their lineages; name the copy"
        raise DiagnosticError(error("state.which-copy", summary, remedy=remedy))
    return own[0]


def named_copy(kept: KeptCopies, name: str) -> Copy:
    """Return the copy called `name`, of whatever project. Raises DiagnosticError."""
    everything = (*kept.own, *kept.others)
    for copy in everything:
        if copy.name == name:
            return copy
    near = did_you_mean(name, [copy.name for copy in everything])
    remedy = near or f"`{RESTORE_COMMAND}` lists them"
    raise DiagnosticError(error("state.no-copy", f"there is no copy {name}", remedy=remedy))


def content_of_copy(copy: Copy) -> bytes:
    """Return the content of a copy, as a document. Raises StateError where it is not whole."""
    store = open_store(url_of_file(copy.path), create=False)
    try:
        return b"".join(store.export_document())
    finally:
        store.close()


def content_of_state(opened: Callable[[], AbstractContextManager[StateStore]]) -> bytes | None:
    """Return the content of the state, as a document; None where it is damaged."""
    try:
        with opened() as store:
            return b"".join(store.export_document())
    except StateCorruptError:
        return None


def hold_the_same(one: bytes, other: bytes) -> bool:
    """Tell whether two documents hold the same of resources and of what was done; runs that did nothing count for nothing."""
    held, copied = orjson.loads(one), orjson.loads(other)
    return all(held[part] == copied[part] for part in _CONTENT)


def origin_of(project: Project) -> Origin:
    """Return which project this is, as far as git knows."""
    root = project.root
    remote = _last_line(root, "config", "--get", "remote.origin.url")
    first = _last_line(root, "rev-list", "--max-parents=0", "HEAD")
    shallow = _last_line(root, "rev-parse", "--is-shallow-repository") == "true"
    folder = _last_line(root, "rev-parse", "--show-prefix").rstrip("/")
    return Origin(str(root), _without_secrets(remote), "" if shallow else first, folder)


def _last_line(folder: Path, *arguments: str) -> str:
    return next(reversed(git_lines(folder, *arguments)), "").strip()


def note_origin(folder: Path, project: Project) -> None:
    """Write down beside the copies which project they are of, unless it stands there already."""
    known = _origins_of(folder)
    if any(origin.root == str(project.root) for origin in known):
        return
    origins = [*known, origin_of(project)][-_MOST_ORIGINS:]
    make_private(folder)
    data = orjson.dumps({"format": _FORMAT, "version": 1, "origins": [asdict(origin) for origin in origins]})
    with draft_of(folder / _ORIGINS) as draft:
        draft.write_bytes(data)


def _origins_of(folder: Path) -> Sequence[Origin]:
    try:
        plain = orjson.loads((folder / _ORIGINS).read_bytes())
        return [Origin(**origin) for origin in plain["origins"] if all(type(text) is str for text in origin.values())]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return ()


def _without_secrets(url: str) -> str:
    """Return the address of a repository without user and password, so that one clone is known from another's."""
    if "://" not in url:
        return url.rpartition("@")[2].removesuffix("/").removesuffix(".git")
    parts = urlsplit(url)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
    return plain.removesuffix("/").removesuffix(".git")
