"""The conformance suite of drivers that make share servers: on a backend with `shareServers: true`, beside `DriverConformance`."""

# `needs` takes the Protocol of a capability, which mypy reports for any argument that is a type:
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest

from sharectl.drivers.base import Driver, DriverError, ShareInUseError, TrashesShares
from sharectl.drivers.share_servers import HandlesShareServers, UpdatesShareServers
from sharectl.drivers.testing import new_id, ref
from sharectl.drivers.testing.references import shares_of
from sharectl.model.networks import NetworkAllocation
from sharectl.model.observed import ObservedShareServer
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRequest, ShareServerRef, ShareServerRequest
from sharectl.model.share_networks import SecurityServiceSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.model.observed import ObservedShare

    class ServerDriver(Driver, HandlesShareServers, Protocol):
        """A driver that makes share servers."""

    DriverMaker = Callable[[], ServerDriver]

Wanted = TypeVar("Wanted")


class ShareServerConformance:
    """Subclass it and override the fixture `make_driver`; set `protocol` to one that the backend exports.

    `directory_service` is one that the backend's servers can join, for drivers that change them.
    `allocations` makes addresses that the backend can really answer on; what it returns for two different `segment` numbers must
    not meet, and `number` tells addresses on one segment apart.
    """

    protocol = "NFS"
    directory_service = SecurityServiceSpec("people", "ldap", {"server": "ldap.example"})

    @pytest.fixture
    def make_driver(self) -> DriverMaker:
        """Return a function that opens a driver, each time the same backend, which makes share servers and is empty at first."""
        raise NotImplementedError

    @pytest.fixture
    def driver(self, make_driver: DriverMaker) -> Iterator[ServerDriver]:
        """Open a backend that is ready for use."""
        driver = make_driver()
        driver.prepare()
        yield driver
        driver.close()

    def allocations(
        self, server_id: str, *, count: int = 1, number: int = 0, segment: int = 100
    ) -> tuple[NetworkAllocation, ...]:
        """Return addresses for a share server, as a network service would."""
        return tuple(
            NetworkAllocation(
                allocation_id=f"{server_id}/{place}",
                share_server_id=server_id,
                ip_address=f"10.99.0.{10 + 10 * number + place}",
                ip_version=4,
                cidr="10.99.0.0/24",
                gateway="10.99.0.1",
                network_type="vlan",
                segmentation_id=segment,
                mtu=1500,
            )
            for place in range(count)
        )

    # Servers

    def test_the_driver_meets_the_contract(self, driver: ServerDriver) -> None:
        """It has the methods, and says how many addresses a server needs."""
        assert isinstance(driver, HandlesShareServers)
        assert driver.share_server_allocations() >= 1

    def test_an_empty_backend_lists_no_server(self, make_driver: DriverMaker) -> None:
        """Before it is prepared, and after."""
        driver = make_driver()
        assert list(driver.list_share_servers()) == []
        driver.prepare()
        assert list(driver.list_share_servers()) == []
        driver.close()

    def test_a_new_server_is_listed_as_create_returned_it(self, driver: ServerDriver) -> None:
        """Healthy, and on the addresses that it was given."""
        request = self.request(driver)
        made = driver.create_share_server(request)
        assert isinstance(made, ObservedShareServer)
        assert made.resource_id == request.resource_id
        assert made.healthy, made.problem
        assert made.ip_addresses == tuple(sorted(allocation.ip_address for allocation in request.allocations))
        assert list(driver.list_share_servers()) == [made]

    def test_create_twice_makes_one_server_also_after_reopening(self, make_driver: DriverMaker) -> None:
        """Another process that repeats a creation finds the server."""
        first = make_driver()
        first.prepare()
        request = self.request(first)
        made = first.create_share_server(request)
        first.close()
        second = make_driver()
        assert second.create_share_server(request) == made
        assert list(second.list_share_servers()) == [made]
        second.close()

    def test_listing_by_id_returns_just_those(self, driver: ServerDriver) -> None:
        """Ids that are not there are left out."""
        made = driver.create_share_server(self.request(driver))
        driver.create_share_server(self.request(driver, number=1))
        assert list(driver.list_share_servers([str(made.resource_id), new_id()])) == [made]
        assert list(driver.list_share_servers([])) == []

    def test_delete_removes_the_server_and_twice_is_no_error(self, driver: ServerDriver) -> None:
        """Its name and its addresses are free again."""
        request = self.request(driver)
        made = driver.create_share_server(request)
        other = driver.create_share_server(self.request(driver, number=1))
        for _ in range(2):
            driver.delete_share_server(self.server_ref(made, request))
        assert list(driver.list_share_servers()) == [other]
        again = self.request(driver)
        assert driver.create_share_server(again).healthy

    def test_a_server_that_was_never_made_is_deleted_without_error(self, driver: ServerDriver) -> None:
        """As the engine does it after a creation of which it knows nothing more than the id."""
        driver.delete_share_server(ShareServerRef(new_id(), "", "red-default"))
        assert list(driver.list_share_servers()) == []

    def test_two_servers_on_different_segments_may_have_equal_addresses(self, driver: ServerDriver) -> None:
        """Tenants do not know of each other."""
        one = driver.create_share_server(self.request(driver, segment=101))
        other = driver.create_share_server(self.request(driver, segment=102))
        assert one.ip_addresses == other.ip_addresses
        assert {server.resource_id for server in driver.list_share_servers()} == {one.resource_id, other.resource_id}

    def test_many_servers_are_made_at_once(self, driver: ServerDriver) -> None:
        """By as many threads."""
        requests = [self.request(driver, number=number) for number in range(6)]
        with ThreadPoolExecutor(len(requests)) as pool:
            made = list(pool.map(driver.create_share_server, requests))
        assert sorted(made) == sorted(driver.list_share_servers())
        assert all(server.healthy for server in made)

    # Shares on them

    def test_a_share_is_on_the_server_that_was_asked_for(self, driver: ServerDriver) -> None:
        """It says so, and where clients find it names the server's address."""
        server = driver.create_share_server(self.request(driver))
        driver.create_share_server(self.request(driver, number=1))
        share = self.share(driver, server)
        assert share.share_server_id == server.resource_id
        assert shares_of(driver) == [share]
        assert any(address in location for address in server.ip_addresses for location in share.export_locations)

    def test_a_share_without_a_server_is_refused(self, driver: ServerDriver) -> None:
        """The backend's own server has no place in a tenant's network; and a server that is not there exports nothing."""
        driver.create_share_server(self.request(driver))
        for server_id in (None, new_id()):
            with pytest.raises(DriverError):
                driver.create_share(self.share_request(driver, server_id))
        assert shares_of(driver) == []

    def test_a_server_with_a_share_is_not_deleted(self, driver: ServerDriver) -> None:
        """Nothing of the share is touched."""
        request = self.request(driver)
        server = driver.create_share_server(request)
        share = self.share(driver, server)
        with pytest.raises(ShareInUseError):
            driver.delete_share_server(self.server_ref(server, request))
        assert shares_of(driver) == [share]
        assert list(driver.list_share_servers()) == [server]
        driver.delete_share(ref(share))
        driver.delete_share_server(self.server_ref(server, request))
        assert list(driver.list_share_servers()) == []

    def test_a_server_with_a_share_in_the_trash_is_not_deleted(self, driver: ServerDriver) -> None:
        """A share that comes back needs it."""
        able = self.needs(driver, TrashesShares)
        request = self.request(driver)
        server = driver.create_share_server(request)
        share = self.share(driver, server)
        able.trash_share(ref(share))
        with pytest.raises(ShareInUseError):
            driver.delete_share_server(self.server_ref(server, request))
        assert able.restore_share(str(share.resource_id)).share_server_id == server.resource_id

    def test_making_a_server_again_keeps_its_shares(self, driver: ServerDriver) -> None:
        """As a repair does it."""
        request = self.request(driver)
        server = driver.create_share_server(request)
        share = self.share(driver, server)
        assert driver.create_share_server(request) == server
        assert shares_of(driver) == [share]

    def test_a_server_that_gets_another_address_answers_there(self, driver: ServerDriver) -> None:
        """Its shares are found on the new one, and no more on the old one."""
        request = self.request(driver)
        server = driver.create_share_server(request)
        share = self.share(driver, server)
        count = driver.share_server_allocations()
        moved = replace(request, allocations=self.allocations(request.resource_id, count=count, number=5))
        made = driver.create_share_server(moved)
        assert made.ip_addresses == tuple(sorted(allocation.ip_address for allocation in moved.allocations))
        (listed,) = driver.list_shares([str(share.resource_id)])
        assert any(address in location for address in made.ip_addresses for location in listed.export_locations)
        assert not any(f"{old}:" in place for old in server.ip_addresses for place in listed.export_locations)

    def test_directory_services_change_without_moving_shares(self, driver: ServerDriver) -> None:
        """Where the driver can; a server that is not there cannot be changed."""
        able = self.needs(driver, UpdatesShareServers)
        request = self.request(driver)
        server = driver.create_share_server(request)
        share = self.share(driver, server)
        changed = able.update_share_server(replace(request, security_services=(self.directory_service,)))
        assert (changed.resource_id, changed.ip_addresses) == (server.resource_id, server.ip_addresses)
        assert shares_of(driver) == [share]
        with pytest.raises(DriverError):
            able.update_share_server(replace(request, resource_id=new_id()))

    # What the tests are made of

    def needs(self, driver: Driver, capability: type[Wanted]) -> Wanted:
        """Return the driver as one that has the capability, or skip the test."""
        if not isinstance(driver, capability):
            pytest.skip(f"the driver does not have {capability.__name__}")
        return driver

    def request(self, driver: ServerDriver, *, number: int = 0, segment: int = 100) -> ShareServerRequest:
        """Return a request for a new share server."""
        server_id = new_id()
        count = driver.share_server_allocations()
        allocations = self.allocations(server_id, count=count, number=number, segment=segment)
        return ShareServerRequest(server_id, "red-default", "red", allocations)

    def server_ref(self, server: ObservedShareServer, request: ShareServerRequest) -> ShareServerRef:
        """Return the server as the state would know it."""
        return ShareServerRef(request.resource_id, server.backend_id, server.name, request.allocations)

    def share_request(self, driver: Driver, server_id: str | None) -> ShareRequest:
        """Return a request for a share of one GiB on the server."""
        pool = driver.pools()[0].name
        return ShareRequest(new_id(), "projects", GIB, self.protocol, pool, share_server_id=server_id)

    def share(self, driver: Driver, server: ObservedShareServer) -> ObservedShare:
        """Make a share on the server."""
        return driver.create_share(self.share_request(driver, server.resource_id))
