"""The requests of Neutron's API that the plugin makes, one method each, on JSON as Neutron sends it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sharectl.network.base import NetworkExhaustedError, NetworkNotFoundError
from sharectl.network.openstack.answers import error_of
from sharectl.network.openstack.service import OpenStackService

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.model.canonical import JsonObject
    from sharectl.network.base import SecretResolver
    from sharectl.network.openstack.account import Account
    from sharectl.network.openstack.answers import Answer

DEVICE_OWNER: Final = "manila:share"
"""Manila's own mark: firewalls, quotas reports and cloud operators' tools that know its ports know sharectl's as well."""

_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_PORT_FIELDS: Final = (
    "id",
    "name",
    "description",
    "network_id",
    "device_id",
    "device_owner",
    "fixed_ips",
    "mac_address",
    "status",
    "created_at",
    "binding:vif_type",
)
_PAGE_SIZE: Final = 1000
_IDS_AT_ONCE: Final = 50  # an address line of about 2,000 characters, which every proxy lets through
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_NO_ADDRESS: Final = frozenset({"IpAddressGenerationFailure", "IpAddressGenerationFailureAllServices"})
_NO_QUOTA: Final = "OverQuota"
_ADDRESS_REFUSED: Final = frozenset(
    {"IpAddressAlreadyAllocated", "IpAddressInUse", "InvalidIpForSubnet", "InvalidIpForNetwork"}
)


class NeutronApi:
    """Neutron for one account; may be used by several threads at once."""

    def __init__(self, account: Account, resolve_secret: SecretResolver) -> None:
        """Make no connection yet."""
        self._service = OpenStackService(account, resolve_secret, "Neutron", "network", "/v2.0")

    def network(self, network_id: str) -> JsonObject:
        """Return a network; raises NetworkNotFoundError."""
        return self._one("network", network_id)

    def subnet(self, subnet_id: str) -> JsonObject:
        """Return a subnet; raises NetworkNotFoundError."""
        return self._one("subnet", subnet_id)

    def networks(self, network_ids: Iterable[str]) -> dict[str, JsonObject]:
        """Return networks by their ids, those that are there."""
        return self._several("networks", network_ids)

    def subnets(self, subnet_ids: Iterable[str]) -> dict[str, JsonObject]:
        """Return subnets by their ids, those that are there."""
        return self._several("subnets", subnet_ids)

    def ports(self, **filters: str) -> list[JsonObject]:
        """Return all ports of sharectl and Manila that match the filters, page by page."""
        return self._pages("ports", {"device_owner": DEVICE_OWNER, "fields": _PORT_FIELDS, **filters})

    def port(self, port_id: str) -> JsonObject:
        """Return a port; raises NetworkNotFoundError."""
        return self._one("port", port_id)

    def create_port(self, port: Mapping[str, Any], *, address: str | None) -> JsonObject | None:
        """Make a port; None where `address`, which it asked for, is not to be had.

        Raises NetworkExhaustedError where the subnet has no address left, or the project no port.
        """
        what = f"create a port on the network {port['network_id']}"
        answer = self._service.call("POST", "/ports", what, body={"port": port}, accept=(_BAD_REQUEST, _CONFLICT))
        if not answer.is_refusal:
            created: JsonObject = answer.body["port"]
            return created
        if address is not None and answer.kind in _ADDRESS_REFUSED:
            return None
        if answer.kind in _NO_ADDRESS:
            message = (
                f"no address is free in the Neutron network {port['network_id']}: {answer.message}; "
                "give its subnet a further allocation pool, or delete ports that nobody needs"
            )
            raise NetworkExhaustedError(message)
        if answer.kind == _NO_QUOTA:
            message = (
                f"the project's quota of Neutron ports is used up: {answer.message}; "
                "raise it (openstack quota set --ports), or delete ports that nobody needs"
            )
            raise NetworkExhaustedError(message)
        raise error_of(answer, "Neutron", what)

    def update_port(self, port_id: str, changes: Mapping[str, Any]) -> JsonObject:
        """Change a port and return it."""
        answer = self._service.call("PUT", f"/ports/{port_id}", f"change the port {port_id}", body={"port": changes})
        port: JsonObject = answer.body["port"]
        return port

    def delete_port(self, port_id: str) -> None:
        """Delete a port; one that is gone is no error."""
        self._service.call("DELETE", f"/ports/{port_id}", f"delete the port {port_id}", accept=(_NOT_FOUND,))

    def free_addresses(self, network_id: str, subnet_id: str) -> tuple[int, int] | None:
        """Return how many addresses of a subnet are free, and of how many; None where Neutron does not tell this account."""
        answer = self._optional(f"/network-ip-availabilities/{network_id}", "count free addresses")
        subnets = answer.body.get("network_ip_availability", {}).get("subnet_ip_availability", ())
        found = next((subnet for subnet in subnets if subnet["subnet_id"] == subnet_id), None)
        return None if found is None else (max(0, found["total_ips"] - found["used_ips"]), found["total_ips"])

    def free_ports(self) -> tuple[int, int] | None:
        """Return how many ports the project may still have, and of how many; None where that is unlimited or not told."""
        project_id = self._service.project_id()
        if project_id is None:
            return None
        answer = self._optional(f"/quotas/{project_id}/details.json", "read the project's quota")
        quota = answer.body.get("quota", {}).get("port", {"limit": -1})
        if quota["limit"] < 0:
            return None
        return max(0, quota["limit"] - quota["used"] - quota["reserved"]), quota["limit"]

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def _one(self, kind: str, identifier: str) -> JsonObject:
        if _ID.fullmatch(identifier) is None:
            message = f"{identifier[:80]!r} is no id of a Neutron {kind}; openstack {kind} list shows them"
            raise NetworkNotFoundError(message)
        what = f"read the {kind} {identifier}"
        answer = self._service.call("GET", f"/{kind}s/{identifier}", what, accept=(_NOT_FOUND,))
        if answer.is_refusal:
            message = f"Neutron has no {kind} {identifier}, or does not show it to this account; openstack {kind} list shows those it has"
            raise NetworkNotFoundError(message)
        found: JsonObject = answer.body[kind]
        return found

    def _several(self, kind: str, identifiers: Iterable[str]) -> dict[str, JsonObject]:
        wanted = sorted(identifiers)
        parts = (wanted[start : start + _IDS_AT_ONCE] for start in range(0, len(wanted), _IDS_AT_ONCE))
        return {found["id"]: found for part in parts for found in self._pages(kind, {"id": part})}

    def _pages(self, kind: str, filters: Mapping[str, Any]) -> list[JsonObject]:
        found: list[JsonObject] = []
        parameters = {**filters, "limit": str(_PAGE_SIZE)}
        while True:
            body = self._service.get(f"/{kind}", f"list {kind}", parameters)
            found += body[kind]
            if not any(link.get("rel") == "next" for link in body.get(f"{kind}_links", ())):
                return found
            parameters["marker"] = found[-1]["id"]

    def _optional(self, path: str, what: str) -> Answer:
        return self._service.call("GET", path, what, accept=(_FORBIDDEN, _NOT_FOUND))
