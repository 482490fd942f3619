"""The fixtures of the network plugins' tests."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from .cloud import NeutronCloud
from .neutron_server import NeutronServer
from .nova_server import NovaServer, Plugins
from .opening import open_plugin
from .proxy import FaultyProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import NetworkPlugin


@pytest.fixture(scope="session")
def neutron(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NeutronServer]:
    """Give a running Neutron without Keystone, one for all tests of a process; a test makes networks of its own in it."""
    server = NeutronServer(tmp_path_factory.mktemp("neutron"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def make_neutron(neutron: NeutronServer, tmp_path: Path) -> Iterator[Callable[..., NetworkPlugin]]:
    """Open plugins on the server with further configuration, by default of a state of the test's own, and close them after it."""
    opened = []
    lineage = str(uuid.uuid4())

    def make(backend: str = "backend", *, owner: str = lineage, **config: Any) -> NetworkPlugin:  # noqa: ANN401 - parts of documents have many types
        complete = {"auth": {"type": "none"}, "endpoint": neutron.url, **config}
        if complete["endpoint"] is None:
            del complete["endpoint"]
        opened.append(open_plugin("neutron", complete, tmp_path, backend=backend, owner=owner))
        return opened[-1]

    yield make
    for plugin in opened:
        plugin.close()


@pytest.fixture
def neutron_proxy(neutron: NeutronServer) -> Iterator[FaultyProxy]:
    """Give a proxy before Neutron."""
    proxy = FaultyProxy(neutron.port)
    yield proxy
    proxy.close()


@pytest.fixture
def cloud(
    neutron: NeutronServer,
    neutron_proxy: FaultyProxy,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> NeutronCloud:
    """Give a repository on that Neutron, without tenants yet."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "SHARECTL_DEBUG", "GITHUB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return NeutronCloud(tmp_path / "repository", neutron, neutron_proxy, capsys)


@pytest.fixture(scope="session")
def nova(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NovaServer]:
    """Give a running Nova without Keystone, one for all tests of a process; a test makes networks of its own in it."""
    server = NovaServer(tmp_path_factory.mktemp("nova"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def make_nova(nova: NovaServer, tmp_path: Path) -> Iterator[Plugins]:
    """Open plugins on Nova, all over one ledger, and close them after the test."""
    plugins = Plugins(nova, tmp_path)
    yield plugins
    plugins.close()


@pytest.fixture
def nova_proxy(nova: NovaServer) -> Iterator[FaultyProxy]:
    """Give a proxy before Nova."""
    proxy = FaultyProxy(nova.port)
    yield proxy
    proxy.close()


@pytest.fixture
def ipv6_only(nova: NovaServer) -> Iterator[ShareNetworkSubnet]:
    """Make a network without IPv4, with one fixed IP, and delete it after the test: Nova makes no further ones while it is there."""
    subnet = nova.new_network(vlan=None, cidr=None, cidr_v6="2001:db8:9::/64", fixed_ips=["2001:db8:9::77"])
    yield subnet
    nova.administrator("delete_network", network_id=subnet.nova_net_id)
