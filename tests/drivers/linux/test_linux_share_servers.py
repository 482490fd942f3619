"""Share servers on a Linux host: each tenant its own servers with its own addresses, also where those are another's too."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import DriverError, NotFoundError, ShareInUseError
from sharectl.drivers.linux import FACTORY
from sharectl.drivers.linux.agent import restoring
from sharectl.drivers.linux.agent.locks import changes_lock, resource_locked
from sharectl.drivers.linux.agent.operations import open_backend
from sharectl.drivers.testing_share_servers import ShareServerConformance
from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from sharectl.model.networks import NetworkAllocation
from sharectl.model.requests import ShareRef, ShareRequest, ShareServerRef, ShareServerRequest
from sharectl.model.share_networks import SecurityServiceSpec
from tests.drivers.linux.agents import wait_for
from tests.drivers.linux.attacker import attack
from tests.drivers.linux.backends import PASSWORDS, environment
from tests.drivers.linux.lab import kill_processes_of, need, restart_host, run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.smb_client import smb, write
from tests.drivers.linux.tenants import links_in, namespaces, segment_of, segments_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sharectl.drivers.linux.driver import LinuxDriver
    from sharectl.model.observed import ObservedShare
    from tests.drivers.linux.tenants import Switch

MIB = 1 << 20
RW = AccessRule("ip", "10.20.0.0/24", "rw")


@pytest.fixture
def open_driver(lab_directory: str, switch: Switch) -> Iterator[Callable[..., LinuxDriver]]:
    """Give what opens the same backend with share servers, each time with an agent of its own."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", file_system="btrfs")
    pool = {"type": "loop", "path": f"{lab_directory}/pool", "image": f"{lab_directory}/pool.img", "size": "1 GiB"}
    config: dict[str, Any] = {
        "root": f"{lab_directory}/root",
        "namespace": switch.path,
        "supervisor": "none",  # what a test ends stays down
        "pools": {"fast": pool},
        "tenantNetworks": {
            "flat": {"bridge": "br-flat"},
            "vlan": {"bridge": "br-{id}"},
        },
        "nfs": {"versions": ["4.0", "4.1", "4.2"]},  # libnfs speaks 4.0
        "smb": {"users": {name.lower(): {"password": {"env": name}} for name in PASSWORDS}},
    }
    opened: list[Any] = []

    def make(remotes: Sequence[str] = ()) -> LinuxDriver:
        networks = {**config["tenantNetworks"], "vxlan": {"local": "192.0.2.10", "remotes": list(remotes)}}
        spec = BackendSpec("nas", "linux", {**config, "tenantNetworks": networks}, share_servers=True)
        opened.append(FACTORY.open(spec, environment(lab_directory)))
        driver: LinuxDriver = opened[-1]
        driver.prepare()
        return driver

    yield make
    last = make()
    for share in last.list_shares():
        last.delete_share(ref(share))
    for server in last.list_share_servers():
        last.delete_share_server(ShareServerRef(str(server.resource_id), server.backend_id, server.name))
    for driver in opened:
        driver.close()


@pytest.fixture
def driver(open_driver: Callable[..., LinuxDriver]) -> LinuxDriver:
    """Give the backend, prepared."""
    return open_driver()


def request(
    address: str = "10.20.0.10",
    vni: int | None = 100,
    network_type: str = "vxlan",
    **changes: Any,  # noqa: ANN401 - parts of documents have many types
) -> ShareServerRequest:
    """Return the request for a share server with one address in a network of /24 (IPv4) or /64."""
    server_id = str(uuid.uuid4())
    version = 6 if ":" in address else 4
    allocation = NetworkAllocation(
        allocation_id=f"{server_id}/0",
        share_server_id=server_id,
        ip_address=address,
        ip_version=version,
        cidr="fd20::/64" if version == 6 else "10.20.0.0/24",
        gateway=None if version == 6 else "10.20.0.1",
        network_type=network_type,
        segmentation_id=vni,
        mtu=1450,
    )
    return ShareServerRequest(server_id, "tenant-default", "tenant", (allocation,), **changes)


