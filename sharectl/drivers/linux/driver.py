"""The linux driver itself: the calls of the contract, as requests to the agent on the storage host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from sharectl.drivers.base import DriverError
from sharectl.drivers.linux import exports
from sharectl.drivers.linux.agent.volumes.contract import Resize
from sharectl.drivers.linux.agent.wire.tables import rows_of
from sharectl.drivers.linux.extra_specs import EXTRA_SPECS, extra_spec_problems
from sharectl.drivers.linux.share_checks import (
    export_name_problem,
    mapping_problems,
    offer_problems,
    protocol_problem,
    protocols_of,
)
from sharectl.model.access import AccessRule, protocols_in, rule_of
from sharectl.model.observed import (
    BackendReport,
    Hindrance,
    ObservedShare,
    ObservedShareServer,
    ObservedSnapshot,
    PoolReport,
    ScheduledSnapshots,
)
from sharectl.model.requests import RuleStatus
from sharectl.model.specs import SnapshotPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sharectl.drivers.linux.settings import LinuxSettings
    from sharectl.model.requests import ShareRef, ShareRequest, ShareServerRef, ShareServerRequest, SnapshotRef


class Agent(Protocol):
    """What the driver needs of the connection to the agent."""

    def call(self, method: str, params: Mapping[str, Any]) -> Any:  # noqa: ANN401 - each request has its own answer
        """Send a request and return the answer; raises the errors of sharectl.drivers.base."""

    def close(self) -> None:
        """End the agent."""


class LinuxDriver:
    """Shares on a Linux host; see docs/reference/linux-driver.md."""

    def __init__(
        self, settings: LinuxSettings, agent: Agent, resolve_secret: Callable[[Mapping[str, str]], str]
    ) -> None:
        """Connect to nothing yet; passwords are resolved when a request needs them."""
        self._settings = settings
        self._agent = agent
        self._resolve_secret = resolve_secret
        self._fence: Mapping[str, Any] | None = None
        self._meant = exports.smb_people_settings(settings.smb)
        self._options: dict[frozenset[tuple[str, str]], Mapping[str, Any]] = {}  # by extra specs: shares have few types

    @property
    def clones_within(self) -> Literal["pool", "backend"]:
        """A clone shares its data with the snapshot, so it has to be in the same file system."""
        return "pool"

    def report(self) -> BackendReport:
        """As in the contract."""
        protocols = protocols_of(self._settings)
        capabilities = {
            "storage_protocol": "_".join(protocols),
            "driver_handles_share_servers": self._settings.share_servers,
            "mount_snapshot_support": False,
            "size_enforced": True,
            "ipv4_support": True,
            "ipv6_support": True,
            "snapshot_policy_support": self._settings.supervisor != "none",
        }
        told = self._agent.call("report", {})
        hindrances = tuple(Hindrance(**hindrance) for hindrance in told["hindrances"])
        unreadable = told["unreadable_pools"]
        return BackendReport(told["identity"], protocols, capabilities, None, hindrances, unreadable)

    def prepare(self) -> str:
        """As in the contract."""
        return str(self._change("prepare", {}))

    def raise_fence(self, lineage: str, fence: int) -> None:
        """As in the contract."""
        self.raise_fence_beside(lineage, fence, ())

    def raise_fence_beside(self, lineage: str, fence: int, beside: Collection[int]) -> None:
        """As in the contract."""
        self._fence = {"lineage": lineage, "number": fence, "beside": sorted(beside)}
        self._change("raise_fence", {})

    def _change(self, method: str, params: Mapping[str, Any]) -> Any:  # noqa: ANN401 - each request has its own answer
        """Ask for something that changes the host, under the fence of the run."""
        return self._agent.call(method, params if self._fence is None else {**params, "fence": self._fence})

    def pools(self) -> Sequence[PoolReport]:
        """As in the contract; a pool that is down has a capacity of zero, so that nothing is placed there."""
        return [
            PoolReport(
                name=pool["name"],
                total_bytes=pool["total_bytes"],
                free_bytes=pool["free_bytes"],
                allocated_bytes=pool["allocated_bytes"],
                provisioned_bytes=pool["allocated_bytes"],
                thin_provisioning=True,
                capabilities={
                    "snapshot_support": "snapshots" in pool["features"],
                    "create_share_from_snapshot_support": "clones" in pool["features"],
                    "revert_to_snapshot_support": "reverts" in pool["features"],
                },
            )
            for pool in self._agent.call("pools", {})
        ]

    def list_shares(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:
        """As in the contract; a user whose password is not that of the manifest counts as one who has no access."""
        passwords, _ = self._passwords(self._settings.smb.users)
        ids = None if resource_ids is None else sorted(resource_ids)
        params = {"resource_ids": ids, "passwords": passwords, "people": self._settings.smb.people()}
        listed = self._agent.call("list_shares", params)
        return [self._with_those_of_server(_observed(share)) for share in rows_of(listed)]

    def _with_those_of_server(self, share: ObservedShare) -> ObservedShare:
        """Return an exported share with the settings that its server has for all: it exports nothing while it runs with others."""
        if share.export_settings is None:
            return share
        own = exports.server_settings(self._settings.nfs, self._settings.smb, share.protocol)
        if "CIFS" in protocols_in(share.protocol):
            keys = {rule.key.casefold() for rule in share.access}
            own |= {key: self._meant[key] for key in self._meant.keys() & keys}
        return share._replace(export_settings=tuple(sorted({**dict(share.export_settings), **own}.items())))

    def create_share(self, request: ShareRequest) -> ObservedShare:
        """As in the contract."""
        if self._settings.share_servers is (request.share_server_id is None):
            message = (
                "the backend makes share servers, and the share is for none"
                if self._settings.share_servers
                else ("the share is for a share server, and the backend makes none")
            )
            raise DriverError(message)
        own = {key: value for key, value in request.extra_specs.items() if key in EXTRA_SPECS}
        wrong = protocol_problem(self._settings, request.protocol)
        found = list(extra_spec_problems(own))
        found += offer_problems(self._settings, request.protocol, own, request.size_bytes)
        found += mapping_problems(self._settings, request.protocol, own, request.pool)
        wrong = next((problem.summary for problem in found), wrong)
        wrong = wrong or export_name_problem(self._settings, request.export_name, request.protocol)
        if wrong is not None:
            raise DriverError(wrong)
        return _observed(
            self._change(
                "create_share",
                {
                    "resource_id": request.resource_id,
                    "name": request.name,
                    "pool": request.pool,
                    "protocol": request.protocol,
                    "size_bytes": request.size_bytes,
                    "options": self._options_of(own),
                    "share_server_id": request.share_server_id,
                    "snapshot_id": None if request.snapshot is None else request.snapshot.resource_id,
                    "beside": request.beside,
                    "export_name": request.export_name,
                },
            )
        )

    def _options_of(self, extra_specs: Mapping[str, str]) -> Mapping[str, Any]:
        key = frozenset(extra_specs.items())
        if key not in self._options:
            self._options[key] = exports.options_of(self._settings, extra_specs)
        return self._options[key]

    def delete_share(self, share: ShareRef) -> None:
        """As in the contract."""
        self._change("delete_share", {"resource_id": share.resource_id})

    def update_access(
        self,
        share: ShareRef,
        rules: Collection[AccessRule],
        add: Collection[AccessRule],
        delete: Collection[AccessRule],
    ) -> Mapping[AccessRule, RuleStatus]:
        """As in the contract; the whole set is put in force each time, so the change itself does not matter."""
        del add, delete
        named = self._named(rules)
        passwords, problems = self._passwords(
            {user: reference for user, reference in self._settings.smb.users.items() if user.casefold() in named}
        )
        answer = self._change(
            "update_access",
            {
                "resource_id": share.resource_id,
                "protocol": share.protocol,
                "rules": [list(rule) for rule in sorted(rules)],
                "passwords": passwords,
                "problems": problems,
                "people": self._settings.smb.people(),
                "options": exports.options_told(share.export_settings),
            },
        )
        return {
            rule_of(outcome["rule"]): RuleStatus(outcome["status"], outcome["reason"]) for outcome in rows_of(answer)
        }

    def rename_export(self, share: ShareRef, export_name: str) -> None:
        """As in the contract."""
        wrong = export_name_problem(self._settings, export_name, share.protocol)
        if wrong is not None:
            raise DriverError(wrong)
        self._change("rename_export", {"resource_id": share.resource_id, "export_name": export_name})

    def change_protocols(self, share: ShareRef, protocol: str) -> None:
        """As in the contract."""
        wrong = protocol_problem(self._settings, protocol)
        if wrong is not None:
            raise DriverError(wrong)
        self._change("change_protocols", {"resource_id": share.resource_id, "protocol": protocol})

    def _named(self, rules: Collection[AccessRule]) -> set[str]:
        """Return the folded names of the users whom rules mean, members of groups among them."""
        users, groups = self._settings.smb.users, self._settings.smb.groups
        members = {name.casefold(): members for name, members in groups.items()}
        found: set[str] = set()
        for rule in rules:
            if rule.key == "user:*":
                found.update(user.casefold() for user in users)
            elif rule.access_type == "user":
                found.add(rule.access_to.rpartition("\\")[2].casefold())
            elif rule.access_type == "group":
                found.update(user.casefold() for user in members.get(rule.access_to.casefold(), ()))
        return found

    def extend_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        return self._resize(share, size_bytes, Resize.EXTEND)

    def shrink_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        return self._resize(share, size_bytes, Resize.SHRINK)

    def _resize(self, share: ShareRef, size_bytes: int, how: Resize) -> int | None:
        params = {"resource_id": share.resource_id, "size_bytes": size_bytes, "how": how.value}
        has_bytes = int(self._change("resize", params))
        return None if has_bytes == size_bytes else has_bytes

    def used_bytes(self, share: ShareRef) -> int:
        """As in the contract."""
        return int(self._agent.call("used_bytes", {"resource_id": share.resource_id}))

    def list_snapshots(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedSnapshot]:
        """As in the contract."""
        ids = None if resource_ids is None else sorted(resource_ids)
        listed = self._agent.call("list_snapshots", {"resource_ids": ids})
        return [ObservedSnapshot(**snapshot) for snapshot in rows_of(listed)]

    def create_snapshot(self, share: ShareRef, resource_id: str, name: str) -> ObservedSnapshot:
        """As in the contract."""
        params = {"share_id": share.resource_id, "resource_id": resource_id, "name": name}
        return ObservedSnapshot(**self._change("create_snapshot", params))

    def delete_snapshot(self, snapshot: SnapshotRef) -> None:
        """As in the contract."""
        self._change("delete_snapshot", {"resource_id": snapshot.resource_id})

    def schedule_snapshots(self, share: ShareRef, policy: SnapshotPolicy | None) -> None:
        """As in the contract."""
        plain = None if policy is None else policy.as_plain()
        self._change("schedule_snapshots", {"resource_id": share.resource_id, "policy": plain})

    def revert_share(self, share: ShareRef, snapshot: SnapshotRef) -> None:
        """As in the contract; clients cannot reach the share for a moment, and what they have open ends."""
        self._change("revert_share", {"resource_id": share.resource_id, "snapshot_id": snapshot.resource_id})

    def trash_share(self, share: ShareRef) -> None:
        """As in the contract."""
        self._change("trash_share", {"resource_id": share.resource_id})

    def restore_share(self, resource_id: str) -> ObservedShare:
        """As in the contract."""
        return _observed(self._change("restore_share", {"resource_id": resource_id}))

    def adopt_share(self, backend_id: str, resource_id: str, size_bytes: int | None) -> ObservedShare:
        """As in the contract; the protocol of the share is that of its first access rules."""
        params = {"backend_id": backend_id, "resource_id": resource_id, "size_bytes": size_bytes}
        return _observed(self._change("adopt_share", params))

    def share_server_allocations(self) -> int:
        """As in the contract: a share server has one address."""
        return 1

    def list_share_servers(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShareServer]:
        """As in the contract."""
        ids = None if resource_ids is None else sorted(resource_ids)
        listed = self._agent.call("list_share_servers", {"resource_ids": ids})
        return [_observed_server(server) for server in rows_of(listed)]

    def create_share_server(self, request: ShareServerRequest) -> ObservedShareServer:
        """As in the contract."""
        params = {
            "resource_id": request.resource_id,
            "name": request.name,
            "share_network": request.share_network,
            "allocations": [allocation.as_plain() for allocation in request.allocations],
            "security_services": [service.name for service in request.security_services],
        }
        return _observed_server(self._change("create_share_server", params))

    def delete_share_server(self, server: ShareServerRef) -> None:
        """As in the contract."""
        self._change("delete_share_server", {"resource_id": server.resource_id})

    def close(self) -> None:
        """As in the contract; the servers on the host go on."""
        self._agent.close()

    def _passwords(self, users: Mapping[str, Mapping[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
        """Return the passwords of the users by folded name, and the reasons for those that cannot be had."""
        passwords: dict[str, str] = {}
        problems: dict[str, str] = {}
        for user, reference in users.items():
            try:
                passwords[user.casefold()] = self._resolve_secret(reference)
            except DriverError as error:
                problems[user.casefold()] = f"the password of {user} cannot be had: {error}"
        return passwords, problems


def _observed_server(server: Mapping[str, Any]) -> ObservedShareServer:
    return ObservedShareServer(**{**server, "ip_addresses": tuple(server["ip_addresses"])})


def _observed(share: Mapping[str, Any]) -> ObservedShare:
    settings, policy, scheduled = share["export_settings"], share["snapshot_policy"], share["scheduled_snapshots"]
    return ObservedShare(
        **{
            **share,
            "access": tuple(map(rule_of, share["access"])),
            "export_locations": tuple(share["export_locations"]),
            "export_settings": None if settings is None else tuple(settings.items()),
            "snapshot_policy": None if policy is None else SnapshotPolicy.from_plain(policy),
            "scheduled_snapshots": None if scheduled is None else ScheduledSnapshots(**scheduled),
        }
    )
