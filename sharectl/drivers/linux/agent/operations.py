"""One backend on the storage host: the requests that the agent answers, and where each is done."""

from __future__ import annotations

import os
import uuid
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.access import Access
from sharectl.drivers.linux.agent.access_by_smb import Credentials
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind, rule_in
from sharectl.drivers.linux.agent.creation import Creation
from sharectl.drivers.linux.agent.host.daemons import locked
from sharectl.drivers.linux.agent.host.namespaces import TenantNetworks
from sharectl.drivers.linux.agent.host.system_errors import told_as
from sharectl.drivers.linux.agent.listing import Listed, ListedSnapshot, Listing, listed_snapshot
from sharectl.drivers.linux.agent.locks import changes_lock, resource_locked
from sharectl.drivers.linux.agent.nfs import treatment
from sharectl.drivers.linux.agent.records import Records
from sharectl.drivers.linux.agent.restoring import Restoring
from sharectl.drivers.linux.agent.rights import RuleOutcome
from sharectl.drivers.linux.agent.schedules import Schedules
from sharectl.drivers.linux.agent.servers import ServerRoom
from sharectl.drivers.linux.agent.share_servers import ListedServer, ShareServers
from sharectl.drivers.linux.agent.shares import Shares
from sharectl.drivers.linux.agent.smb.people import people_in
from sharectl.drivers.linux.agent.snapshots import Snapshots
from sharectl.drivers.linux.agent.versions import Versions
from sharectl.drivers.linux.agent.volumes.contract import Capacity, Resize
from sharectl.drivers.linux.agent.volumes.pools import PoolRoom
from sharectl.drivers.linux.agent.watching import Watch
from sharectl.drivers.linux.agent.wire.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.drivers.linux.agent.volumes.contract import VolumePool

_IDENTITY: Final = "identity"
_BEFORE_PREPARE: Final = frozenset(
    {"report", "prepare", "pools", "raise_fence", "list_shares", "list_snapshots", "list_share_servers"}
)
_WITHOUT_EFFECT: Final = (_BEFORE_PREPARE | {"used_bytes", "restore"}) - {"prepare", "raise_fence"}
_ALONE: Final = _WITHOUT_EFFECT | {"raise_fence"}
_UNLOCKED: Final = nullcontext()


def open_backend(settings: Mapping[str, Any], archive: str | None = None) -> Backend:
    """Return the backend of these settings; nothing is touched yet. `archive` is the file that the agent's code is from, where it is one."""
    return Backend(settings, archive)


