"""Shares that were listed as closed although access is stored for them: what is stored no longer holds until it is put in force again.

Whoever was told that nobody has access asks nobody to take it away. So what a server has stored for such a share may be more than
it is to have, and must not come back by itself when the server is started again.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent import rights
from sharectl.drivers.linux.agent.host.daemons import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from sharectl.drivers.linux.agent.contract import Instance, Rule
    from sharectl.drivers.linux.agent.records import ShareRow
    from sharectl.drivers.linux.agent.servers import ServerRoom, Servers


def stored_rules(room: ServerRoom, rows: Sequence[ShareRow]) -> dict[str, tuple[Rule, ...]]:
    """Return the rules that the servers have stored for shares, by resource id, whether they are in force or not."""
    found: dict[str, tuple[Rule, ...]] = {}
    for instance in sorted({row.instance for row in rows}):
        found.update(_stored(room.servers(instance), [row for row in rows if row.instance == instance]))
    return found


def _stored(servers: Servers, rows: Sequence[ShareRow]) -> dict[str, tuple[Rule, ...]]:
    """Return the same for shares of one instance."""
    found: dict[str, tuple[Rule, ...]] = {}
    there = [row for row in rows if row.trashed_at is None]
    exports = servers.nfs.stored() if servers.nfs is not None and _has(there, "NFS") else {}
    sections = servers.smb.stored() if servers.smb is not None and _has(there, "CIFS") else {}
    for row in there:
        export, section = exports.get(row.export_id), sections.get(row.export_name)
        if row.protocol == "NFS" and export is not None:
            found[row.resource_id] = rights.rules_of_clients(export.clients)
        elif row.protocol == "CIFS" and section is not None:
            found[row.resource_id] = section.asked or rights.rules_of_section(section, section.users)
    return found


def seen(
    servers: Servers,
    rows: Sequence[ShareRow],
    look: Callable[[], dict[str, tuple[Rule, ...]]],
    await_restart: Callable[[], object],
) -> dict[str, tuple[Rule, ...]]:
    """Return what `look` finds in force for shares of an instance, by resource id, and mark those that it finds closed.

    Where their server does not answer, it is waited for until it is back, if somebody brings it back, and looked at again.
    """
    for is_last in (False, True):
        with opening(servers.instance, shared=True):
            found = look()
            closed = [row for row in rows if not found.get(row.resource_id)]
            stored = _stored(servers, closed)
            protocols = {row.protocol for row in closed if row.resource_id in stored}
            if is_last or not _is_down(servers, protocols):
                for resource_id in marked(servers.instance) & {each for each, rules in found.items() if rules}:
                    unmark(servers.instance, resource_id)
                _mark(servers.instance, stored)
                break
        await_restart()
    return found


def _is_down(servers: Servers, protocols: Collection[str | None]) -> bool:
    by_protocol = {"NFS": servers.nfs, "CIFS": servers.smb}
    found = [by_protocol.get(protocol or "") for protocol in protocols]
    return any(server is not None and not server.is_running() for server in found)


@contextmanager
def opening(instance: Instance, *, shared: bool = False) -> Iterator[None]:
    """Open to clients again what is not marked; those who look, and mark what they find closed, keep out of it together (`shared`)."""
    with ExitStack() as stack:
        with suppress(
            OSError
        ):  # whoever looks need not be able to write, and without the folder there is nothing to open
            stack.enter_context(locked(os.path.join(instance.root, "opening.lock"), shared=shared))  # noqa: PTH118 - paths are text everywhere in the agent
        yield


def _mark(instance: Instance, resource_ids: Collection[str]) -> None:
    with suppress(OSError):  # as above
        for resource_id in resource_ids:
            os.makedirs(_folder(instance), mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
            Path(_folder(instance), resource_id).touch()


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
