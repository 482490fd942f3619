"""What all parts of the conformance suite are made of: the driver under test, what a driver's author fills in, and helpers."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import pytest

from sharectl.drivers.testing.references import new_id, ref, shares_of
from sharectl.model.access import AccessRule
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRequest, SnapshotRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sharectl.drivers.base import (
        Driver,
    )
    from sharectl.drivers.testing.references import DriverMaker
    from sharectl.model.checks import ShareProblem, WantedShare
    from sharectl.model.observed import ObservedShare


Wanted = TypeVar("Wanted")


class Suite:
    """What the author of a driver overrides, and what the tests are made of."""

    protocol = "NFS"
    """The protocol of the shares that the suite makes."""

    rules: tuple[AccessRule, ...] = (
        AccessRule("ip", "10.0.0.0/8", "rw"),
        AccessRule("ip", "192.0.2.7", "ro"),
        AccessRule("ip", "2001:db8::/32", "rw"),
    )
    """Three rules that the backend can put in force on a share of that protocol."""

    other_export_settings: Mapping[str, str] = MappingProxyType({})
    """Export settings that a share can have in place of those that it gets without being asked; none where there are no others."""

    export_names: tuple[str, ...] = ("Marketing Team", "Donn\u00e9es 2024")
    """Two names under which clients may see a share of that protocol; none where they see its own alone."""

    rules_of_both: tuple[AccessRule, ...] = (
        AccessRule("ip", "10.0.0.0/8", "rw"),
        AccessRule("ip", "192.0.2.7", "ro"),
        AccessRule("user", "alice", "rw"),
    )
    """Rules that the backend can put in force on a share of both protocols, the last one for a person."""

    threads = 64
    """How many threads call at once."""

    @pytest.fixture
    def make_driver(self) -> DriverMaker:
        """Return what opens the same, at first empty, backend anew each time that it is called."""
        pytest.fail("override the fixture make_driver")

    def write_content(self, driver: Driver, share: ObservedShare, text: str) -> None:
        """Put `text` into the share as a client would; without this the tests of data are skipped."""
        del driver, share, text
        pytest.skip("write_content is not overridden")

    def read_content(self, driver: Driver, share: ObservedShare) -> str:
        """Return the text that `write_content` put there."""
        del driver, share
        pytest.skip("read_content is not overridden")

    def make_unmanaged(self, driver: Driver) -> str:
        """Make a share as an administrator would, without sharectl, and return its `backend_id`."""
        del driver
        pytest.skip("make_unmanaged is not overridden")

    def share_problems(self, driver: Driver, share: WantedShare) -> Sequence[ShareProblem]:
        """Return what the factory's check says of a share on this backend; without this its tests are skipped."""
        del driver, share
        pytest.skip("share_problems is not overridden")

    @pytest.fixture
    def driver(self, make_driver: DriverMaker) -> Iterator[Driver]:
        """Give a prepared driver."""
        driver = make_driver()
        driver.prepare()
        yield driver
        driver.close()

    def needs(self, driver: Driver, capability: type[Wanted]) -> Wanted:
        """Return the driver as one that has the capability, or skip the test."""
        if not isinstance(driver, capability):
            pytest.skip(f"the driver does not have {capability.__name__}")
        return driver

    def request(self, driver: Driver, name: str, snapshot: SnapshotRef | None = None) -> ShareRequest:
        """Return a request for a share of one GiB with a new id in the first pool."""
        return ShareRequest(new_id(), name, GIB, self.protocol, driver.pools()[0].name, snapshot=snapshot)

    def create(self, driver: Driver, name: str) -> ObservedShare:
        """Make a share."""
        return driver.create_share(self.request(driver, name))

    def set_access(self, driver: Driver, share: ObservedShare, rules: tuple[AccessRule, ...]) -> None:
        """Put the rules in force on a share that has none."""
        statuses = driver.update_access(ref(share), rules, rules, [])
        assert all(status.status == "active" for status in statuses.values())

    def shares(self, driver: Driver, resource_ids: Collection[str] | None = None) -> list[ObservedShare]:
        """Return the shares as the backend lists them now, but for what is used of them, which may be anything."""
        return shares_of(driver, resource_ids)

    def listed(self, driver: Driver, share: ObservedShare) -> ObservedShare:
        """Return the share as the backend lists it now, but for what is used of it."""
        (found,) = self.shares(driver, [str(share.resource_id)])
        return found

    def access_of(self, driver: Driver, share: ObservedShare) -> set[AccessRule]:
        """Return the rules in force on the share."""
        return set(self.listed(driver, share).access)
