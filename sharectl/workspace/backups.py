"""Backups of a state in a file or in a database: whole copies on request, each in one file."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.state_urls import url_of_file
from sharectl.private import DRAFT_SUFFIX, make_private, sweep_drafts, sync_directory
from sharectl.state.contract import StateError, StateUnavailableError, WritesCopies
from sharectl.state.sqlite.copies import drop_oldest, name_of_next, newest_in, read_copy, replaces
from sharectl.state.sqlite.errors import translated
from sharectl.state.stores import open_store
from sharectl.workspace.copies import copy_folders, note_origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from sharectl.manifests.project import Project
    from sharectl.state.contract import StateStore
    from sharectl.state.sqlite.copies import Copy

_BEGINNING: Final = ".backup"
"""How the passing names of backups begin."""


def back_up_to(store: StateStore, project: Project, to: Path, now: datetime) -> Copy:
    """Write a backup to the file `to`, or under a name of its own into the folder `to`; return it.

    The file gets its name in one step, once it is whole and durable. An earlier backup of the same state is replaced;
    whatever else is there stays. Raises DiagnosticError and StateError.
    """
    place = to.resolve()
    folder = place if place.is_dir() else place.parent
    with _written_in(store, folder) as copy:
        target = folder / f"{copy.name_at(now)}.db" if folder == place else place
        _expect_replaceable(target, copy, project)
        return _moved(copy, target)


def back_up_here(store: StateStore, project: Project, environ: Mapping[str, str], now: datetime) -> Copy:
    """Put a backup among the copies that are kept on this machine, unless the newest of them holds the same; return it.

    Raises DiagnosticError and StateError.
    """
    if not project.copies_kept:
        remedy = "name a place for the backup: --to FILE, or --to DIR"
        raise DiagnosticError(error("state.no-place", "`state.copies.keep: 0` keeps no copies here", remedy=remedy))
    problems = []
    for base in copy_folders(project, environ):
        try:
            return _kept_in(base, store, project, now)
        except StateUnavailableError as problem:
            problems.append(problem)
    raise problems[0]


def _kept_in(base: Path, store: StateStore, project: Project, now: datetime) -> Copy:
    with translated(base):
        make_private(base)
    with _written_in(store, base) as copy, translated(base):
        folder = base / copy.lineage
        newest = newest_in(folder)
        if newest is not None and newest.mark == copy.mark and replaces(copy, newest.path):
            return newest
        make_private(folder)
        kept = _moved(copy, folder / name_of_next(folder, now, copy.serial))
        note_origin(folder, project)
        drop_oldest(kept.path, project.copies_kept)
        return kept


def read_backup(path: Path) -> Copy:
    """Return the backup at `path`. Raises StateError where it is none."""
    with closing(open_store(url_of_file(path), create=False)) as store, store.read():
        return read_copy(path)


@contextmanager
def _written_in(store: StateStore, folder: Path) -> Iterator[Copy]:
    """Yield a copy of the state under a temporary name in `folder`, which is gone when the block ends."""
    assert isinstance(store, WritesCopies)  # noqa: S101 - both kinds of stores do
    draft = folder / f"{_BEGINNING}.{os.urandom(8).hex()}{DRAFT_SUFFIX}"
    sweep_drafts(folder, _BEGINNING, f".{_BEGINNING}")
    try:
        store.write_copy(draft)
        yield read_copy(draft)
    finally:
        draft.unlink(missing_ok=True)


def _moved(copy: Copy, target: Path) -> Copy:
    with translated(target):
        copy.path.replace(target)
        sync_directory(target.parent)
    return copy._replace(path=target)


def _expect_replaceable(target: Path, copy: Copy, project: Project) -> None:
    """Refuse to put a backup in the place of something that it must not replace. Raises DiagnosticError."""
    if not target.exists():
        return
    if project.state_path is not None and project.state_path.exists() and target.samefile(project.state_path):
        why = "that is the state itself"
    else:
        try:
            if replaces(copy, target):
                return
            why = "it is a state that is worked with, a backup of another one, or a later backup"
        except StateError:
            why = "it is no backup"
    remedy = "name another file, or a folder, where each backup gets a name of its own"
    raise DiagnosticError(error("state.taken", f"{target} is not replaced: {why}", remedy=remedy))