def share_on(driver: LinuxDriver, server_id: str, protocol: str = "NFS", name: str = "data") -> ObservedShare:
    """Make a share on a share server."""
    return driver.create_share(
        ShareRequest(str(uuid.uuid4()), name, 16 * MIB, protocol, "fast", share_server_id=server_id)
    )


def ref(share: ObservedShare) -> ShareRef:
    """Return the share as the state would know it."""
    return ShareRef(
        str(share.resource_id),
        share.backend_id,
        share.name,
        share.pool,
        share.protocol or "NFS",
        16 * MIB,
        share.share_server_id,
    )


def grant(driver: LinuxDriver, share: ObservedShare, *rules: AccessRule) -> None:
    """Put rules in force."""
    statuses = driver.update_access(ref(share), rules, rules, [])
    assert all(status.status == "active" for status in statuses.values()), statuses


def test_two_tenants_with_equal_addresses_do_not_see_each_other(driver: LinuxDriver, switch: Switch) -> None:
    """Each reaches its own share under the same address, over VXLANs of their own."""
    one = driver.create_share_server(request(vni=100))
    two = driver.create_share_server(request(vni=200))
    assert one.ip_addresses == two.ip_addresses == ("10.20.0.10",)
    for server, text in ((one, "red"), (two, "blue")):
        share = share_on(driver, str(server.resource_id))
        assert share.export_locations == ("10.20.0.10:/shares/data",)
        assert share.share_server_id == server.resource_id
        grant(driver, share, RW)
        client = switch.add_client(f"c{text}", "scb100" if text == "red" else "scb200", "10.20.0.21/24")
        assert nfs(client, "10.20.0.10", "/shares/data", "put", "whose", text).is_done
    again = switch.add_client("again", "scb100", "10.20.0.22/24")
    assert nfs(again, "10.20.0.10", "/shares/data", "cat", "whose").text == "red"


def test_smb_users_are_those_of_their_share_server(driver: LinuxDriver, switch: Switch) -> None:
    """A user who has a share on one server cannot log in to another's."""
    one = driver.create_share_server(request(vni=100))
    driver.create_share_server(request(vni=200))
    share = share_on(driver, str(one.resource_id), "CIFS", "office")
    grant(driver, share, AccessRule("user", "alice", "rw"))
    client = switch.add_client("one", "scb100", "10.20.0.21/24")
    stranger = switch.add_client("two", "scb200", "10.20.0.21/24")
    assert write(client, "10.20.0.10", "office", "alice", PASSWORDS["ALICE"]).is_ok
    assert not smb(stranger, "10.20.0.10", "office", "alice", PASSWORDS["ALICE"], "ls").is_ok


def test_a_share_of_both_protocols_is_the_same_to_both_clients_of_its_tenant(
    driver: LinuxDriver, switch: Switch
) -> None:
    """Each server of the share server exports it, and nobody else's machine finds it over either."""
    one = driver.create_share_server(request(vni=100))
    driver.create_share_server(request(vni=200))
    share = share_on(driver, str(one.resource_id), "NFS_CIFS", "office")
    grant(driver, share, RW, AccessRule("user", "alice", "rw"))
    assert share.export_locations == ("10.20.0.10:/shares/office", "\\\\10.20.0.10\\office")
    client = switch.add_client("one", "scb100", "10.20.0.21/24")
    assert nfs(client, "10.20.0.10", "/shares/office", "put", "written", "x").is_done
    assert write(client, "10.20.0.10", "office", "alice", PASSWORDS["ALICE"]).is_ok
    assert nfs(client, "10.20.0.10", "/shares/office", "cat", "written").text == "content"
    stranger = switch.add_client("two", "scb200", "10.20.0.21/24")
    assert not nfs(stranger, "10.20.0.10", "/shares/office", "ls").is_done
    assert not smb(stranger, "10.20.0.10", "office", "alice", PASSWORDS["ALICE"], "ls").is_ok


