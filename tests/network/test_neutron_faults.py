"""The Neutron plugin when Neutron refuses, breaks, is slow or gone: nothing leaks, and the next attempt converges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharectl.network.base import (
    NetworkError,
    NetworkExhaustedError,
    NetworkNotFoundError,
    NetworkTransientError,
    NetworkUnavailableError,
)
from sharectl.network.testing import new_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import NetworkPlugin

    from .neutron_server import NeutronServer
    from .proxy import FaultyProxy

    PluginMaker = Callable[..., NetworkPlugin]


@pytest.fixture
def plugin(make_neutron: PluginMaker) -> NetworkPlugin:
    """Give a plugin with the default configuration."""
    return make_neutron()


@pytest.fixture
def subnet(neutron: NeutronServer) -> ShareNetworkSubnet:
    """Make a VLAN with one subnet."""
    return neutron.new_subnet(neutron.new_network())


@pytest.fixture
def proxy(neutron_proxy: FaultyProxy) -> FaultyProxy:
    """Give the proxy before Neutron."""
    return neutron_proxy


class TestFaults:
    """Whatever Neutron does in the middle: a typed error that says what to do, nothing leaked, and the next attempt converges."""

    @pytest.fixture
    def behind(self, make_neutron: PluginMaker, proxy: FaultyProxy) -> NetworkPlugin:
        """Give a plugin that reaches Neutron through the proxy."""
        return make_neutron(endpoint=proxy.url, timeoutSeconds=30)

    def test_a_quota_that_is_used_up(
        self, neutron: NeutronServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Is exhaustion; nothing is made."""
        details = neutron.api("GET", "/quotas/fake_project_id/details.json")["quota"]["port"]
        neutron.api("PUT", "/quotas/fake_project_id", {"quota": {"port": details["used"]}})
        try:
            with pytest.raises(NetworkExhaustedError, match=r"quota .* used up: .*openstack quota set --ports"):
                plugin.allocate(new_request(subnet))
        finally:
            neutron.api("DELETE", "/quotas/fake_project_id")
        assert neutron.ports_on(subnet) == []
        plugin.allocate(new_request(subnet))

    @pytest.mark.parametrize("effect", ["cut", "lose"])
    @pytest.mark.parametrize(("method", "path"), [("GET", "/ports"), ("GET", "/networks"), ("POST", "/ports")])
    def test_a_connection_that_breaks(  # noqa: PLR0913, PLR0917 - a case has as many parts
        self,
        neutron: NeutronServer,
        behind: NetworkPlugin,
        proxy: FaultyProxy,
        subnet: ShareNetworkSubnet,
        method: str,
        path: str,
        effect: str,
    ) -> None:
        """Before the request was carried out or after: the next attempt leaves one port."""
        request = new_request(subnet)
        proxy.add(method, path, effect)
        with pytest.raises(NetworkUnavailableError, match="cannot be reached"):
            behind.allocate(request)
        allocation = behind.allocate(request)
        assert [port["id"] for port in neutron.ports_on(subnet)] == [allocation.port_id]
        assert list(behind.list_allocations()) == [allocation]

    def test_a_request_that_is_carried_out_after_it_was_given_up(
        self, neutron: NeutronServer, make_neutron: PluginMaker, proxy: FaultyProxy, subnet: ShareNetworkSubnet
    ) -> None:
        """Its port is one too many, and is gone after the next attempt."""
        request = new_request(subnet)
        impatient = make_neutron(endpoint=proxy.url, timeoutSeconds=10)
        held = proxy.add("POST", "/ports", "hold")
        with pytest.raises(NetworkUnavailableError, match=r"did not answer within 10 s .* raise timeoutSeconds"):
            impatient.allocate(request)
        assert neutron.ports_on(subnet) == []
        patient = make_neutron()
        create = patient._api.create_port  # type: ignore[attr-defined]

        def create_after_the_other(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - parts of documents have many types
            held.released.set()
            assert held.finished.wait(300)
            return create(*arguments, **more)

        patient._api.create_port = create_after_the_other  # type: ignore[attr-defined]
        allocation = patient.allocate(request)
        assert [port["id"] for port in neutron.ports_on(subnet)] == [allocation.port_id]

    def test_a_port_that_is_deleted_as_soon_as_it_is_made(
        self, neutron: NeutronServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """Is a passing misfortune."""
        create = plugin._api.create_port  # type: ignore[attr-defined]

        def create_for_nothing(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - parts of documents have many types
            port = create(*arguments, **more)
            neutron.api("DELETE", f"/ports/{port['id']}")
            return port

        plugin._api.create_port = create_for_nothing  # type: ignore[attr-defined]
        with pytest.raises(NetworkTransientError, match="deleted as soon as it was made"):
            plugin.allocate(new_request(subnet))

    def test_a_network_that_vanishes_while_its_ports_are_listed(
        self, behind: NetworkPlugin, proxy: FaultyProxy, subnet: ShareNetworkSubnet
    ) -> None:
        """Leaves no part of a listing."""
        behind.allocate(new_request(subnet))
        proxy.add("GET", "/networks?", "status", status=200, content=b'{"networks": []}')
        with pytest.raises(NetworkTransientError, match="and not that network or subnet itself"):
            behind.list_allocations()

    def test_deleting_when_the_connection_breaks(
        self, neutron: NeutronServer, behind: NetworkPlugin, proxy: FaultyProxy, subnet: ShareNetworkSubnet
    ) -> None:
        """The next attempt finds what is left to be deleted, or that nothing is."""
        for effect in ("cut", "lose"):
            allocation = behind.allocate(new_request(subnet))
            proxy.add("DELETE", "/ports", effect)
            with pytest.raises(NetworkUnavailableError):
                behind.deallocate(allocation.allocation_id, allocation.share_server_id)
            behind.deallocate(allocation.allocation_id, allocation.share_server_id)
            assert neutron.ports_on(subnet) == []

    def test_a_listing_is_whole_or_an_error(
        self, neutron: NeutronServer, behind: NetworkPlugin, proxy: FaultyProxy, subnet: ShareNetworkSubnet
    ) -> None:
        """Also where its second page is what fails."""
        behind.allocate(new_request(subnet))
        (port,) = neutron.ports_on(subnet)
        same = {name: port[name] for name in ("description", "network_id", "device_owner")}
        neutron.api("POST", "/ports", {"ports": [{**same, "device_id": f"{n}", "name": f"{n}/0"} for n in range(7)]})
        proxy.add("GET", "marker=", "cut")
        with pytest.raises(NetworkUnavailableError):
            behind.list_allocations()
        assert len(behind.list_allocations()) == 8
        neutron.api("DELETE", f"/ports/{port['id']}")

    @pytest.mark.parametrize(
        ("status", "kind", "words"),
        [
            (
                503,
                NetworkUnavailableError,
                "could not list ports .HTTP 503.: too much to do; see whether it is running",
            ),
            (500, NetworkTransientError, "refused to list ports .HTTP 500.: too much to do"),
            (429, NetworkTransientError, "HTTP 429"),
            (403, NetworkError, "give the account a role"),
            (401, NetworkError, "correct the account"),
            (404, NetworkNotFoundError, "HTTP 404"),
            (400, NetworkError, "HTTP 400"),
        ],
    )
    def test_a_refusal(
        self, behind: NetworkPlugin, proxy: FaultyProxy, status: int, kind: type[NetworkError], words: str
    ) -> None:
        """Is an error of the right kind, in one line, with what Neutron said and when to come back."""
        proxy.add("GET", "/ports", "status", times=2, status=status, headers={"Retry-After": "7"})
        with pytest.raises(NetworkError, match=words) as refused:
            behind.list_allocations()
        assert type(refused.value) is kind
        assert "\n" not in str(refused.value)
        if isinstance(refused.value, NetworkTransientError):
            assert refused.value.retry_after_seconds == 7

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b'{"message": "no\xc2\xa0way"}', r": no way;"),
            (b"", r"HTTP 503.;"),
            (b"<html>gone</html>", r"HTTP 503.;"),
            (b"[]", r"HTTP 503.;"),
        ],
    )
    def test_a_refusal_in_other_words(
        self, behind: NetworkPlugin, proxy: FaultyProxy, content: bytes, words: str
    ) -> None:
        """Proxies before Neutron have their own."""
        proxy.add("GET", "/ports", "status", content=content)
        with pytest.raises(NetworkUnavailableError, match=words):
            behind.list_allocations()

    def test_another_conflict(self, behind: NetworkPlugin, proxy: FaultyProxy, subnet: ShareNetworkSubnet) -> None:
        """A conflict that is none of addresses or quota may pass."""
        proxy.add("POST", "/ports", "status", status=409)
        with pytest.raises(NetworkTransientError, match=r"refused to create a port .*HTTP 409.: too much to do"):
            behind.allocate(new_request(subnet))

    def test_a_server_without_the_certificate_that_was_asked_for(
        self, proxy: FaultyProxy, make_neutron: PluginMaker
    ) -> None:
        """Is not trusted, and asking again will not help."""
        plugin = make_neutron(endpoint=proxy.url.replace("http:", "https:"))
        with pytest.raises(
            NetworkError, match=r"https://127\.0\.0\.1:\d+ cannot be trusted: .*caCertificate"
        ) as refused:
            plugin.list_allocations()
        assert not isinstance(refused.value, NetworkTransientError)

    def test_without_authentication_and_address(self, make_neutron: PluginMaker) -> None:
        """Nobody could say where Neutron is."""
        with pytest.raises(NetworkError, match="write the service's address as endpoint"):
            make_neutron(endpoint=None)

    def test_a_page_of_something_else(self, behind: NetworkPlugin, proxy: FaultyProxy) -> None:
        """A captive portal says 200 to everything."""
        proxy.add("GET", "/ports", "status", status=200, content=b"<html>welcome</html>")
        with pytest.raises(NetworkUnavailableError, match="it is not JSON"):
            behind.list_allocations()

    def test_neutron_is_killed_and_comes_back(
        self, neutron: NeutronServer, plugin: NetworkPlugin, subnet: ShareNetworkSubnet
    ) -> None:
        """While it is down everything says so; afterwards all is as before."""
        request = new_request(subnet)
        allocation = plugin.allocate(request)
        neutron.kill()
        try:
            for attempt in (
                lambda: plugin.allocate(new_request(subnet)),
                lambda: plugin.deallocate(request.allocation_id, request.share_server_id),
                plugin.list_allocations,
                lambda: plugin.check(subnet),
            ):
                with pytest.raises(
                    NetworkUnavailableError, match=r"127\.0\.0\.1:\d+ cannot be reached: Connection refused; see"
                ):
                    attempt()
        finally:
            neutron.start()
        assert plugin.allocate(request) == allocation
        assert list(plugin.list_allocations()) == [allocation]
        plugin.deallocate(request.allocation_id, request.share_server_id)
        assert neutron.ports_on(subnet) == []
