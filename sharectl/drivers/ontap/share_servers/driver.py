"""The driver of a backend with share servers: shares on the SVMs that it makes, one for each share network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.driver import OntapDriver
from sharectl.drivers.ontap.locations import servers_by_svm
from sharectl.drivers.ontap.pool_listing import list_pools
from sharectl.drivers.ontap.share_servers.checks import network_problems
from sharectl.drivers.ontap.share_servers.places import place_problems
from sharectl.drivers.ontap.share_servers.servers import ShareServers
from sharectl.drivers.ontap.share_servers.svm import Patience
from sharectl.model.access import CIFS, NFS, joined_protocols
from sharectl.model.observed import BackendReport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sharectl.drivers.base import SecretResolver
    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.settings import OntapSettings
    from sharectl.drivers.ontap.share_servers.settings import ShareServerSettings
    from sharectl.model.checks import ShareServerProblem
    from sharectl.model.observed import ObservedShareServer, PoolReport
    from sharectl.model.requests import ShareRef, ShareServerRef, ShareServerRequest
    from sharectl.model.share_networks import ShareNetworkSubnet


class ShareServerDriver(OntapDriver):
    """Shares on the SVMs of share networks."""

    def __init__(
        self,
        settings: OntapSettings,
        array: Array,
        servers: ShareServerSettings,
        resolve_secret: SecretResolver,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connect to nothing yet."""
        super().__init__(settings, array, sleep=sleep)
        patience = Patience(settings.array.operation_seconds, sleep=sleep)
        self._servers = ShareServers(array, servers, resolve_secret, patience)

    def report(self) -> BackendReport:
        """As in the contract; the identity is that of the cluster, which needs no preparation."""
        protocols = (NFS,) if self._settings.smb is None else (NFS, CIFS)
        capabilities = {
            "vendor_name": "NetApp",
            "storage_protocol": joined_protocols(protocols),
            "netapp_storage_family": "ontap_cluster",
            "driver_handles_share_servers": True,
            "mount_snapshot_support": False,
            "security_service_update_support": True,
            "ipv4_support": True,
            "ipv6_support": True,
            **self._snapshot_policies.capabilities(),
        }
        hindrances = tuple(self._hindrances())
        return BackendReport(self._identity(), protocols, capabilities, None, hindrances)

    def prepare(self) -> str:
        """As in the contract: everything that shares need is made with their share server."""
        return self._identity()

    def _identity(self) -> str:
        return str(self._array.cluster.get("uuid"))

    def pools(self) -> Sequence[PoolReport]:
        """As in the contract: the aggregates of the cluster, and sets of them."""
        return list_pools(self._array, self._pool_choice)

    def svm_of(self, share_server_id: str | None) -> str:
        """Return the SVM of a share server as its comment says now: by the name that it had, another tenant's SVM may go."""
        if share_server_id is None:
            message = f"backend {self._settings.backend} exports shares on share servers alone, and this one names none"
            raise DriverError(message)
        svm = {server: svm for svm, server in servers_by_svm(self._array).items()}.get(share_server_id)
        if svm is None:
            message = f"{self._array.name}: there is no SVM of the share server {share_server_id}"
            raise DriverError(message)
        return svm

    def place_of(self, backend_id: str) -> tuple[str, str]:
        """Return the SVM and the name of a volume."""
        svm, _, volume = backend_id.rpartition("/")
        return svm, volume

    def svms(self) -> Collection[str]:
        """Return the SVMs of all share servers."""
        return servers_by_svm(self._array)

    def delete_share(self, share: ShareRef) -> None:
        """As in the contract."""
        if self._is_qtree(share) and self._qtrees.delete(share.resource_id):
            return
        by_id = {server: svm for svm, server in servers_by_svm(self._array).items()}
        self._removal.delete(share.resource_id, by_id.get(share.share_server_id or ""))

    # Share servers

    def share_server_allocations(self) -> int:
        """As in the contract: one address for each home of LIFs."""
        return self._servers.allocations

    def subnet_problems(self, subnet: ShareNetworkSubnet) -> Sequence[ShareServerProblem]:
        """As in the contract: whether the array has ports on such a network, and the nodes and aggregates that the configuration names."""
        return [
            *network_problems(subnet),
            *place_problems(self._array, self._servers.homes, self._servers.root_aggregate),
        ]

    def list_share_servers(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShareServer]:
        """As in the contract."""
        return self._servers.list(resource_ids)

    def create_share_server(self, request: ShareServerRequest) -> ObservedShareServer:
        """As in the contract."""
        return self._seen_anew(self._servers.create(request))

    def update_share_server(self, request: ShareServerRequest) -> ObservedShareServer:
        """As in the contract."""
        return self._seen_anew(self._servers.update(request))

    def delete_share_server(self, server: ShareServerRef) -> None:
        """As in the contract."""
        self._servers.delete(server, lambda svm: self._qtrees.containers.remove_empty(svm, self._qtrees.qtrees))
        self._listing.forget_places()

    def _seen_anew(self, server: ObservedShareServer) -> ObservedShareServer:
        self._listing.forget_places()
        return server
