"""What drivers are asked for: requests, references to existing resources, and the outcome of an access rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sharectl.model.frozen import NamedTuple, dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.networks import NetworkAllocation
    from sharectl.model.share_networks import SecurityServiceSpec


@dataclass(frozen=True, slots=True)
class ShareRequest:
    """A share to be made. `name` is what people call it, safe in a path and in an export; the driver may add to it if it is taken.

    `beside` are the resource ids of the shares that may have the name already, None where any may: another one, made since the
    plan was, is a ConflictError.
    `extra_specs` come from the share type. `snapshot` is set for a clone. `share_server_id` is the `resource_id` of the share
    server that is to export it, None where the backend's own server does. Under `export_name` clients are to see it, and under no other: it is
    set for drivers alone that can do so (see `NamesExports`).
    """

    resource_id: str
    name: str
    size_bytes: int
    protocol: str
    pool: str
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    snapshot: SnapshotRef | None = None
    share_server_id: str | None = None
    beside: tuple[str, ...] | None = None
    export_name: str | None = None

    def is_in_the_way(self, holder: str) -> bool:
        """Tell whether the share that holds the name must not have it."""
        return self.beside is not None and holder not in {*self.beside, self.resource_id}


@dataclass(frozen=True, slots=True)
class ShareRef:
    """A share that exists, as the state knows it.

    `export_settings` are those that its export is to have when its access is updated (see `SettlesExports`); None keeps what it has.
    """

    resource_id: str
    backend_id: str
    name: str
    pool: str
    protocol: str
    size_bytes: int
    share_server_id: str | None = None
    export_settings: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A snapshot that exists, as the state knows it."""

    resource_id: str
    backend_id: str
    name: str
    share_resource_id: str
    share_backend_id: str


class RuleStatus(NamedTuple):
    """What became of one rule: `active`, or `error` with a reason."""

    status: Literal["active", "error"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ShareServerRequest:
    """A share server as it should be. `name` is `NETWORK-SUBNET`, safe in a path; another backend may have one of the same name.

    `allocations` are the addresses that it answers on, as many as `share_server_allocations` said, with all that belongs to its network.
    `former_security_services` are those that it had joined when its state was last recorded: what it leaves is left with their accounts.
    """

    resource_id: str
    name: str
    share_network: str
    allocations: tuple[NetworkAllocation, ...]
    security_services: tuple[SecurityServiceSpec, ...] = ()
    former_security_services: tuple[SecurityServiceSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class ShareServerRef:
    """A share server that exists, as the state knows it; if it was never finished, `backend_id` is empty and `allocations` may be.

    `security_services` are those that it joined, or was to join.
    """

    resource_id: str
    backend_id: str
    name: str
    allocations: tuple[NetworkAllocation, ...] = ()
    security_services: tuple[SecurityServiceSpec, ...] = ()
