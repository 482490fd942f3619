"""Shares on share servers: each in the SVM of its network, found on its LIFs, the near ones first."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from sharectl.drivers.base import Capability, DriverEnvironment, DriverError, ShareInUseError, capabilities_of
from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.share_checks import ChecksServerChanges, ChecksShareServers, configured_capabilities
from sharectl.drivers.share_servers import ChecksSubnets
from sharectl.drivers.testing import new_id, ref, shares_of
from sharectl.model.access import AccessRule
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRequest, ShareServerRef
from sharectl.model.share_networks import SecurityServiceSpec, ShareNetworkSubnet, ShareServerSpec
from tests.drivers.ontap.arrays import backend_of as backend_without_servers
from tests.drivers.ontap.arrays import open_driver
from tests.drivers.ontap.share_servers.arrays import (
    ACCOUNT,
    SECRETS,
    array_of,
    backend_of,
    domain,
    new_request,
    quickly,
    ref_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.ontap.share_servers.driver import ShareServerDriver
    from tests.emulators.ontap.server import Emulator


@pytest.fixture
def driver(emulator: Emulator) -> Iterator[ShareServerDriver]:
    """Give a prepared driver with share servers, which exports over SMB too."""
    secrets = {**SECRETS, "admin": emulator.login_of(ACCOUNT).password}
    environment = DriverEnvironment("/", lambda reference: secrets[reference["env"]])
    opened = cast("ShareServerDriver", FACTORY.open(backend_of(emulator, smb={}), environment))
    opened._servers._patience.sleep = quickly
    opened.prepare()
    yield opened
    opened.close()


def share_on(server: str | None, name: str = "projects", pool: str = "aggr1", protocol: str = "NFS") -> ShareRequest:
    """Return a request for a share of one GiB."""
    return ShareRequest(new_id(), name, GIB, protocol, pool, share_server_id=server)


def test_lifs_on_the_node_of_the_volume_come_first(driver: ShareServerDriver) -> None:
    """In what creation returns and in every listing."""
    server = driver.create_share_server(new_request())
    near = driver.create_share(share_on(server.resource_id))
    far = driver.create_share(share_on(server.resource_id, "homes", "aggr2"))
    assert near.export_locations == ("10.9.0.10:/projects", "10.9.0.11:/projects")
    assert far.export_locations == ("10.9.0.11:/homes", "10.9.0.10:/homes")
    assert sorted(shares_of(driver)) == sorted([near, far])
    assert {share.share_server_id for share in (near, far)} == {server.resource_id}


def test_lifs_on_the_node_of_the_volume_come_first_without_share_servers(emulator: Emulator) -> None:
    """In the SVM that the backend names too."""
    driver = open_driver(emulator)
    driver.prepare()
    for pool, first in (("aggr1", "10.0.0.11"), ("aggr2", "10.0.0.12")):
        made = driver.create_share(share_on(None, f"near-{pool}", pool))
        assert made.export_locations[0] == f"{first}:/near-{pool}"
        assert shares_of(driver, [str(made.resource_id)]) == [made]
    driver.close()


def test_shares_of_one_name_are_on_two_servers(driver: ShareServerDriver) -> None:
    """Tenants do not know of each other, and each reaches its own over its own addresses."""
    servers = [driver.create_share_server(new_request(tag=tag)) for tag in (1010, 1011)]
    made = [driver.create_share(share_on(server.resource_id)) for server in servers]
    assert made[0].export_locations == made[1].export_locations
    assert made[0].backend_id != made[1].backend_id
    rule = AccessRule("ip", "10.9.0.50", "rw")
    driver.update_access(ref(made[0]), [rule], [rule], [])
    access = {share.resource_id: share.access for share in driver.list_shares()}
    assert access == {made[0].resource_id: (rule,), made[1].resource_id: ()}
    driver.delete_share(ref(made[0]))
    assert [share.resource_id for share in driver.list_shares()] == [made[1].resource_id]


def test_volumes_of_other_svms_are_none_of_this_backends_shares(driver: ShareServerDriver, emulator: Emulator) -> None:
    """Those that somebody made in the SVM of a share server are, and keep it."""
    assert driver.list_shares() == []
    request = new_request()
    server = driver.create_share_server(request)
    svm = driver.svm_of(server.resource_id)
    body = {"svm": {"name": svm}, "name": "foreign", "size": GIB, "aggregates": [{"name": "aggr1"}], "style": "flexvol"}
    array_of(emulator).post("storage/volumes", body)
    (seen,) = driver.list_shares()
    assert (seen.resource_id, seen.share_server_id) == (None, server.resource_id)
    with pytest.raises(ShareInUseError):
        driver.delete_share_server(ref_of(request, server))


def test_a_share_needs_a_server_that_is_there(driver: ShareServerDriver) -> None:
    """Else nobody would export it."""
    for server in (None, new_id()):
        with pytest.raises(DriverError):
            driver.create_share(share_on(server))


def test_a_share_is_made_where_its_svm_was_renamed(driver: ShareServerDriver, emulator: Emulator) -> None:
    """The id is what counts."""
    server = driver.create_share_server(new_request())
    driver.create_share(share_on(server.resource_id))
    array_of(emulator).patch(("svm/svms", server.backend_id), {"name": "renamed"})
    made = driver.create_share(share_on(server.resource_id, "other"))
    assert made.share_server_id == server.resource_id
    assert made.backend_id.startswith("renamed/")


def test_a_share_is_made_with_its_tenant_where_another_got_the_name_of_its_svm(
    driver: ShareServerDriver, emulator: Emulator
) -> None:
    """What was seen of names counts for nothing: the other tenant would reach the share."""
    mine = driver.create_share_server(new_request())
    driver.create_share(share_on(mine.resource_id, "before"))
    theirs = driver.create_share_server(new_request(number=1, tag=1011))
    array = array_of(emulator)
    name = array.get(("svm/svms", mine.backend_id))["name"]
    array.patch(("svm/svms", mine.backend_id), {"name": "aside"})
    array.patch(("svm/svms", theirs.backend_id), {"name": name})
    made = driver.create_share(share_on(mine.resource_id, "after"))
    assert made.backend_id.startswith("aside/")
    assert made.share_server_id == mine.resource_id


def test_users_of_the_domain_have_shares_over_smb(driver: ShareServerDriver) -> None:
    """On the LIFs of the server that joined it."""
    server = driver.create_share_server(new_request(domain()))
    made = driver.create_share(share_on(server.resource_id, protocol="CIFS"))
    rule = AccessRule("user", "EXAMPLE\\bob", "rw")
    assert driver.update_access(ref(made), [rule], [rule], [])[rule].status == "active"
    (seen,) = driver.list_shares()
    assert seen.export_locations == ("\\\\10.9.0.10\\projects", "\\\\10.9.0.11\\projects")
    assert [each.key for each in seen.access] == [rule.key]


def test_snapshots_are_listed_on_all_servers(driver: ShareServerDriver) -> None:
    """By the names that their shares have."""
    servers = [driver.create_share_server(new_request(tag=tag)) for tag in (1010, 1011)]
    shares = [driver.create_share(share_on(server.resource_id)) for server in servers]
    for share in shares:
        driver.create_snapshot(ref(share), new_id(), "before")
    assert {each.share_backend_id for each in driver.list_snapshots()} == {share.backend_id for share in shares}


def test_a_removed_server_is_removed_again(driver: ShareServerDriver) -> None:
    """Also where nothing more than its id is known."""
    driver.delete_share_server(ShareServerRef(new_id(), "", "red-default"))


def test_only_backends_with_share_servers_make_some(emulator: Emulator, driver: ShareServerDriver) -> None:
    """So a plan knows before it asks."""
    assert {Capability.SHARE_SERVERS, Capability.SHARE_SERVER_UPDATE} <= capabilities_of(driver)
    assert configured_capabilities(FACTORY, backend_of(emulator)) == capabilities_of(driver)
    without = open_driver(emulator)
    assert configured_capabilities(FACTORY, backend_without_servers(emulator)) == capabilities_of(without)
    assert Capability.SHARE_SERVERS not in capabilities_of(without)


@pytest.mark.parametrize(
    ("subnet", "protocols", "said"),
    [
        (ShareNetworkSubnet(network_type="vxlan", segmentation_id=5), {"NFS"}, ["an array has ports on VLANs"]),
        (
            ShareNetworkSubnet(network_type="vlan", segmentation_id=5),
            {"CIFS"},
            ["an SVM serves CIFS in an Active"],
        ),
        (
            ShareNetworkSubnet(network_type="vlan", segmentation_id=5),
            {"NFS_CIFS"},
            ["an SVM serves CIFS in an Active"],
        ),
        (ShareNetworkSubnet(neutron_net_id="n"), {"NFS"}, []),
    ],
)
def test_servers_that_cannot_be_made_are_told_purely(
    emulator: Emulator, subnet: ShareNetworkSubnet, protocols: set[str], said: list[str]
) -> None:
    """What only the network service knows is no problem yet."""
    assert isinstance(FACTORY, ChecksShareServers)
    server = ShareServerSpec("red-default", "red", subnet)
    found = FACTORY.share_server_problems(backend_of(emulator), server, protocols)
    assert [problem.summary[: len(words)] for problem, words in zip(found, said, strict=True)] == said


@pytest.mark.parametrize(
    ("config", "share_servers", "path"),
    [
        ({"shareServers": None}, True, ()),
        ({}, False, ("shareServers",)),
        ({"shareServers": {"homes": [{"node": "n1", "port": "e0d"}] * 2}}, True, ("shareServers", "homes", 1)),
    ],
)
def test_a_configuration_that_cannot_work_says_where(
    emulator: Emulator,
    config: dict[str, object],
    share_servers: bool,  # noqa: FBT001 - a parameter
    path: tuple[object, ...],
) -> None:
    """Without an array."""
    from dataclasses import replace  # noqa: PLC0415 - needed here alone

    from sharectl.drivers.base import ChecksConfig  # noqa: PLC0415 - needed here alone

    backend = backend_of(emulator, **config, **({} if share_servers else {"svm": "vs1"}))
    written = {name: value for name, value in backend.config.items() if value is not None}
    assert isinstance(FACTORY, ChecksConfig)
    problems = FACTORY.config_problems(replace(backend, config=written, share_servers=share_servers))
    assert [problem.path for problem in problems] == [path]


AD = {"domain": "a.example", "dns_ip": "10.0.0.5", "user": "joiner", "password": {"env": "joiner"}}


@pytest.mark.parametrize(
    ("domain", "protocols", "refused"),
    [
        ("b.example", {"CIFS"}, True),
        ("b.example", {"NFS", "NFS_CIFS"}, True),
        ("b.example", {"NFS"}, False),
        ("A.example", {"CIFS"}, False),
    ],
)
def test_another_domain_is_refused_while_there_are_windows_shares(
    emulator: Emulator, domain: str, protocols: set[str], *, refused: bool
) -> None:
    """Purely, so that a plan says it: their users are in the one that it would leave."""
    subnet = ShareNetworkSubnet(network_type="vlan", segmentation_id=5)
    before, after = (
        ShareServerSpec("red-default", "red", subnet, 2, (SecurityServiceSpec("ad", "active_directory", config),))
        for config in (AD, {**AD, "domain": domain})
    )
    assert isinstance(FACTORY, ChecksServerChanges)
    found = FACTORY.share_server_change_problems(backend_of(emulator), before, after, protocols)
    assert [("a.example for b.example" in each.summary) for each in found] == [True] * refused


@pytest.mark.parametrize(
    ("subnet", "said"),
    [
        (ShareNetworkSubnet(network_type="vxlan", segmentation_id=5), "none on a network of the type vxlan"),
        (ShareNetworkSubnet(network_type="vlan", segmentation_id=5), None),
    ],
)
def test_a_network_as_its_service_describes_it_is_looked_at(
    driver: ShareServerDriver, subnet: ShareNetworkSubnet, said: str | None
) -> None:
    """Before an address is taken there."""
    assert isinstance(driver, ChecksSubnets)
    found = driver.subnet_problems(subnet)
    assert [said is not None and said in each.summary for each in found] == [True] * (said is not None)


@pytest.mark.parametrize(
    ("servers", "said", "remedy"),
    [
        (
            {"homes": [{"node": "n12", "port": "e0d"}]},
            "the node 'n12', which the array does not have; it has n1, n2",
            "n",
        ),
        ({"homes": [{"node": "n1", "port": "e0x"}]}, "port of the node n1 'e0x'", "e0"),
        (
            {"homes": [{"node": "n1", "port": "e0d"}], "rootAggregate": "agr1"},
            "the aggregate 'agr1', which the array does not have; it has aggr0_n1",
            "aggr1",
        ),
    ],
)
def test_what_the_configuration_names_and_the_array_has_not_is_told(
    emulator: Emulator, servers: dict[str, object], said: str, remedy: str
) -> None:
    """With what is there, and the one that may be meant."""
    driver = FACTORY.open(
        backend_of(emulator, shareServers=servers),
        DriverEnvironment("/", lambda _: emulator.login_of(ACCOUNT).password),
    )
    assert isinstance(driver, ChecksSubnets)
    (found,) = driver.subnet_problems(ShareNetworkSubnet(network_type="vlan", segmentation_id=5))
    assert said in found.summary
    assert remedy in found.remedy
    driver.close()
