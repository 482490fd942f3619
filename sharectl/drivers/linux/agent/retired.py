"""Servers that the settings of a backend turned off: stopped for good, with nothing left that a later start would serve."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sharectl.drivers.linux.agent.contract import Instance


def retire_unused(instance: Instance, nfs: str, *, has_smb: bool) -> None:
    """Stop the servers of an instance that are not the ones that the settings name, and forget what they served. Idempotent.

    `nfs` is `ganesha`, `kernel` or `none`. Their configuration goes last, and tells until then that there is something to stop;
    who turns a server on again gets access made anew by the next plan, never what was in force before.
    """
    if nfs != "ganesha":
        _retire_ganesha(instance)
    if nfs != "kernel" and instance.namespace is None:
        _retire_kernel(instance)
    if not has_smb:
        _retire_samba(instance)


def _retire_ganesha(instance: Instance) -> None:
    folder = os.path.join(instance.root, "nfs")  # noqa: PTH118 - paths are text everywhere in the agent
    configuration = os.path.join(folder, "ganesha.conf")  # noqa: PTH118 - as above
    if not os.path.exists(configuration):  # noqa: PTH110 - as above
        return
    from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer  # noqa: PLC0415 - only where there is one

    server = GaneshaServer(instance)  # with any port: what runs is found by its files
    server.stop()
    for export_id in sorted(_stored_ids(folder)):
        server.remove(export_id)
    _unlink(configuration)


def _stored_ids(folder: str) -> set[int]:
    """Return the ids of all exports that a Ganesha has stored, those too that are withheld."""
    from sharectl.drivers.linux.agent.nfs.ganesha.process import EXPORTS, WITHHELD  # noqa: PLC0415 - only where there is one

    files = [file for name in (EXPORTS, WITHHELD) for file in Path(folder, name).glob("*.conf")]
    return {int(file.stem) for file in files if file.stem.isascii() and file.stem.isdigit()}


def _retire_kernel(instance: Instance) -> None:
    from sharectl.drivers.linux.agent.nfs.kernel.server import KernelNfsServer  # noqa: PLC0415 - only in the host's own network

    server = KernelNfsServer(instance)
    if os.path.exists(server.exports_file):  # noqa: PTH110 - as above
        server.stop()
        _unlink(server.exports_file)


def _retire_samba(instance: Instance) -> None:
    configuration = os.path.join(instance.root, "smb", "smb.conf")  # noqa: PTH118 - as above
    if not os.path.exists(configuration):  # noqa: PTH110 - as above
        return
    from sharectl.drivers.linux.agent.smb.server import SambaServer  # noqa: PLC0415 - only where there is one

    server = SambaServer(instance)
    server.stop()
    for name in sorted(server.stored()):
        server.remove(name)
    _unlink(configuration)


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - as above