@pytest.mark.parametrize(("network_type", "vni", "bridge"), [("flat", None, "br-flat"), ("vlan", 300, "br-300")])
def test_tenants_on_bridges_of_the_host(
    driver: LinuxDriver, switch: Switch, network_type: str, vni: int | None, bridge: str
) -> None:
    """Flat networks and VLANs use a bridge that the administrator made, and leave it there."""
    if network_type == "vlan":
        switch.add_bridge(bridge)
    wanted = request(vni=vni, network_type=network_type)
    server = driver.create_share_server(wanted)
    share = share_on(driver, wanted.resource_id)
    grant(driver, share, RW)
    client = switch.add_client("client", bridge, "10.20.0.21/24")
    assert nfs(client, "10.20.0.10", "/shares/data", "ls").is_done
    driver.delete_share(ref(share))
    driver.delete_share_server(ShareServerRef(wanted.resource_id, server.backend_id, server.name))
    assert bridge in switch.links()


def test_a_missing_bridge_is_named_and_nothing_is_half_made_for_long(driver: LinuxDriver, switch: Switch) -> None:
    """The same request made again after the bridge is there finishes it."""
    wanted = request(vni=300, network_type="vlan")
    with pytest.raises(DriverError, match="the host has no bridge 'br-300'"):
        driver.create_share_server(wanted)
    (listed,) = driver.list_share_servers()
    assert (listed.resource_id, listed.healthy) == (wanted.resource_id, False)
    switch.add_bridge("br-300")
    assert driver.create_share_server(wanted).healthy


def test_an_ipv6_tenant(driver: LinuxDriver, switch: Switch) -> None:
    """An address of IPv6 is served as any other."""
    wanted = request("fd20::10")
    driver.create_share_server(wanted)
    share = share_on(driver, wanted.resource_id)
    assert share.export_locations == ("[fd20::10]:/shares/data",)
    grant(driver, share, AccessRule("ip", "fd20::/64", "rw"))
    client = switch.add_client("client", "scb100", "fd20::21/64")
    assert nfs(client, "fd20::10", "/shares/data", "put", "f", "six").is_done


def test_creation_is_idempotent_and_listed(open_driver: Callable[[], LinuxDriver]) -> None:
    """Another process finds the server that the first made; asked for again it is the same."""
    wanted = request()
    first = open_driver().create_share_server(wanted)
    other = open_driver()
    assert list(other.list_share_servers()) == [first]
    assert list(other.list_share_servers([str(uuid.uuid4())])) == []
    assert other.create_share_server(wanted) == first


def test_a_share_server_with_shares_is_not_deleted(driver: LinuxDriver) -> None:
    """Not even for one in the trash; without shares it leaves nothing, and twice is not an error."""
    wanted = request()
    server = driver.create_share_server(wanted)
    reference = ShareServerRef(wanted.resource_id, server.backend_id, server.name)
    share = share_on(driver, wanted.resource_id)
    driver.trash_share(ref(share))
    with pytest.raises(ShareInUseError, match="1 share is on the share server 'tenant-default': 'data'"):
        driver.delete_share_server(reference)
    driver.delete_share(ref(share))
    for _ in range(2):
        driver.delete_share_server(reference)
    assert list(driver.list_share_servers()) == []


def test_a_deleted_share_server_leaves_nothing(driver: LinuxDriver, switch: Switch, lab_directory: str) -> None:
    """No namespace, interface, tunnel, bridge, folder or process; a tunnel that another server uses stays."""
    before = switch.links()
    one, two = request("10.20.0.10"), request("10.20.0.11")
    for wanted in (one, two):
        driver.create_share_server(wanted)
    for wanted in (one, two):
        assert "scb100" in switch.links()
        driver.delete_share_server(ShareServerRef(wanted.resource_id, "", wanted.name))
    assert switch.links() == before
    assert not namespaces() & {f"sharectl-{wanted.resource_id}" for wanted in (one, two)}
    assert list(Path(lab_directory, "root", "servers").iterdir()) == []
    assert processes_with(f"{lab_directory}/root/servers/") == []


