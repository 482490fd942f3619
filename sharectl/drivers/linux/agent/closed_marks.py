"""Shares that were listed as closed although access is stored for them: what is stored no longer holds until it is put in force again.

Whoever was told that nobody has access asks nobody to take it away. So what a server has stored for such a share may be more than
it is to have, and must not come back by itself when the server is started again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent import rights

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.drivers.linux.agent.contract import Instance, Rule
    from sharectl.drivers.linux.agent.records import ShareRow
    from sharectl.drivers.linux.agent.servers import ServerRoom


def stored_rules(room: ServerRoom, rows: Sequence[ShareRow]) -> dict[str, tuple[Rule, ...]]:
    """Return the rules that the servers have stored for shares, by resource id, whether they are in force or not."""
    found: dict[str, tuple[Rule, ...]] = {}
    for instance in sorted({row.instance for row in rows}):
        servers = room.servers(instance)
        mine = [row for row in rows if row.instance == instance and row.trashed_at is None]
        exports = servers.nfs.stored() if servers.nfs is not None and _has(mine, "NFS") else {}
        sections = servers.smb.stored() if servers.smb is not None and _has(mine, "CIFS") else {}
        for row in mine:
            export, section = exports.get(row.export_id), sections.get(row.export_name)
            if row.protocol == "NFS" and export is not None:
                found[row.resource_id] = rights.rules_of_clients(export.clients)
            elif row.protocol == "CIFS" and section is not None:
                lists = (section.writers, section.readers, section.networks)
                found[row.resource_id] = rights.rules_of_section(*lists, section.writers | section.readers)
    return found


def mark_closed(room: ServerRoom, rows: Sequence[ShareRow], is_open: Collection[str]) -> None:
    """Mark those of the listed shares that are closed although access is stored for them, and take the mark off the others."""
    closed = {row.resource_id: row for row in rows if row.resource_id not in is_open}
    for name in {row.instance for row in rows}:
        instance = room.servers(name).instance
        for resource_id in marked(instance) & set(is_open):
            unmark(instance, resource_id)
    for resource_id in stored_rules(room, list(closed.values())):
        folder = _folder(room.servers(closed[resource_id].instance).instance)
        with suppress(OSError):  # whoever looks need not be able to write
            os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103 - paths are text everywhere in the agent
            Path(folder, resource_id).touch()


def unmark(instance: Instance, resource_id: str) -> None:
    """Let what is stored for the share hold."""
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(_folder(instance), resource_id))  # noqa: PTH108, PTH118 - as above


def marked(instance: Instance) -> set[str]:
    """Return the ids of the shares for which nothing that is stored holds."""
    try:
        return set(os.listdir(_folder(instance)))  # noqa: PTH208 - as above
    except FileNotFoundError:
        return set()


def _folder(instance: Instance) -> str:
    return os.path.join(instance.root, "closed")  # noqa: PTH118 - as above


def _has(rows: Sequence[ShareRow], protocol: str) -> bool:
    return any(row.protocol == protocol for row in rows)
