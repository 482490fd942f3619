"""Which share servers a storage host can have; pure, so that plans ask it too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection


class TenantProblem(NamedTuple):
    """Why a share server cannot be there, and the way out."""

    summary: str
    remedy: str


def service_problem(services: Collection[str]) -> TenantProblem | None:
    """Return what keeps a share server from joining these directory services."""
    if not services:
        return None
    return TenantProblem(
        f"the linux driver cannot join a directory service yet ({', '.join(services)})",
        "take the security services off the share network",
    )


def network_problem(described: Collection[str], network_type: str) -> TenantProblem | None:
    """Return what keeps a host whose settings describe networks of some types from being on one of this type."""
    if network_type in described:
        return None
    there = ", ".join(sorted(described)) or "none"
    return TenantProblem(
        f"the backend has no tenant network of the type {network_type!r}; its settings have {there} (tenantNetworks)",
        f"describe {network_type} in tenantNetworks of the backend, or choose another networkType",
    )
