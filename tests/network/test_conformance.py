"""The plugin that needs no service, and the ledger of the tests, pass the suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.model.share_networks import ShareNetworkSubnet
from sharectl.network.testing import AllocationLedgerConformance, NetworkPluginConformance
from tests.network.ledger import MemoryLedger

from .opening import open_plugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sharectl.model.networks import NetworkAllocation
    from sharectl.network.base import AllocationLedger, NetworkPlugin


class TestMemoryLedger(AllocationLedgerConformance):
    """The ledger in memory."""

    @pytest.fixture
    def make_ledger(self) -> Callable[[], AllocationLedger]:
        """Give the same ledger to all."""
        ledger = MemoryLedger()
        return lambda: ledger


class TestStandalone(NetworkPluginConformance):
    """The standalone plugin with a subnet that describes itself."""

    capacity = 3

    @pytest.fixture
    def make_plugin(self, tmp_path: Path) -> Callable[[str], NetworkPlugin]:
        """Open plugins over one ledger."""
        self.ledger = MemoryLedger()
        return lambda backend: open_plugin("standalone", {}, tmp_path, backend=backend, ledger=self.ledger)

    @pytest.fixture
    def subnet(self) -> ShareNetworkSubnet:
        """Describe a VLAN."""
        return ShareNetworkSubnet(cidr="10.20.0.0/24", gateway="10.20.0.1", network_type="vlan", segmentation_id=100)

    @pytest.fixture
    def small_subnet(self) -> ShareNetworkSubnet:
        """Describe six hosts, of which one is the router and two are excluded."""
        return ShareNetworkSubnet(
            cidr="10.30.0.0/29", gateway="10.30.0.1", excluded=("10.30.0.2", "10.30.0.6", "10.30.0.1")
        )

    def take_away(self, allocation: NetworkAllocation) -> None:
        """Strike it out of the ledger."""
        self.ledger.release(allocation.allocation_id)


class TestStandaloneIPv6(TestStandalone):
    """The same with a /64, which nobody can count."""

    @pytest.fixture
    def subnet(self) -> ShareNetworkSubnet:
        """Describe a VXLAN."""
        return ShareNetworkSubnet(cidr="2001:db8:1::/64", network_type="vxlan", segmentation_id=5000, mtu=1450)

    @pytest.fixture
    def small_subnet(self) -> ShareNetworkSubnet:
        """Allow three addresses of a /64."""
        ranges = ("2001:db8:2::10-2001:db8:2::11", "2001:db8:2::20")
        return ShareNetworkSubnet(cidr="2001:db8:2::/64", gateway="2001:db8:2::1", allocation_ranges=ranges)
