"""What a directory backend cannot do, told before anything is called, by the same functions that the calls ask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sharectl.drivers.directory import exports, names, samba
from sharectl.drivers.directory.access import (
    MOST_RULES_REMEDY,
    export_name_problem,
    protocol_problem,
    render_fragments,
    size_problem,
)
from sharectl.drivers.directory.settings import absolute_path, backend_id_of, path_problem, read_settings
from sharectl.drivers.directory.storage import PRIVATE
from sharectl.model.access import CIFS, protocols_in
from sharectl.model.checks import ConfigProblem, ShareProblem, StoragePlace
from sharectl.model.specs import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sharectl.drivers.directory.settings import DirectorySettings
    from sharectl.model.backends import BackendSpec
    from sharectl.model.checks import WantedShare

_ADDRESSES = "name an address or a network; users go with CIFS"
_RULE_REMEDY = "write a rule that the share's protocol knows, or remove this one"


class ShareChecker:
    """Checks shares for one backend."""

    def __init__(self, settings: DirectorySettings) -> None:
        """Check against these settings."""
        self._settings = settings
        self._options = exports.export_options(settings.anonymous_uid, settings.anonymous_gid)

    def __call__(self, share: WantedShare) -> Sequence[ShareProblem]:
        """Return all problems of the share."""
        return (*self._of_name(share), *self._of_rules(share))

    def _of_name(self, share: WantedShare) -> Iterator[ShareProblem]:
        problem = names.problem_of_new(share.name)
        if problem is not None:
            yield ShareProblem(("name",), problem, "give the share another name")
        elif (problem := protocol_problem(share.protocol)) is not None:
            yield ShareProblem(("protocol",), problem, f"choose {Protocol.NFS} or {Protocol.CIFS}, or another backend")
        elif (problem := export_name_problem(share.export_name, share.protocol)) is not None:
            yield ShareProblem(("export_name",), problem, "write another exportName, or none")
        elif CIFS in protocols_in(share.protocol):
            yield from self._of_section(share)

    def _of_section(self, share: WantedShare) -> Iterator[ShareProblem]:
        """Yield what keeps the share out of smb.conf: at its name what comes of its folder, which is called so whatever clients see."""
        written = "name" if share.export_name is None else "export_name"
        if (problem := samba.name_problem(share.export_name or share.name)) is not None:
            yield ShareProblem((written,), problem, "give the share another name, or choose NFS")
            if written == "name":
                return
        pools = self._settings.pools if share.pool is None else [share.pool]
        known = [pool for pool in pools if pool in self._settings.pools]
        found = [samba.path_problem(self._settings.share_path(pool, share.name)) for pool in known]
        if found and None not in found:
            yield ShareProblem(("name",), str(found[0]), "give the share another name, or choose NFS")

    def _of_rules(self, share: WantedShare) -> Iterator[ShareProblem]:
        if not share.rules or protocol_problem(share.protocol) is not None:
            return
        texts = render_fragments(share.protocol, "share", "/", share.rules, self._options)
        for rule, status in texts.statuses.items():
            if status.status != "active":
                is_user = share.protocol == Protocol.NFS and rule.access_type == "user"
                yield ShareProblem(("access", rule.key), status.reason, _ADDRESSES if is_user else _RULE_REMEDY)
        if (problem := size_problem(texts.exports) or size_problem(texts.section)) is not None:
            yield ShareProblem(("access",), problem, MOST_RULES_REMEDY)


def config_problems(config: Mapping[str, object]) -> Iterator[ConfigProblem]:
    """Yield what keeps a configuration from working although it meets the schema: pools inside others."""
    root = str(config["root"])
    named = config.get("pools") or {}
    if not isinstance(named, dict):
        return
    paths: dict[tuple[str, ...], str] = {("root",): root, ("exportPath",): str(config.get("exportPath", ""))}
    paths |= {("pools", name): path for name, path in named.items()}
    bad = [(place, problem) for place, path in paths.items() if (problem := path_problem(path)) is not None]
    if bad:
        yield ConfigProblem(*bad[0], "name a folder")
        return
    del paths["exportPath",]
    for place, path in paths.items():
        if path.partition("/")[0] == "~":
            problem = f"{path} would be a folder called ~: a home folder has no short form here"
            yield ConfigProblem(place, problem, "write the absolute path")
        elif not os.path.normpath(path).strip("/"):
            yield ConfigProblem(place, "all folders of this machine would be shares", "name a folder for the shares")
    pools = {name: absolute_path(path, absolute_path(root, "/")) for name, path in named.items()}
    for name, path in pools.items():
        for other, other_path in pools.items():
            is_inside = f"{path}/".startswith(f"{other_path.rstrip('/')}/")
            if other != name and is_inside and (path != other_path or name > other):
                where = "is the folder of" if path == other_path else "is inside"
                yield ConfigProblem(("pools", name), f"the pool {name!r} {where} the pool {other!r}", "keep them apart")


def storage_places(backend: BackendSpec, base_directory: str) -> Iterator[StoragePlace]:
    """Yield the root and the pools, with links resolved."""
    root = absolute_path(str(backend.config["root"]), base_directory)
    named: dict[tuple[str, ...], tuple[str, str]] = {("root",): ("the root", root)}
    for name, path in (backend.config.get("pools") or {}).items():
        named["pools", name] = (f"the pool {name!r}", absolute_path(path, root))
    for where, (what, folder) in named.items():
        location = os.path.realpath(folder)
        yield StoragePlace("", location, what, where)
        yield StoragePlace("", f"{location.rstrip('/')}/{PRIVATE}", f"what sharectl keeps in {what}", where)


def share_folders(backend: BackendSpec, base_directory: str) -> dict[str, StoragePlace]:
    """Return the folder of each pool as the file server has it: links are resolved where that is this machine, as far as the configuration says."""
    settings = read_settings(backend.config, base_directory)
    server = settings.export_host if "exportPath" in backend.config else ""
    found = {}
    for pool in settings.pools:
        folder = os.path.normpath(settings.exported_path(pool, "."))
        found[backend_id_of(pool, "")] = StoragePlace(
            server, folder if server else os.path.realpath(folder), f"the pool {pool!r}", ("pools", pool)
        )
    return found
