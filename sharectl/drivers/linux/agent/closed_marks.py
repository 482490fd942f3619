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
from sharectl.drivers.linux.agent.protocols import exported_over, joined
from sharectl.model.access import CIFS, NFS, protocols_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sharectl.drivers.linux.agent.contract import Instance, Rule
    from sharectl.drivers.linux.agent.protocols import ByProtocol
    from sharectl.drivers.linux.agent.rows import ShareRow
    from sharectl.drivers.linux.agent.servers import ServerRoom, Servers


def stored_rules(room: ServerRoom, rows: Sequence[ShareRow]) -> dict[str, tuple[Rule, ...]]:
    """Return the rules that the servers have stored for shares, by resource id, whether they are in force or not."""
    found: dict[str, tuple[Rule, ...]] = {}
    for instance in sorted({row.instance for row in rows}):
        mine = [row for row in rows if row.instance == instance]
        stored = {protocol: _stored(room.servers(instance), protocol, mine) for protocol in (NFS, CIFS)}
        found.update((row.resource_id, rules) for row in mine if (rules := joined(row, stored)))
    return found


def _stored(servers: Servers, protocol: str, rows: Sequence[ShareRow]) -> dict[str, tuple[Rule, ...]]:
    """Return the same for shares of one instance and one protocol."""
    there = exported_over(protocol, rows)
    if protocol == NFS:
        exports = servers.nfs.stored() if servers.nfs is not None and there else {}
        return {
            row.resource_id: rights.rules_of_clients(export.clients)
            for row in there
            if (export := exports.get(row.export_id)) is not None
        }
    sections = servers.smb.stored() if servers.smb is not None and there else {}
    return {
        row.resource_id: section.asked or rights.rules_of_section(section, section.users)
        for row in there
        if (section := sections.get(row.export_name)) is not None
    }


def seen(
    servers: Servers, rows: Sequence[ShareRow], look: Callable[[], ByProtocol], await_restart: Callable[[], object]
) -> ByProtocol:
    """Return what `look` finds in force for shares of an instance, by protocol and resource id, and mark those that it finds closed.

    Where their server does not answer, it is waited for until it is back, if somebody brings it back, and looked at again.
    """
    for is_last in (False, True):
        with opening(servers.instance, shared=True):
            found = look()
            stored = {
                protocol: _stored(servers, protocol, [row for row in rows if not rules.get(row.resource_id)])
                for protocol, rules in found.items()
            }
            if is_last or not _is_down(
                servers, {protocol: {**rules, **stored[protocol]} for protocol, rules in found.items()}
            ):
                for protocol, rules in found.items():
                    marks = marked(servers.instance, protocol)
                    for row in rows if marks else ():
                        if row.resource_id in marks and rules.get(row.resource_id):
                            unmark(servers.instance, row, protocol)
                    _mark(servers.instance, protocol, [row for row in rows if row.resource_id in stored[protocol]])
                break
        await_restart()
    return found


def _is_down(servers: Servers, known: ByProtocol) -> bool:
    """Tell whether a server does not run as it should that has something stored, or in force."""
    by_protocol = {NFS: servers.nfs, CIFS: servers.smb}
    found = [by_protocol[protocol] for protocol, rules in known.items() if rules]
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


def _mark(instance: Instance, protocol: str, rows: Sequence[ShareRow]) -> None:
    with suppress(OSError):  # as above
        for row in rows:
            _touch(instance, _name(row, protocol))


def unmark(instance: Instance, row: ShareRow, protocol: str) -> None:
    """Let what is stored for the share over the protocol hold; over others it holds no more than before."""
    others = [other for other in protocols_in(row.protocol) if other != protocol]
    if others and row.resource_id in _names(instance):  # it was marked when it had one protocol
        for other in others:
            _touch(instance, f"{row.resource_id}.{other}")
    # Where this is the only one, also what is left of another that the share has no more.
    for name in (row.resource_id, *(f"{row.resource_id}.{each}" for each in (NFS, CIFS) if each not in others)):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(_folder(instance), name))  # noqa: PTH108, PTH118 - as above


def marked(instance: Instance, protocol: str) -> set[str]:
    """Return the ids of the shares for which nothing that is stored holds over this protocol."""
    parts = (name.partition(".") for name in _names(instance))
    return {resource_id for resource_id, _, only in parts if only in {"", protocol}}


def _name(row: ShareRow, protocol: str) -> str:
    """Return the name of a mark: the id, which stands for all protocols, where the share has one alone."""
    return row.resource_id if row.protocol == protocol else f"{row.resource_id}.{protocol}"


def _names(instance: Instance) -> list[str]:
    try:
        return os.listdir(_folder(instance))  # noqa: PTH208 - as above
    except FileNotFoundError:
        return []


def _touch(instance: Instance, name: str) -> None:
    os.makedirs(_folder(instance), mode=0o700, exist_ok=True)  # noqa: PTH103 - as above
    Path(_folder(instance), name).touch()


def _folder(instance: Instance) -> str:
    return os.path.join(instance.root, "closed")  # noqa: PTH118 - as above
