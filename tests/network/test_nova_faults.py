"""Whatever Nova does in the middle: a typed error that says what to do, nothing leaked, and the next attempt converges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.network.base import (
    NetworkError,
    NetworkNotFoundError,
    NetworkTransientError,
    NetworkUnavailableError,
)
from sharectl.network.testing import new_claim, new_request
from tests.network.ledger import MemoryLedger

if TYPE_CHECKING:
    from sharectl.model.share_networks import ShareNetworkSubnet
    from sharectl.network.base import AddressClaim, NetworkPlugin

    from .nova_server import NovaServer, Plugins
    from .proxy import FaultyProxy


class Crash(BaseException):
    """The end of the process."""


class CrashingLedger(MemoryLedger):
    """A ledger that outlives its process, which ends at a call of the method `at`, before it or after."""

    at = ""

    def claim(self, claim: AddressClaim) -> AddressClaim:
        """Claim, and end."""
        self._end("before claim")
        done = super().claim(claim)
        self._end("after claim")
        return done

    def release(self, allocation_id: str) -> None:
        """Release, and end."""
        self._end("before release")
        super().release(allocation_id)
        self._end("after release")

    def _end(self, here: str) -> None:
        if here == self.at:
            self.at = ""
            raise Crash


@pytest.fixture
def behind(make_nova: Plugins, nova_proxy: FaultyProxy) -> NetworkPlugin:
    """Give a plugin that reaches Nova through the proxy."""
    return make_nova(endpoint=f"{nova_proxy.url}/v2.1")


@pytest.fixture
def subnet(nova: NovaServer) -> ShareNetworkSubnet:
    """Make a VLAN of four addresses to give out."""
    return nova.new_network(29)


def reserved_on(nova: NovaServer, subnet: ShareNetworkSubnet) -> list[str]:
    """Return the addresses of the network, but for the ends that Nova itself reserved, that are reserved."""
    base = nova.network(subnet)["cidr"].partition("/")[0].rpartition(".")[0]
    addresses = (f"{base}.{number}" for number in range(3, 7))
    return [address for address in addresses if nova.fixed_ip(address)["reserved"]]


@pytest.mark.parametrize("at", ["before claim", "after claim"])
def test_a_process_that_ends_while_it_allocates(
    nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet, at: str
) -> None:
    """Before its claim nothing was done; after it, the next attempt reserves what was claimed."""
    ledger, request = CrashingLedger(), new_request(subnet)
    ledger.at = at
    with pytest.raises(Crash):
        make_nova(ledger=ledger).allocate(request)
    assert reserved_on(nova, subnet) == []
    plugin = make_nova(ledger=ledger)
    assert list(plugin.list_allocations()) == []
    allocation = plugin.allocate(request)
    assert reserved_on(nova, subnet) == [allocation.ip_address]
    assert list(plugin.list_allocations()) == [allocation]


@pytest.mark.parametrize("at", ["before release", "after release"])
def test_a_process_that_ends_while_it_gives_back(
    nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet, at: str
) -> None:
    """The reservation goes first, so that no claim is given up whose address is still reserved."""
    ledger, request = CrashingLedger(), new_request(subnet)
    plugin = make_nova(ledger=ledger)
    plugin.allocate(request)
    ledger.at = at
    with pytest.raises(Crash):
        plugin.deallocate(request.allocation_id, request.share_server_id)
    assert reserved_on(nova, subnet) == []
    plugin.deallocate(request.allocation_id, request.share_server_id)
    assert list(ledger.claims("backend")) == []


def test_what_was_claimed_and_never_reserved_can_be_given_back(
    nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet
) -> None:
    """As after a crash, when the share server is not wanted any more."""
    ledger, request = CrashingLedger(), new_request(subnet)
    ledger.at = "after claim"
    with pytest.raises(Crash):
        make_nova(ledger=ledger).allocate(request)
    make_nova(ledger=ledger).deallocate(request.allocation_id, request.share_server_id)
    assert list(ledger.claims("backend")) == []


@pytest.mark.parametrize("effect", ["cut", "lose"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/os-fixed-ips"), ("GET", "/os-networks"), ("POST", "/action")])
def test_a_connection_that_breaks(  # noqa: PLR0913, PLR0917 - a case has as many parts
    nova: NovaServer,
    behind: NetworkPlugin,
    nova_proxy: FaultyProxy,
    subnet: ShareNetworkSubnet,
    method: str,
    path: str,
    effect: str,
) -> None:
    """Before the request was carried out or after: the next attempt leaves one reservation."""
    request = new_request(subnet)
    nova_proxy.add(method, path, effect)
    with pytest.raises(NetworkUnavailableError, match="cannot be reached"):
        behind.allocate(request)
    allocation = behind.allocate(request)
    assert reserved_on(nova, subnet) == [allocation.ip_address]
    assert list(behind.list_allocations()) == [allocation]


def test_a_connection_that_breaks_before_the_last_look(
    nova: NovaServer, behind: NetworkPlugin, make_nova: Plugins, nova_proxy: FaultyProxy, subnet: ShareNetworkSubnet
) -> None:
    """The reservation is made and claimed; the next attempt finds both, and so does who gives it back."""
    for finish in ("allocate", "deallocate"):
        request = new_request(subnet)
        reserve = behind._api.reserve  # type: ignore[attr-defined]

        def reserve_and_break(address: str, reserve: object = reserve) -> bool:
            assert callable(reserve)
            done: bool = reserve(address)
            nova_proxy.add("GET", address, "cut")
            return done

        behind._api.reserve = reserve_and_break  # type: ignore[attr-defined]
        with pytest.raises(NetworkUnavailableError):
            behind.allocate(request)
        behind._api.reserve = reserve  # type: ignore[attr-defined]
        assert len(reserved_on(nova, subnet)) == 1
        if finish == "allocate":
            assert [behind.allocate(request).ip_address] == reserved_on(nova, subnet)
        behind.deallocate(request.allocation_id, request.share_server_id)
        assert reserved_on(nova, subnet) == []
    assert list(make_nova.ledger.claims("backend")) == []


@pytest.mark.parametrize("effect", ["cut", "lose"])
def test_giving_back_when_the_connection_breaks(
    nova: NovaServer, behind: NetworkPlugin, nova_proxy: FaultyProxy, subnet: ShareNetworkSubnet, effect: str
) -> None:
    """The claim stays until Nova has said that the reservation is gone."""
    allocation = behind.allocate(new_request(subnet))
    nova_proxy.add("POST", "/action", effect)
    with pytest.raises(NetworkUnavailableError):
        behind.deallocate(allocation.allocation_id, allocation.share_server_id)
    behind.deallocate(allocation.allocation_id, allocation.share_server_id)
    assert reserved_on(nova, subnet) == []
    assert list(behind.list_allocations()) == []


def test_a_reservation_that_is_refused_leaves_no_claim(
    nova: NovaServer, behind: NetworkPlugin, make_nova: Plugins, nova_proxy: FaultyProxy, subnet: ShareNetworkSubnet
) -> None:
    """Nothing was made, and nobody will ask for it to be given back; one that may have been made keeps its claim."""
    request = new_request(subnet)
    nova_proxy.add("POST", "/action", "status", status=403)
    with pytest.raises(NetworkError, match="HTTP 403"):
        behind.allocate(request)
    assert make_nova.ledger.find(request.allocation_id) is None
    nova_proxy.add("POST", "/action", "status", status=500)
    with pytest.raises(NetworkTransientError, match="HTTP 500"):
        behind.allocate(request)
    assert make_nova.ledger.find(request.allocation_id) is not None
    assert [behind.allocate(request).ip_address] == reserved_on(nova, subnet)


def test_a_look_that_is_refused_after_the_reservation_keeps_the_claim(
    nova: NovaServer, behind: NetworkPlugin, make_nova: Plugins, nova_proxy: FaultyProxy, subnet: ShareNetworkSubnet
) -> None:
    """As when the account loses its role in between: the reservation is there, and who gives it back has to find it."""
    request = new_request(subnet)
    reserve = behind._api.reserve  # type: ignore[attr-defined]

    def reserve_and_lose_the_role(address: str) -> bool:
        done: bool = reserve(address)
        nova_proxy.add("GET", address, "status", status=403)
        return done

    behind._api.reserve = reserve_and_lose_the_role  # type: ignore[attr-defined]
    with pytest.raises(NetworkError, match="HTTP 403"):
        behind.allocate(request)
    assert len(reserved_on(nova, subnet)) == 1
    behind.deallocate(request.allocation_id, request.share_server_id)
    assert reserved_on(nova, subnet) == []
    assert list(make_nova.ledger.claims("backend")) == []


def test_a_slow_nova(nova: NovaServer, make_nova: Plugins, nova_proxy: FaultyProxy, subnet: ShareNetworkSubnet) -> None:
    """Is given up after the time that the configuration allows; what it does later is what was claimed."""
    request = new_request(subnet)
    impatient = make_nova(endpoint=f"{nova_proxy.url}/v2.1", timeoutSeconds=10)
    assert list(impatient.check(subnet)) == []
    held = nova_proxy.add("POST", "/action", "hold")
    with pytest.raises(NetworkUnavailableError, match=r"did not answer within 10 s .* raise timeoutSeconds"):
        impatient.allocate(request)
    assert reserved_on(nova, subnet) == []
    held.released.set()
    assert held.finished.wait(300)
    (address,) = reserved_on(nova, subnet)
    assert make_nova().allocate(request).ip_address == address


def test_a_listing_is_whole_or_an_error(
    behind: NetworkPlugin, nova_proxy: FaultyProxy, subnet: ShareNetworkSubnet
) -> None:
    """Also where one answer of many is what fails."""
    made = [behind.allocate(new_request(subnet)) for _ in range(4)]
    nova_proxy.add("GET", made[2].ip_address, "cut")
    with pytest.raises(NetworkUnavailableError):
        behind.list_allocations()
    assert len(behind.list_allocations()) == 4


def test_a_listing_gives_up_early(make_nova: Plugins, nova_proxy: FaultyProxy) -> None:
    """A Nova that refuses is not asked once for each of hundreds of addresses, but by the eight that ask at once."""
    for number in range(200):
        make_nova.ledger.claim(new_claim("nova/x", f"192.0.2.{number}"))
    nova_proxy.add("GET", "/os-fixed-ips", "status", times=200)
    with pytest.raises(NetworkUnavailableError):
        make_nova(endpoint=f"{nova_proxy.url}/v2.1").list_allocations()
    assert len(nova_proxy.requests) <= 8


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (503, NetworkUnavailableError, "could not read the fixed IP .*HTTP 503.: too much to do; see whether"),
        (500, NetworkTransientError, "refused to read the fixed IP .*HTTP 500.: too much to do"),
        (429, NetworkTransientError, "HTTP 429"),
        (410, NetworkError, "has no Nova network any more .*; use the plugin neutron"),
        (406, NetworkError, r"microversion 2\.4 .release Liberty"),
        (404, NetworkError, r"HTTP 404.*see whether endpoint is Nova's address with the version v2\.1"),
        (403, NetworkError, "give the account a role"),
        (401, NetworkError, "correct the account"),
    ],
)
def test_a_refusal(  # noqa: PLR0913, PLR0917 - a case has as many parts
    behind: NetworkPlugin,
    nova_proxy: FaultyProxy,
    subnet: ShareNetworkSubnet,
    status: int,
    kind: type[NetworkError],
    words: str,
) -> None:
    """Is an error of the right kind, in one line, with what Nova said and when to come back; nothing counts as gone."""
    allocation = behind.allocate(new_request(subnet))
    nova_proxy.add("GET", "/os-fixed-ips", "status", times=2, status=status, headers={"Retry-After": "7"})
    with pytest.raises(NetworkError, match=words) as refused:
        behind.list_allocations()
    assert type(refused.value) is kind
    assert "\n" not in str(refused.value)
    if isinstance(refused.value, NetworkTransientError):
        assert refused.value.retry_after_seconds == 7
    nova_proxy.faults.clear()
    assert list(behind.list_allocations()) == [allocation]


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"<html>welcome</html>", NetworkUnavailableError, "it is not JSON"),
        (b'{"hello": "world"}', NetworkUnavailableError, "sends no fixed_ip; see whether endpoint"),
        (b'{"fixed_ip": {"cidr": "x"}}', NetworkError, "does not tell which fixed IPs are reserved"),
    ],
)
def test_something_else_answers(  # noqa: PLR0913, PLR0917 - a case has as many parts
    behind: NetworkPlugin,
    nova_proxy: FaultyProxy,
    subnet: ShareNetworkSubnet,
    content: bytes,
    kind: type[NetworkError],
    words: str,
) -> None:
    """A captive portal says 200 to everything; a proxy may take away the header that asks for the microversion."""
    behind.allocate(new_request(subnet))
    nova_proxy.add("GET", "/os-fixed-ips", "status", status=200, content=content)
    with pytest.raises(kind, match=words):
        behind.list_allocations()


def test_a_network_that_cannot_be(behind: NetworkPlugin, nova_proxy: FaultyProxy, subnet: ShareNetworkSubnet) -> None:
    """With a VLAN id that no switch takes."""
    content = b'{"network": {"id": "x", "cidr": "10.0.0.0/24", "vlan": 4095, "multi_host": false}}'
    nova_proxy.add("GET", "/os-networks", "status", status=200, content=content)
    (finding,) = behind.check(subnet)
    assert (finding.code, "from 1 to 4094" in finding.summary) == ("network.subnet", True)


def test_nova_is_killed_and_comes_back(nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet) -> None:
    """While it is down everything says so; afterwards all is as before."""
    plugin, request = make_nova(), new_request(subnet)
    allocation = plugin.allocate(request)
    fresh = make_nova()
    nova.kill()
    try:
        for attempt in (
            lambda: plugin.allocate(new_request(subnet)),
            lambda: plugin.allocate(request),
            lambda: plugin.deallocate(request.allocation_id, request.share_server_id),
            plugin.list_allocations,
            lambda: fresh.check(subnet),
        ):
            with pytest.raises(
                NetworkUnavailableError, match=r"127\.0\.0\.1:\d+ cannot be reached: Connection refused; see"
            ):
                attempt()
    finally:
        nova.start()
    assert plugin.allocate(request) == allocation
    assert list(plugin.list_allocations()) == [allocation]
    plugin.deallocate(request.allocation_id, request.share_server_id)
    assert reserved_on(nova, subnet) == []


def test_a_network_that_is_gone_is_not_found(nova: NovaServer, make_nova: Plugins, subnet: ShareNetworkSubnet) -> None:
    """Whoever asks for an address on it; what was claimed there stays claimed until it is given back."""
    request = new_request(subnet)
    make_nova().allocate(request)
    nova.administrator("delete_network", network_id=subnet.nova_net_id)
    plugin = make_nova()
    for one in (request, new_request(subnet)):
        with pytest.raises(NetworkNotFoundError, match="nova network-list"):
            plugin.allocate(one)
    assert make_nova.ledger.find(request.allocation_id) is not None
    plugin.deallocate(request.allocation_id, request.share_server_id)
    assert list(make_nova.ledger.claims("backend")) == []
