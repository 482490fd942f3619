"""The modules of Samba (`vfs objects`) that the requests of a share go through, composed here for all that a share offers."""

from __future__ import annotations

import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import commands
from sharectl.drivers.linux.agent.volumes.folders import versions_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.drivers.linux.agent.contract import Section
    from sharectl.drivers.linux.agent.smb.treatment import SmbTreatment

_ORDER: Final = ("catia", "fruit", "streams_xattr", "shadow_copy2", "recycle")
"""From the module that a request meets first to the one before the file system."""

# A client that holds a lease writes and reads in its own memory, of which NFS clients see nothing; and what they lock is asked of the kernel.
_BESIDE_NFS: Final = ("oplocks = no", "level2 oplocks = no", "posix locking = yes", "strict locking = yes")
_PACKAGE: Final = "samba-vfs-modules"
_SECONDS: Final = 30.0


class _Module(NamedTuple):
    name: str
    prefix: str
    parameters: Mapping[str, str]


def lines_of(treatment: SmbTreatment, path: str) -> list[str]:
    """Return the lines of smb.conf(5) in the section of a share at `path` that offers this."""
    modules = _modules_of(treatment, path)
    lines = [f"vfs objects = {' '.join(module.name for module in modules)}"] if modules else []
    lines += [
        f"{module.prefix}:{parameter} = {value}" for module in modules for parameter, value in module.parameters.items()
    ]
    if treatment.has_nfs:
        lines += _BESIDE_NFS
    if treatment.recycle_bin is not None and not treatment.recycle_bin.visible:
        lines.append(f"veto files = /{treatment.recycle_bin.folder}/")
    if treatment.time_machine is not None and treatment.time_machine.max_bytes is not None:
        lines.append("dfree command =")  # whose answer would go before that of the module
    return lines


def global_lines() -> list[str]:
    """Return the lines of smb.conf(5) for all shares of a server with what Macs need; the combination of vfs_fruit(8)."""
    return [
        "fruit:aapl = yes",
        "fruit:nfs_aces = no",  # else a Mac changes the modes of files
        "fruit:model = MacSamba",
        "fruit:metadata = netatalk",
        "fruit:resource = file",
        "fruit:encoding = native",
        "fruit:veto_appledouble = no",
        "fruit:wipe_intentionally_left_blank_rfork = yes",
        "fruit:delete_empty_adfiles = yes",
    ]


def require_installed(treatment: SmbTreatment) -> None:
    """Raise REFUSED where a module is missing: smbd would let nobody into the share, and not say why."""
    modules = _modules_of(treatment, "")
    folder = _folder() if modules else None
    for module in modules:
        if folder is not None and not Path(folder, f"{module.name}.so").exists():
            message = (
                f"Samba's module {module.name} is not installed on the storage host; install the package {_PACKAGE}"
            )
            raise Problem(ProblemKind.REFUSED, message)


def require_own_bin(section: Section) -> None:
    """Raise CONFLICT where a symbolic link is in the place of the recycle bin: smbd would follow it, and make folders in another share."""
    found = section.treatment.recycle_bin
    if found is not None and os.path.islink(f"{section.path}/{found.folder}"):  # noqa: PTH114 - paths are text everywhere in the agent
        message = (
            f"{found.folder} in the share {section.name!r} is a symbolic link, and is to be its recycle bin; remove it"
        )
        raise Problem(ProblemKind.CONFLICT, message)


def _modules_of(treatment: SmbTreatment, path: str) -> list[_Module]:
    return sorted(_unordered(treatment, path), key=lambda module: _ORDER.index(module.name))


def _unordered(treatment: SmbTreatment, path: str) -> Iterable[_Module]:
    if treatment.macos:
        yield _Module("catia", "catia", {})
        yield _Module("fruit", "fruit", _of_time_machine(treatment))
        yield _Module("streams_xattr", "streams_xattr", {})
    if treatment.previous_versions:
        parameters = {
            "snapdir": versions_folder(path),
            "basedir": path,
            "mountpoint": path,
            "format": "@GMT-%Y.%m.%d-%H.%M.%S",
            "localtime": "no",
            "sort": "desc",
        }
        yield _Module("shadow_copy2", "shadow", parameters)
    if treatment.recycle_bin is not None:
        parameters = {
            "repository": treatment.recycle_bin.folder,
            "keeptree": _flag(treatment.recycle_bin.keep_tree),
            "versions": _flag(treatment.recycle_bin.versions),
            "touch": "yes",  # the time of access is that of the deletion
            "directory_mode": "0770",  # all SMB users are one account, which Samba knows by its group; others of the host stay outside
            "subdir_mode": "0770",
        }
        yield _Module("recycle", "recycle", parameters)


def _of_time_machine(treatment: SmbTreatment) -> dict[str, str]:
    if treatment.time_machine is None:
        return {}
    limit = treatment.time_machine.max_bytes
    return {"time machine": "yes", **({} if limit is None else {"time machine max size": str(limit)})}


@lru_cache(maxsize=1)
def _folder() -> str | None:
    """Return where Samba has its modules, None where it does not say: as it was built."""
    smbd = commands.find("smbd")
    if smbd is None:  # which is told when it is started
        return None
    built = subprocess.run([smbd, "--build-options"], capture_output=True, text=True, check=False, timeout=_SECONDS)  # noqa: S603 - a list of arguments, no shell
    found = re.search(r"^\s*MODULESDIR: (/.*)$", built.stdout, re.MULTILINE)
    return None if found is None else f"{found[1]}/vfs"


def _flag(value: bool) -> str:  # noqa: FBT001 - it is the value that is written
    return "yes" if value else "no"
