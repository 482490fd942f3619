"""The requests of Nova's API that the plugin makes, one method each."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.frozen import dataclass
from sharectl.network.base import NetworkError, NetworkNotFoundError, NetworkUnavailableError
from sharectl.network.openstack.service import OpenStackService, error_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.model.canonical import JsonObject
    from sharectl.network.base import SecretResolver
    from sharectl.network.openstack.account import Account
    from sharectl.network.openstack.service import Answer

_MICROVERSION: Final = "2.4"
"""The first (Liberty) that tells whether a fixed IP is reserved; those from 2.36 on have no fixed IPs."""

_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_NO_SUCH_THING: Final = "itemNotFound"


@dataclass(frozen=True, slots=True)
class FixedIp:
    """What Nova says of one address: whether it is reserved, and which of Nova's servers has it.

    `cidr` is that of the IPv4 part of its network, as Nova writes it. Who reserved an address Nova does not know.
    """

    is_reserved: bool
    server: str | None
    cidr: str

    @property
    def is_free(self) -> bool:
        """Whether nobody has the address, as far as Nova shows."""
        return not self.is_reserved and self.server is None

    @property
    def is_kept(self) -> bool:
        """Whether the address is reserved, and none of Nova's servers has it."""
        return self.is_reserved and self.server is None


class NovaApi:
    """Nova for one account; may be used by several threads at once."""

    def __init__(self, account: Account, resolve_secret: SecretResolver) -> None:
        """Make no connection yet."""
        self._service = OpenStackService(account, resolve_secret, "Nova", "compute", "/v2.1", _MICROVERSION)

    def network(self, network_id: str) -> JsonObject:
        """Return a network; raises NetworkNotFoundError."""
        if _ID.fullmatch(network_id) is None:
            message = f"{network_id[:80]!r} is not the id of a Nova network; nova network-list shows them"
            raise NetworkNotFoundError(message)
        answer = self._ask("GET", f"/os-networks/{network_id}", f"read the network {network_id}")
        if answer is None:
            message = f"Nova has no network {network_id}; nova network-list shows those it has"
            raise NetworkNotFoundError(message)
        return _content(answer, "network")

    def fixed_ip(self, address: str) -> FixedIp | None:
        """Return what Nova says of an address; None if it is not one of Nova's fixed IPs."""
        answer = self._ask("GET", f"/os-fixed-ips/{address}", f"read the fixed IP {address}")
        if answer is None:
            return None
        found = _content(answer, "fixed_ip")
        if "reserved" not in found:
            raise NetworkError(_too_old())
        return FixedIp(found["reserved"], found.get("hostname") or found.get("host"), str(found["cidr"]))

    def reserve(self, address: str) -> bool:
        """Reserve an address, even if it is reserved already; return False if it is not one of Nova's."""
        return self._act(address, "reserve")

    def unreserve(self, address: str) -> None:
        """Undo the reservation of an address; it is not an error if it is not reserved, or no longer one of Nova's."""
        self._act(address, "unreserve")

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def _act(self, address: str, action: str) -> bool:
        what = f"{action} the fixed IP {address}"
        return self._ask("POST", f"/os-fixed-ips/{address}/action", what, {action: None}) is not None

    def _ask(self, method: str, path: str, what: str, body: Mapping[str, Any] | None = None) -> Answer | None:
        """Return the answer, or None where Nova does not have the thing that the path names."""
        accept = (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_ACCEPTABLE, HTTPStatus.GONE)
        answer = self._service.call(method, path, what, body=body, accept=accept)
        if not answer.is_refusal:
            return answer
        if answer.status == HTTPStatus.NOT_ACCEPTABLE:
            raise NetworkError(_too_old())
        if answer.status == HTTPStatus.GONE:
            message = "this Nova has no Nova network any more (it went with release 18, Rocky); use the plugin neutron"
            raise NetworkError(message)
        if answer.kind == _NO_SUCH_THING:
            return None
        # A path that nobody serves says nothing of the thing: it must not count as gone.
        message = f"{error_of(answer, 'Nova', what)}; see whether endpoint is Nova's address with the version v2.1"
        raise NetworkError(message)


def _content(answer: Answer, name: str) -> JsonObject:
    found = answer.body.get(name)
    if not isinstance(found, dict):
        message = f"what answers in Nova's place (HTTP {answer.status}) sends no {name}; see whether endpoint is Nova's address"
        raise NetworkUnavailableError(message)
    return found


def _too_old() -> str:
    return (
        f"Nova does not tell which fixed IPs are reserved: it must speak API version 2.1 with microversion {_MICROVERSION} "
        "(release Liberty or later); correct endpoint if it is that of version 2"
    )