class Backend:
    """Answers requests of the driver; safe from many threads. Parameters and answers are JSON values."""

    def __init__(self, settings: Mapping[str, Any], archive: str | None = None) -> None:
        """Touch nothing; the settings are those of `sharectl.drivers.linux.settings`, as plain values."""
        self._root: str = settings["root"]
        self._records = Records(os.path.join(self._root, "records.sqlite"))  # noqa: PTH118 - paths are text everywhere in the agent
        self._pools = PoolRoom(settings["pools"], self._records)
        self._room = ServerRoom(self._root, settings, self._records)
        self._access = Access(self._room, self._pools, self._records)
        options = {**treatment.of_settings(settings["nfs"]), **settings["smb"].get("treatment", {})}
        self._creation = Creation(self._records, self._pools, self._access, options)
        versions = Versions(self._records, self._pools, self._room, self._access)
        self._schedules = Schedules(self._root, self._records, self._pools, versions)
        self._shares = Shares(self._records, self._pools, self._access, self._schedules, versions)
        self._snapshots = Snapshots(self._records, self._pools, self._access, versions)
        self._pools.sweep = self._shares.sweep
        networks = TenantNetworks(settings["tenant_networks"], settings["namespace"])
        self._servers = ShareServers(self._records, networks, self._room, self._access)
        self._listing = Listing(self._records, self._pools, self._access, self._room)
        self._restoring = Restoring(self._root, self._records, self._room, self._access, self._servers)
        self._watch = Watch(settings, archive)
        self._access.await_restart = self._await_restart
        self._methods: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "report": self._report,
            "prepare": self._prepare,
            "raise_fence": lambda _: None,
            "pools": self._report_pools,
            "list_shares": self._list_shares,
            "create_share": self._create_share,
            "delete_share": lambda p: self._shares.delete(p["resource_id"]),
            "update_access": self._update_access,
            "rename_export": lambda p: self._shares.rename_export(p["resource_id"], p["export_name"]),
            "change_protocols": lambda p: self._shares.change_protocols(p["resource_id"], p["protocol"]),
            "resize": lambda p: self._shares.resize(p["resource_id"], p["size_bytes"], Resize(p["how"])),
            "used_bytes": lambda p: self._shares.used_bytes(p["resource_id"]),
            "list_snapshots": lambda p: table(ListedSnapshot, self._listing.snapshots(p["resource_ids"])),
            "create_snapshot": lambda p: listed_snapshot(
                self._snapshots.create(p["share_id"], p["resource_id"], p["name"])
            )._asdict(),
            "delete_snapshot": lambda p: self._snapshots.delete(p["resource_id"]),
            "revert_share": lambda p: self._snapshots.revert(p["resource_id"], p["snapshot_id"]),
            "schedule_snapshots": lambda p: self._schedules.set_policy(
                p["resource_id"], p["policy"], datetime.now(tz=UTC)
            ),
            "trash_share": lambda p: self._shares.trash(p["resource_id"]),
            "restore_share": lambda p: self._listing.share(self._shares.restore(p["resource_id"]))._asdict(),
            "adopt_share": lambda p: self._listing.share(
                self._creation.adopt(p["backend_id"], p["resource_id"], p["size_bytes"])
            )._asdict(),
            "list_share_servers": lambda p: table(ListedServer, self._servers.list(p["resource_ids"])),
            "create_share_server": lambda p: self._servers.create(p)._asdict(),
            "delete_share_server": lambda p: self._servers.delete(p["resource_id"]),
            "restore": lambda _: self.restore(),
        }

    def call(self, method: str, params: Mapping[str, Any]) -> Any:  # noqa: ANN401 - each request has its own answer
        """Do what `method` says and return a JSON value. Raises Problem."""
        handler, is_prepared = self._methods.get(method), self._records.exists()
        if handler is None:
            message = f"the agent knows no request {method!r}; is it of another version?"
            raise Problem(ProblemKind.REFUSED, message)
        if method not in _BEFORE_PREPARE and not is_prepared:
            message = f"{self._root} on the storage host holds nothing of this backend; it was never prepared, or its disk is not mounted"
            raise Problem(ProblemKind.UNAVAILABLE, message)
        resource_id = params.get("resource_id") if is_prepared else None
        with (
            told_as(f"{method} on the storage host"),
            # Else a change could meet the servers half restored.
            locked(changes_lock(self._root), shared=True) if is_prepared and method not in _ALONE else _UNLOCKED,
            # An agent whose connection was lost may still be at work on the same request.
            resource_locked(self._root, resource_id) if resource_id is not None else _UNLOCKED,
        ):
            if is_prepared and method not in _WITHOUT_EFFECT:
                self._expect_fence(params)
                if method != "raise_fence":
                    self._room.retire_unused()
                self._watch.ensure()
            return handler(params)

    def restore(self) -> list[str]:
        """Bring back what should be in force and is not; return what could not be done, for people."""
        return self._restoring.restore()

    def keep_snapshots(self, now: datetime) -> list[str]:
        """Take the snapshots that are due, and let go of those that are too many; return what could not be done, for people."""
        return self._schedules.keep(now)

    def has_ended(self) -> bool:
        """Tell whether a server that was started does not live."""
        return self._restoring.has_ended()

    def _expect_fence(self, params: Mapping[str, Any]) -> None:
        """Remember the fence under which a change is asked for. Raises Problem where a later run has raised a higher one."""
        fence = params.get("fence")
        if fence is None:
            return
        found = self._records.raise_fence(fence["lineage"], fence["number"], fence.get("beside", ()))
        if found is not None:
            message = (
                f"the storage host works for a later run of this state (fence {found}, this run has {fence['number']}); nothing was "
                "done there. If no other run is at work, this state is an older copy of the one that was used last"
            )
            raise Problem(ProblemKind.FENCED, message)

    def close(self) -> None:
        """Let go of files; the servers go on."""
        self._records.close()

    def _report(self, _params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "identity": self._records.value(_IDENTITY) if self._records.exists() else None,
            "hindrances": [
                hindrance._asdict()
                for hindrance in (
                    *self._access.hindrances(),
                    *self._watch.hindrances(),
                    *self._schedules.hindrances(is_watched=self._watch.is_awake()),
                )
            ],
            "unreadable_pools": self._unreadable_pools(),
        }

    def _unreadable_pools(self) -> dict[str, str]:
        """Return the pools in use that cannot be seen, with the reason; none where no pool can, which is told of the whole backend."""
        pinned = self._records.pool_identities() if self._records.exists() else {}
        try:
            lost = self._pools.readable(pinned).lost
        except Problem:
            return {}
        return {name: reason for name, reason in lost.items() if name in pinned}

    def _prepare(self, params: Mapping[str, Any]) -> str:
        if not self._records.exists():
            os.makedirs(self._root, mode=0o711, exist_ok=True)  # noqa: PTH103 - as above
        self._records.create()
        self._expect_fence(params)
        known = self._records.value(_IDENTITY)
        if known is not None:
            return known
        for pool in self._pools:
            self._pools.usable(pool.name)
        return self._records.set_once(_IDENTITY, str(uuid.uuid4()))

    def _report_pools(self, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
        is_prepared = self._records.exists()
        allocated = self._records.allocated_bytes() if is_prepared else {}
        pinned = self._records.pool_identities() if is_prepared else {}
        return [
            {
                "name": pool.name,
                **self._capacity(pool, pinned.get(pool.name))._asdict(),
                "allocated_bytes": allocated.get(pool.name, 0),
                "features": sorted(pool.features),
            }
            for pool in self._pools
        ]

    def _capacity(self, pool: VolumePool, pinned: str | None) -> Capacity:
        """Return the capacity of a pool; none for one that is down, so that nothing is placed there.

        One that was never there is told, where no other pool is in use.
        """
        if pinned is None and self._records.exists() and self._records.pool_identities():
            with suppress(Problem):
                return self._pools.expected_capacity(pool.name)
            return Capacity(0, 0)
        if pinned is None:
            return self._pools.expected_capacity(pool.name)
        try:
            is_readable = self._pools.is_readable(pool, pinned)
            return pool.capacity() if is_readable else self._pools.expected_capacity(pool.name)
        except Problem as problem:
            if problem.kind is not ProblemKind.UNAVAILABLE:
                raise
            return Capacity(0, 0)

    def _await_restart(self) -> None:
        if self._watch.is_awake():
            self._restoring.await_restart()

    def _list_shares(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return table(
            Listed, self._listing.shares(params["resource_ids"], params["passwords"], people_in(params["people"]))
        )

    def _create_share(self, params: Mapping[str, Any]) -> dict[str, Any]:
        row, was_there = self._creation.create(params)
        return (self._listing.share(row) if was_there else self._listing.new_share(row))._asdict()

    def _update_access(self, params: Mapping[str, Any]) -> dict[str, Any]:
        credentials = Credentials(params["passwords"], params["problems"], people_in(params["people"]))
        rules = [rule_in(rule) for rule in params["rules"]]
        statuses = self._shares.apply_access(
            params["resource_id"], params["protocol"], rules, credentials, params.get("options") or {}
        )
        return table(RuleOutcome, (RuleOutcome(rule, *status) for rule, status in statuses.items()))
