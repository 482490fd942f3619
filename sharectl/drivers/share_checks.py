"""What a factory may tell of shares, extra specs and storage before anything is called: optional, pure, and without a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sharectl.model.access import AccessLevel, AccessRule
from sharectl.model.checks import ShareCheck, ShareProblem, ShareServerProblem, StoragePlace, WantedShare
from sharectl.model.diagnostics import did_you_mean
from sharectl.model.quantities import format_size
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sharectl.drivers.base import Capability, DriverFactory
    from sharectl.model.backends import BackendSpec
    from sharectl.model.share_networks import ShareServerSpec

__all__ = [
    "ChecksExtraSpecs",
    "ChecksServerChanges",
    "ChecksShareServers",
    "ChecksShares",
    "NamesScopes",
    "NamesShareFolders",
    "NamesStorage",
    "ShareCheck",
    "ShareProblem",
    "ShareServerProblem",
    "StoragePlace",
    "TellsCapabilities",
    "WantedShare",
    "configured_capabilities",
    "kept_out",
    "smaller_than_snapshot",
    "unknown_extra_spec",
]


@runtime_checkable
class ChecksShares(Protocol):
    """A factory that can tell without a connection what its driver's calls would refuse for good.

    What the check finds right, `create_share`, `extend_share` and `update_access` never refuse for what the share is or who may reach
    it; what they refuse for that, the check names. The way to keep the two alike is one function for both.
    """

    def share_check(self, backend: BackendSpec) -> ShareCheck:
        """Return the check of shares on this backend, whose configuration meets the schema; made once, asked for many shares."""
        ...


@runtime_checkable
class ChecksShareServers(Protocol):
    """A factory that can tell without a connection which share servers its driver would refuse for good."""

    def share_server_problems(
        self, backend: BackendSpec, server: ShareServerSpec, protocols: Collection[str]
    ) -> Sequence[ShareServerProblem]:
        """Return what keeps a server in this subnet, with these directory services, from being there for shares of these protocols.

        What only the network service knows of the subnet is None, and no problem.
        """
        ...


@runtime_checkable
class ChecksServerChanges(Protocol):
    """A factory that can tell without a connection which changes of a share server its driver would refuse while shares are on it."""

    def share_server_change_problems(
        self, backend: BackendSpec, before: ShareServerSpec, after: ShareServerSpec, protocols: Collection[str]
    ) -> Sequence[ShareServerProblem]:
        """Return what keeps a server from becoming `after` while shares of these protocols are on it; what it cannot be at all is told elsewhere."""
        ...


@runtime_checkable
class ChecksExtraSpecs(Protocol):
    """A factory whose driver reads extra specs of its own, scoped by the driver's name (`acme:tier`)."""

    def extra_spec_problems(self, extra_specs: Mapping[str, str]) -> Sequence[ShareProblem]:
        """Return what the driver cannot make sense of among those with its scope: misspelt keys, values that mean nothing."""
        ...


@runtime_checkable
class NamesScopes(Protocol):
    """A factory whose driver reads extra specs under other scopes than its name: those that types written for Manila have."""

    @property
    def extra_spec_scopes(self) -> tuple[str, ...]:
        """Return all scopes that it reads, its own name too where it reads that."""
        ...


@runtime_checkable
class TellsCapabilities(Protocol):
    """A factory whose capabilities depend on the configuration: what holds for this backend, in place of `capabilities`."""

    def capabilities_of(self, backend: BackendSpec) -> frozenset[Capability]:
        """Return the optional capabilities of the driver that `open` would return."""
        ...


def configured_capabilities(factory: DriverFactory, backend: BackendSpec) -> frozenset[Capability]:
    """Return what the factory's driver can do on a backend whose configuration meets the schema, without opening it."""
    return factory.capabilities_of(backend) if isinstance(factory, TellsCapabilities) else factory.capabilities


@runtime_checkable
class NamesStorage(Protocol):
    """A factory that can tell where the storage of a backend is, so that two backends do not share it unnoticed."""

    def storage_places(self, backend: BackendSpec, base_directory: str) -> Sequence[StoragePlace]:
        """Return the places of a configuration that meets the schema; relative paths of this machine are under `base_directory`."""
        ...


@runtime_checkable
class NamesShareFolders(Protocol):
    """A factory that can tell where the folders of shares are, so that one is found by its path on the storage host.

    Its NFS exports squash root and want ports below 1024, unless `export_settings` say otherwise.
    """

    def share_folders(self, backend: BackendSpec, base_directory: str) -> Mapping[str, StoragePlace]:
        """Return the folders that hold shares, as `storage_places`, by how the `backend_id` of a share in one begins: `NAME` in it follows."""
        ...


def unknown_extra_spec(key: str, driver: str, known: Sequence[str]) -> ShareProblem:
    """Return the problem of a scoped extra spec that the driver does not know; `known` are those that it does."""
    guess = did_you_mean(key, known)
    if not known:
        return ShareProblem(
            ("extra_specs", key), f"the {driver} driver reads no extra specs of its own", f"remove {key}"
        )
    remedy = guess or f"the {driver} driver knows {', '.join(known)}"
    return ShareProblem(("extra_specs", key), f"the {driver} driver knows no extra spec {key!r}", remedy)


def smaller_than_snapshot(snapshot: str, snapshot_bytes: int, size_bytes: int) -> str:
    """Return why no clone of this size can be made."""
    return (
        f"a share of {format_size(size_bytes)} cannot be made from the snapshot {snapshot!r}, "
        f"which is of a share of {format_size(snapshot_bytes)}"
    )


def taken_since(name: str) -> str:
    """Return why a share cannot have its name: another one has been made under it."""
    return f"a share called {name!r} has been made there since the plan was made; plan again"


def kept_out(statuses: Mapping[AccessRule, RuleStatus]) -> dict[AccessRule, RuleStatus]:
    """Return the rules that must not be given because of those that were refused.

    Where one that keeps somebody out, or has options, is refused, nobody gets in by a wider one.
    """
    restricting = [
        rule
        for rule, status in statuses.items()
        if status.status != "active" and (rule.access_level == AccessLevel.NONE or rule.options)
    ]
    if not restricting:
        return {}
    granted = [
        rule for rule, status in statuses.items() if status.status == "active" and rule.access_level != AccessLevel.NONE
    ]
    reason = f"it would let in whom {restricting[0].key} restricts, which cannot be put in force"
    return dict.fromkeys(granted, RuleStatus("error", reason))
