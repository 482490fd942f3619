"""Folders of a storage host, matched by path with the shares of a backend."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from sharectl.drivers.registry import driver_factory
from sharectl.drivers.share_checks import NamesShareFolders
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.model.kinds import Kind
from sharectl.planner.strays import importable_shares
from sharectl.workspace.imports import _escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import StoragePlace
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record
    from sharectl.planner.observed import BackendObservation


def share_folders(spec: BackendSpec, base_directory: str) -> Mapping[str, StoragePlace]:
    """Return the folders in which the backend's shares are folders, by how their ids begin. Raises DiagnosticError where it has none."""
    factory = driver_factory(spec.driver)
    if not isinstance(factory, NamesShareFolders):
        raise DiagnosticError(
            error(
                "import.no-folders",
                f"the {spec.driver} driver of backend {spec.name} knows no folders",
                detail="the files name folders, and its shares are none.",
                remedy=f"take its shares over with `sharectl import --backend {spec.name} --all --write DIR`, and write their rules",
            )
        )
    return factory.share_folders(spec, base_directory)


class FoundFolder(NamedTuple):
    """The share that a folder is; `address` is that of the state, None where it does not know it."""

    share: ObservedShare
    address: Address | None = None


class LostFolder(NamedTuple):
    """Why a folder is no share that can be taken over, and what to do."""

    why: str
    remedy: str


class Shelf:
    """The shares of a backend by the paths of their folders."""

    def __init__(
        self, seen: BackendObservation, records: Mapping[Address, Record], places: Mapping[str, StoragePlace]
    ) -> None:
        """Take the shares as they were listed, and the addresses that the state has for them."""
        self._name, self._places = seen.backend, places
        self._is_new = seen.report is not None and seen.report.identity is None
        by_id = {record.resource_id: address for address, record in records.items() if record.kind == Kind.SHARE}
        strays = importable_shares(by_id.keys(), seen)
        self._strays = {share.backend_id: share for share in strays if share.trashed_at is None}
        self._managed = {
            share.backend_id: (share, by_id[resource_id])
            for resource_id, share in (seen.shares or {}).items()
            if resource_id in by_id and share.trashed_at is None
        }

    def place(self, folder: str) -> FoundFolder | LostFolder:
        """Return the share that a folder is; links are resolved where the storage is on this machine."""
        for prefix, place in self._places.items():
            path = os.path.normpath(folder) if place.host else os.path.realpath(folder)
            if path == place.location:
                remedy = "export the shares in it one by one; what lies in it beside them stays out"
                return LostFolder(f"it is {place.what} of backend {self._name}, and no share", remedy)
            inside = path.removeprefix(f"{place.location.rstrip('/')}/")
            if inside != path:
                return self._in_pool(prefix, place, inside)
        pools = ", ".join(sorted(place.location for place in self._places.values())) or "none"
        remedy = (
            f"move it into a pool ({pools}), or make a pool of the folder that it is in; docs/linux.md, Existing data"
        )
        return LostFolder(f"the folder is in no pool of backend {self._name}", remedy)

    def _in_pool(self, prefix: str, place: StoragePlace, inside: str) -> FoundFolder | LostFolder:
        name, slash, _ = inside.partition("/")
        backend_id = f"{prefix}{_escaped(name)}"
        if slash:
            why = f"the folder lies within another, {place.location}/{name}, and shares do not"
            return LostFolder(why, f"let its clients mount that one, or move it to {place.location}")
        if backend_id in self._managed:
            return FoundFolder(*self._managed[backend_id])
        share = self._strays.get(backend_id)
        if share is None and self._is_new:
            why = f"backend {self._name} lists no share {backend_id}; never used so far, it may show what lies there only after the first apply"
            return LostFolder(why, "`sharectl apply`, then import again")
        if share is None:
            why = f"backend {self._name} has no share {backend_id}: there is no such folder, or (on btrfs) it is no subvolume"
            return LostFolder(why, "make it one, then import again; docs/linux.md, Existing data")
        if share.not_adoptable:
            return LostFolder(f"it cannot be taken over: {share.not_adoptable}", "fix that, then import again")
        return FoundFolder(share)