def test_a_share_server_that_died_is_repaired(driver: LinuxDriver, switch: Switch, lab_directory: str) -> None:
    """After its servers were killed, and after a reboot took its namespace: listed as unhealthy, and whole after one request."""
    wanted = request()
    driver.create_share_server(wanted)
    share = share_on(driver, wanted.resource_id)
    grant(driver, share, RW)
    for what in ("servers", "namespace"):
        kill_processes_of(f"{lab_directory}/root/servers/{wanted.resource_id}")
        if what == "namespace":
            run("ip", "netns", "del", f"sharectl-{wanted.resource_id}")
        (listed,) = driver.list_share_servers()
        assert not listed.healthy
        assert ("namespace" if what == "namespace" else "not run") in listed.problem
        assert driver.create_share_server(wanted).healthy
        client = switch.add_client(f"c-{what[:5]}", "scb100", "10.20.0.21/24" if what == "servers" else "10.20.0.22/24")
        assert nfs(client, "10.20.0.10", "/shares/data", "ls").is_done, "its exports are back"


def as_older_versions_made_it(switch: Switch, vni: int) -> None:
    """Put a VXLAN where versions before 0.1 had it: bridge, tunnel and ports in the host's own network."""
    segment = segment_of(switch.path, vni)
    ports = [name for name in links_in(segment) if name.startswith("scp")]
    for port in ports:
        run("ip", "-n", segment, "link", "set", port, "netns", switch.namespace)
    run("ip", "netns", "del", segment)
    run("ip", "-n", switch.namespace, "link", "add", f"scb{vni}", "type", "bridge")
    words = ("type", "vxlan", "id", str(vni), "local", "192.0.2.10", "dstport", "4789")
    wait_for(
        lambda: run("ip", "-n", switch.namespace, "link", "add", f"scx{vni}", *words, check=False).returncode == 0,
        "the end of the tunnel that was there",
    )
    for port in (f"scx{vni}", *ports):
        run("ip", "-n", switch.namespace, "link", "set", port, "master", f"scb{vni}", "up")
    run("ip", "-n", switch.namespace, "link", "set", f"scb{vni}", "up")


def test_what_an_older_version_made_is_taken_out_of_the_hosts_network(driver: LinuxDriver, switch: Switch) -> None:
    """Listed as not well; the repair of one server moves the ports of all on its VXLAN, and no client has to mount again."""
    one, two = request("10.20.0.10"), request("10.20.0.11")
    for wanted in (one, two):
        driver.create_share_server(wanted)
        grant(driver, share_on(driver, wanted.resource_id, name=f"data{wanted.allocations[0].ip_address[-1]}"), RW)
    as_older_versions_made_it(switch, 100)
    assert [server.healthy for server in driver.list_share_servers()] == [False, False]
    assert {server.problem for server in driver.list_share_servers()} == {
        "its VXLAN 100 is in the host's own network, as an older sharectl made it, where tenants reach the host"
    }
    assert driver.create_share_server(one).healthy
    assert [server.healthy for server in driver.list_share_servers()] == [True, True]
    assert not {name for name in links_in(switch.namespace) if name.startswith("sc")}
    client = switch.add_client("client", "scb100", "10.20.0.21/24")
    assert nfs(client, "10.20.0.10", "/shares/data0", "ls").is_done
    assert nfs(client, "10.20.0.11", "/shares/data1", "ls").is_done


def test_what_an_older_version_made_is_removed_from_the_hosts_network(driver: LinuxDriver, switch: Switch) -> None:
    """A share server that goes before it was mended leaves no bridge and no tunnel there."""
    wanted = request()
    driver.create_share_server(wanted)
    as_older_versions_made_it(switch, 100)
    driver.delete_share_server(ShareServerRef(wanted.resource_id, "", wanted.name))
    assert not {name for name in links_in(switch.namespace) if name.startswith("sc")}
    assert segments_of(switch.path) == []


