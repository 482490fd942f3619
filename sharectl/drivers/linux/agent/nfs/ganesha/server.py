"""An NFS server of the kind NFS-Ganesha: its exports stored for its next start, and put in force at once while it runs."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.contract import Export, Instance, Problem, ProblemKind
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.nfs.clients import canonical_network, prefix_of
from sharectl.drivers.linux.agent.nfs.exports import SNAPSHOTS, checked, problem_of_path
from sharectl.drivers.linux.agent.nfs.ganesha import stored_exports
from sharectl.drivers.linux.agent.nfs.ganesha.bus import NoAnswerError, RefusedError
from sharectl.drivers.linux.agent.nfs.ganesha.configuration import (
    ServerOptions,
    export_text,
    server_text,
    shown_export,
)
from sharectl.drivers.linux.agent.nfs.ganesha.messages import Call
from sharectl.drivers.linux.agent.nfs.ganesha.process import (
    EXPORTS,
    WITHHELD,
    GaneshaProcess,
    plugins_folder,
    rotate_if_large,
)
from sharectl.drivers.linux.agent.nfs.ganesha.snapshots import SnapshotExports, shut
from sharectl.drivers.linux.agent.nfs.narrowing import grants_no_more, left_in, lets_in
from sharectl.drivers.linux.agent.nfs.treatment import as_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

DEFAULT_MINOR_VERSIONS: Final = (1, 2)
"""NFSv4.1 and 4.2: 4.0 has no sessions, so that a request that was sent twice may be done twice."""

_BELOW: Final = "submounts"
_COMPLAINT: Final = "Errors found"
"""With these words in a reply of success, Ganesha left out a part of the export that it could not read."""


class GaneshaServer:
    """Ganesha with a private D-Bus, in the instance's network namespace; see `contract.NfsServer`.

    It answers on one address where the instance has one. Ganesha can bind to one alone (`Bind_addr`), so that with several
    addresses, or none, it answers on all that the namespace has, and only one such server fits in it for each port.
    """

    def __init__(
        self,
        instance: Instance,
        port: int = 2049,
        minor_versions: Collection[int] = DEFAULT_MINOR_VERSIONS,
        keytab: str | None = None,
        mount_port: int | None = None,
    ) -> None:
        """Start nothing. `minor_versions` are those of NFSv4 that clients may speak; `keytab` a file that turns Kerberos on.

        `mount_port` turns NFSv3 on, and is the port of its MOUNT protocol.

        Raises REFUSED for values that cannot stand in the server's configuration.
        """
        self._process = GaneshaProcess(instance, port, mount_port)
        self._layout = self._process.layout
        self._bus = self._process.bus
        self._port = port
        self._address = _single_address(instance.addresses)
        self._minor_versions = tuple(sorted(minor_versions))
        self._keytab = keytab
        self._mount_port = mount_port
        self._plugins: str | None = None
        self.snapshots = SnapshotExports(
            self._layout.snapshots,
            self._bus,
            self._shown,
            lambda export_id: stored_exports.stored(self._layout, export_id),
        )
        self._check()

    def is_running(self) -> bool:
        """Tell whether the server can be spoken to, was started with its intended configuration, and has all its processes.

        One that serves clients out of control, or by other settings, is not running in this sense; nor is one without the rpcbind
        that it needs, though it serves all who are connected, and who speak NFSv4.
        """
        return self._is_whole_with(self._configuration())

    def ensure_running(self, is_ready: Callable[[Export], bool]) -> None:
        """Start the server unless it runs, with the configuration that it would be started with now; see the contract.

        A server that runs and cannot be spoken to is restarted.
        """
        text = self._configuration()
        if self._is_whole_with(text):
            return
        self._layout.make()
        with daemons.locked(self._layout.lock):
            if self._is_whole_with(text):
                return
            self._process.stop()  # before the exports are sorted: one that is not ready must not stay in force meanwhile
            self.snapshots.forget()
            self._process.share_exports()
            daemons.write_atomically(self._layout.configuration, text)
            self._process.start(stored_exports.sort(self._layout, is_ready))

    def put(self, export: Export) -> bool:
        """Store the export, put it in force and confirm it; on a server that is down it is stored alone, and False returned.

        Where the server does not take it, or shows it otherwise, only the clients that were stored before and are wanted just so
        stay in; nobody does where it shows even these otherwise.
        """
        export = checked(export)
        if self._keytab is None and export.security != ("sys",):
            message = "this NFS server has no Kerberos keytab, so an export can only have the security flavour sys"
            raise Problem(ProblemKind.REFUSED, message)
        if not os.path.isdir(self._layout.staging):  # noqa: PTH112 - as above
            self._layout.make()
        rotate_if_large(self._layout.log)
        name = stored_exports.file_name(export.export_id)
        path = self._layout.path(EXPORTS, name)
        before, withheld = stored_exports.content(path), self._layout.path(WITHHELD, name)
        # After a power failure the server starts with what is stored, and rights that were taken away must not come back. Of a
        # new export nothing older can: lost, it shows as drift, and what is left of its file is put aside.
        is_new = before is None and not os.path.exists(path) and not os.path.exists(withheld)  # noqa: PTH110 - as above
        try:
            daemons.write_atomically(path, export_text(export), staging=self._layout.staging, is_durable=not is_new)
        except OSError:  # a full disk, say: a right that was to be taken away goes all the same
            self._take_back(export, path)
            raise
        if not is_new:
            Path(withheld).unlink(missing_ok=True)

        def put_in_force() -> None:
            if not os.path.exists(path):  # noqa: PTH110 - somebody has started the server since, and withheld this export
                daemons.write_atomically(path, export_text(export), staging=self._layout.staging)
                Path(withheld).unlink(missing_ok=True)
            self.snapshots.follow(export)
            self._put_in_force(export)

        try:
            return self._told(put_in_force)
        except Problem:
            self._told(lambda: self._narrow(export, stored_exports.export_of(name, before), path))
            raise

    def remove(self, export_id: int) -> None:
        """Forget the export, withdraw it and confirm that it is gone; it is withdrawn also where it cannot be forgotten."""
        try:
            for folder in (self._layout.exports, self._layout.withheld):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, stored_exports.file_name(export_id)))  # noqa: PTH108, PTH118 - paths are text everywhere in the agent
                    daemons.sync_directory(folder)
        finally:
            self._told(lambda: self._withdraw(export_id))
            self.snapshots.forget_share(export_id)

    def live(self, export_ids: Collection[int] | None = None) -> Mapping[int, Export]:
        """Return the exports in force, of these ids alone where they are given; empty where the server is not `is_running`, save for rpcbind."""
        found: dict[int, Export] = {}
        if not self._serves_with(self._configuration()):
            return found

        def look() -> None:
            shown = self._shown(self._ids_in_force() if export_ids is None else sorted(set(export_ids)))
            found.update({export_id: self._as_asked(export) for export_id, export in shown.items()})

        self._told(look, may_stop=False)
        return found

    def stored(self) -> Mapping[int, Export]:
        """Return the exports that are kept for the next start, by id, those too that are withheld."""
        return {
            export.export_id: export for export in (*self.withheld(), *stored_exports.kept_in(self._layout.exports))
        }

    def withheld(self) -> Collection[Export]:
        """Return the stored exports that were not ready at the last start."""
        return stored_exports.kept_in(self._layout.withheld)

    def has_ended(self) -> bool:
        """Tell whether the server was started once, and it or its bus does not live, or is only just being started."""
        if not os.path.exists(self._layout.configuration):  # noqa: PTH110 - as above
            return False
        return not self._process.is_whole() or daemons.is_locked(self._layout.lock)

    def stop(self) -> None:
        """Stop the server and its bus; what is stored stays."""
        if os.path.isdir(self._layout.folder):  # noqa: PTH112 - as above
            with daemons.locked(self._layout.lock):
                self._process.stop()
                self._process.unshare_exports()

    def _check(self) -> None:
        for port in (self._port, *(() if self._mount_port is None else (self._mount_port,))):
            if not 1 <= port <= 65535:  # noqa: PLR2004 - the ports of TCP
                raise Problem(ProblemKind.REFUSED, f"{port} is not a port: it has to be one of 1 to 65535")
        if not self._minor_versions or not set(self._minor_versions).issubset({0, 1, 2}):
            raise Problem(ProblemKind.REFUSED, "the minor versions of NFSv4 are 0, 1 and 2, and one at least is needed")
        problem = problem_of_path(self._keytab) if self._keytab is not None else None
        if problem is not None:
            raise Problem(ProblemKind.REFUSED, f"the keytab cannot be used: {problem}")

    def _configuration(self) -> str:
        if self._plugins is None:  # looked for once: it takes as long as a call of the server
            self._plugins = plugins_folder()
        options = ServerOptions(
            self._port,
            self._address,
            self._minor_versions,
            self._plugins,
            self._layout.owner(),
            self._keytab,
            self._mount_port,
        )
        return server_text(options, exports=EXPORTS, recovery=self._layout.recovery)

    def _serves_with(self, text: str) -> bool:
        return stored_exports.content(self._layout.configuration) == text and self._process.answers()

    def _is_whole_with(self, text: str) -> bool:
        return self._process.is_whole() and self._serves_with(text)

    def _told(self, action: Callable[[], None], *, may_stop: bool = True) -> bool:
        """Do something over the bus, and tell whether it was done; where it cannot be, the server is down when this returns.

        A server that lives and does not answer is being started by somebody, who holds the lock until it answers. Or it is
        out of control (it hangs, its socket was deleted), and a change, as of a right that was taken away, cannot reach it:
        then it is stopped, unless `may_stop` is false, and the next `ensure_running` starts it with what is stored.
        """
        if not os.path.isdir(self._layout.folder):  # noqa: PTH112 - as above
            return False
        try:
            action()
        except NoAnswerError:
            with daemons.locked(self._layout.lock):
                if not self._process.answers():
                    if may_stop:
                        self._process.stop()
                    return False
            try:
                action()
            except NoAnswerError as error:
                message = f"the NFS server ended or hung in the middle of a request; see {self._layout.log}"
                raise Problem(ProblemKind.TRANSIENT, message) from error
        return True

    def _put_in_force(self, export: Export) -> None:
        try:
            reply, shown = self._update(export)
        except RefusedError as error:
            raise Problem(ProblemKind.REFUSED, f"the NFS server refuses the export {export.pseudo}: {error}") from error
        if shown != as_shown(export):
            reason = reply if _COMPLAINT in reply else "it may have been changed at the same time; repeat the apply"
            message = f"the NFS server shows the export {export.pseudo} differently from what it was given: {reason}"
            raise Problem(ProblemKind.TRANSIENT, " ".join(message.split()))

    def _take_back(self, export: Export, path: str) -> None:
        """Withdraw and forget what grants more than the export that cannot be stored; this needs no space."""

        def withdraw_wider() -> None:
            live = self._shown([export.export_id]).get(export.export_id)
            if live is not None and not grants_no_more(live, export):
                self._withdraw(export.export_id)

        self._told(withdraw_wider)
        stored = stored_exports.export_of(os.path.basename(path), stored_exports.content(path))  # noqa: PTH119 - as above
        if stored is not None and not grants_no_more(stored, export):
            Path(path).unlink()

    def _narrow(self, export: Export, before: Export | None, path: str) -> None:
        """Leave in the clients alone that were in and may stay; what the server does not take must not stand in another's way."""
        kept = frozenset() if before is None else left_in(before.clients, export.clients)
        if before is not None and lets_in(kept):
            narrowed = replace(export, path=before.path, pseudo=before.pseudo, clients=kept)
            daemons.write_atomically(path, export_text(narrowed), staging=self._layout.staging)
            with suppress(Problem):
                self._put_in_force(narrowed)
                return
        Path(path).unlink(missing_ok=True)
        self._withdraw(export.export_id)

    def _update(self, export: Export) -> tuple[str, Export | None]:
        """Make the server read the stored file of the export, whether or not it has the export; return what it says and then shows."""
        reply, shown = self._updated(export.export_id)
        if isinstance(reply, RefusedError) and shown is not None and shown.path != export.path:
            self._withdraw(export.export_id)  # an update to another path is refused
            reply, shown = self._updated(export.export_id)
        if isinstance(reply, RefusedError):
            raise reply
        return str(reply[0]), shown

    def _updated(self, export_id: int) -> tuple[Sequence[Any] | RefusedError, Export | None]:
        path = self._layout.path(EXPORTS, stored_exports.file_name(export_id))
        update = Call("UpdateExport", "ss", (path, f"EXPORT(Export_Id={export_id})"))
        reply, body = self._bus.call_in_order([update, Call("DisplayExport", "q", (export_id,))])
        return reply, None if isinstance(body, RefusedError) else shown_export(body)

    def _withdraw(self, export_id: int) -> None:
        problem = self._hide_snapshots(export_id)  # first: an export that another is below of cannot be removed
        refusal = self._refusal_of_removal(export_id)
        if _BELOW in refusal:
            problem = self._hide_snapshots(export_id, is_known=True)
            self._refusal_of_removal(export_id)
        left = self._shown([export_id])  # whatever the server said
        if export_id in left:
            shut(self._bus, self._layout.staging, left[export_id])
            message = (
                f"the NFS server still has the export {export_id} although it was told to remove it; repeat the apply"
            )
            raise Problem(ProblemKind.TRANSIENT, message) from problem
        if problem is not None:
            raise problem

    def _hide_snapshots(self, export_id: int, *, is_known: bool = False) -> Problem | None:
        """Withdraw the export of the share's snapshots; return why it stays."""
        try:
            self.snapshots.hide(export_id, is_known=is_known)
        except Problem as problem:
            return problem
        return None

    def _refusal_of_removal(self, export_id: int) -> str:
        """Tell the server to remove an export; return what it refuses that with, also where it has none."""
        try:
            self._bus.call("RemoveExport", "q", export_id)
        except RefusedError as error:
            return str(error)
        return ""

    def _ids_in_force(self) -> list[int]:
        _time, rows = self._bus.call("ShowExports", "")
        # 0 is the root of the pseudo file system, and what is below a share belongs to that.
        return sorted(row[0] for row in rows if row[0] != 0 and not row[1].endswith(f"/{SNAPSHOTS}"))

    def _shown(self, export_ids: list[int]) -> dict[int, Export]:
        """Return those of the exports that the server has."""
        replies = self._bus.call_all("DisplayExport", "q", [(export_id,) for export_id in export_ids])
        return {
            export_id: shown_export(reply)
            for export_id, reply in zip(export_ids, replies, strict=True)
            if not isinstance(reply, RefusedError)
        }

    def _as_asked(self, shown: Export) -> Export:
        """Return an export in force as it was asked for: with options that say what the export says, which the server does not show."""
        stored = stored_exports.stored(self._layout, shown.export_id)
        return stored if stored is not None and as_shown(stored) == shown else shown


def _single_address(addresses: Collection[str]) -> str | None:
    """Return the address to bind to; raises REFUSED where one is not an address."""
    for address in addresses:
        if "/" in address or prefix_of(address) is None or canonical_network(address) != address:
            message = f"{address[:80]!r} is not an IP address in canonical form"
            raise Problem(ProblemKind.REFUSED, message)
    return next(iter(addresses)) if len(addresses) == 1 else None