def test_tunnels_follow_their_settings(
    open_driver: Callable[..., LinuxDriver], switch: Switch, lab_directory: str
) -> None:
    """Other ends that come and go are drift, in the tunnel and in what the host lets in; so is a filter that somebody took away."""
    wanted = request()

    def sources() -> set[str]:
        listed = run("ip", "-n", switch.namespace, "xfrm", "policy", "list").stdout.splitlines()
        return {line.split()[1] for line in listed if line.startswith("src ")}

    def ends() -> set[str]:
        listed = run("bridge", "-n", segment_of(switch.path, 100), "fdb", "show", "dev", "scx100").stdout.splitlines()
        return {line.split()[2] for line in listed if line.startswith("00:00:00:00:00:00 dst")}

    open_driver(remotes=["192.0.2.20", "192.0.2.21"]).create_share_server(wanted)
    assert (ends(), sources()) == (
        {"192.0.2.20", "192.0.2.21"},
        {"0.0.0.0/0", "192.0.2.20/32", "192.0.2.21/32"},
    )
    driver = open_driver(remotes=["192.0.2.21", "192.0.2.22"])
    (listed,) = driver.list_share_servers()
    assert listed.problem == "the tunnel of its VXLAN 100 has other ends than the settings say"
    assert driver.create_share_server(wanted).healthy
    assert (ends(), sources()) == (
        {"192.0.2.21", "192.0.2.22"},
        {"0.0.0.0/0", "192.0.2.21/32", "192.0.2.22/32"},
    )
    run("ip", "-n", switch.namespace, "xfrm", "policy", "flush")
    (listed,) = driver.list_share_servers()
    assert listed.problem == "the host takes packets for its VXLAN 100 from anybody"
    assert driver.create_share_server(wanted).healthy
    driver.delete_share_server(ShareServerRef(wanted.resource_id, "", wanted.name))
    assert sources() == set()


def test_a_bridge_of_the_host_is_closed_where_the_host_has_no_address_on_it(
    driver: LinuxDriver, switch: Switch
) -> None:
    """It carries frames, and answers nobody; on a VLAN, a tenant's own network, the host may have no address."""
    switch.add_bridge("br-300")
    wanted = request(vni=300, network_type="vlan")
    driver.create_share_server(wanted)
    assert "inet" not in run("ip", "-n", switch.namespace, "addr", "show", "br-300").stdout
    grant(driver, share_on(driver, wanted.resource_id), RW)
    client = switch.add_client("client", "br-300", "10.20.0.21/24")
    assert nfs(client, "10.20.0.10", "/shares/data", "ls").is_done
    shown = run("ip", "-n", switch.namespace, "-o", "link", "show", "br-300").stdout
    mac = shown.partition("link/ether ")[2].split()[0]
    own = {"ipv4": "10.20.0.21", "ipv6": "fe80::21"}
    found = set[str]()

    def is_found() -> bool:
        found.update(address for _, address in attack(client, "arp", own=own, targets=["10.20.0.10", "192.0.2.10"]))
        return "10.20.0.10" in found

    wait_for(is_found, "an answer of the share server")
    assert found == {"10.20.0.10"}
    targets = [[mac, "192.0.2.10"], [mac, "ff02::1"], ["33:33:00:00:00:01", "ff02::1"]]
    assert mac not in {answer[0] for answer in attack(client, "echo", own=own, targets=targets)}

    run("ip", "-n", switch.namespace, "addr", "add", "10.20.0.2/24", "dev", "br-300")
    with pytest.raises(DriverError, match=r"the host has the address 10\.20\.0\.2/24 on br-300"):
        driver.create_share_server(request("10.20.0.12", vni=300, network_type="vlan"))


def test_a_changed_address_is_followed(driver: LinuxDriver, switch: Switch) -> None:
    """A server that is asked for again with another address answers there, and no longer at the old one."""
    wanted = request()
    driver.create_share_server(wanted)
    moved = NetworkAllocation(**{**wanted.allocations[0].as_plain(), "ip_address": "10.20.0.99"})
    assert driver.create_share_server(
        ShareServerRequest(wanted.resource_id, wanted.name, "tenant", (moved,))
    ).ip_addresses == ("10.20.0.99",)
    share = share_on(driver, wanted.resource_id)
    assert share.export_locations == ("10.20.0.99:/shares/data",)
    grant(driver, share, RW)
    client = switch.add_client("client", "scb100", "10.20.0.21/24")
    assert nfs(client, "10.20.0.99", "/shares/data", "ls").is_done
    addresses = run("ip", "-n", f"sharectl-{wanted.resource_id}", "-o", "addr").stdout
    assert "10.20.0.99/24" in addresses
    assert "10.20.0.10/" not in addresses


def test_a_share_on_a_server_that_is_not_there_is_not_found(driver: LinuxDriver) -> None:
    """Nothing is made."""
    with pytest.raises(NotFoundError, match="no share server"):
        share_on(driver, str(uuid.uuid4()))
    assert list(driver.list_shares()) == []


def test_a_directory_service_is_refused(driver: LinuxDriver) -> None:
    """Before anything is made."""
    service = SecurityServiceSpec("corp", "active_directory", {})
    with pytest.raises(DriverError, match="directory service"):
        driver.create_share_server(request(security_services=(service,)))
    assert list(driver.list_share_servers()) == []


class TestLinuxShareServers(ShareServerConformance):
    """The suite that every driver with share servers must pass."""

    @pytest.fixture
    def make_driver(self, open_driver: Callable[[], LinuxDriver]) -> Callable[[], LinuxDriver]:
        """Open the same backend each time."""
        return open_driver

    def allocations(
        self, server_id: str, *, count: int = 1, number: int = 0, segment: int = 100
    ) -> tuple[NetworkAllocation, ...]:
        """Return addresses on VXLANs, which need no bridge that is there already."""
        given = super().allocations(server_id, count=count, number=number, segment=segment)
        return tuple(replace(allocation, network_type="vxlan", mtu=1450) for allocation in given)


def processes_with(folder: str) -> list[int]:
    """Return the processes that have a path under the folder among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if any(folder.encode() in word for word in arguments):
                found.append(int(entry.name))
    return found


def test_after_a_restart_the_host_brings_share_servers_back_by_itself(
    open_driver: Callable[..., LinuxDriver], switch: Switch, lab_directory: str
) -> None:
    """With their networks, their servers and what these served; nobody applies anything."""
    driver = open_driver()
    server = driver.create_share_server(request())
    server_id = str(server.resource_id)
    share = share_on(driver, server_id)
    driver.update_access(ref(share), [RW], [RW], [])
    driver.close()
    restart_host(lab_directory)
    for name in (f"sharectl-{server_id}", *segments_of(switch.path)):
        run("ip", "netns", "del", name)

    restarted = open_driver()
    assert restarted._agent.call("restore", {}) == []
    assert restarted.list_share_servers()[0].healthy
    client = switch.add_client("rs", "scb100", "10.20.0.21/24")
    assert nfs(client, "10.20.0.10", "/shares/data", "put", "a", "b").is_done


def test_share_servers_that_lack_nothing_are_looked_at_without_a_lock(
    open_driver: Callable[..., LinuxDriver], lab_directory: str
) -> None:
    """Changes need not wait for it, however many there are."""
    driver = open_driver()
    driver.create_share_server(request())
    lock = Path(changes_lock(f"{lab_directory}/root"))
    lock.unlink()
    assert driver._agent.call("restore", {}) == []
    assert not lock.exists(), "nobody asked for it"


def test_a_share_server_that_somebody_removes_gets_nothing_back(
    open_driver: Callable[..., LinuxDriver], switch: Switch, monkeypatch: pytest.MonkeyPatch, lab_directory: str
) -> None:
    """Neither while its lock is held, nor by the record that says that its removal has begun."""
    driver = open_driver()
    server_id = str(driver.create_share_server(request()).resource_id)
    backend = open_backend(driver._settings.for_agent())
    run("ip", "netns", "del", f"sharectl-{server_id}")
    monkeypatch.setattr(restoring, "_LOCK_SECONDS", 0.0)
    with resource_locked(f"{lab_directory}/root", server_id):
        assert backend.restore() == []
    assert f"sharectl-{server_id}" not in namespaces()
    backend._records.close_share_server(server_id)
    backend._servers.restore_network(server_id)
    backend.close()
    assert f"sharectl-{server_id}" not in namespaces()
