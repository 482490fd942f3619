"""Shares that are exported over two protocols."""

# `needs` takes the Protocol of a capability, which mypy reports for any argument that is a type:
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ChangesProtocols, Driver
from sharectl.drivers.testing.references import ref
from sharectl.drivers.testing.suite import Suite
from sharectl.model.access import BOTH, AccessRule

if TYPE_CHECKING:
    from sharectl.model.observed import ObservedShare


class ProtocolTests(Suite):
    """Both at once, and one of them added or taken away."""

    def able(self, driver: Driver) -> ChangesProtocols:
        """Return the driver as one that exports over both, where its backend has both."""
        if not {"NFS", "CIFS"} <= set(driver.report().protocols):
            pytest.skip("the backend exports over one protocol")
        return self.needs(driver, ChangesProtocols)

    def create_both(self, driver: Driver) -> ObservedShare:
        """Make a share of both protocols with access over each."""
        self.able(driver)
        share = driver.create_share(replace(self.request(driver, "projects"), protocol=BOTH))
        assert share.protocol == BOTH
        self.set_access(driver, share, self.rules_of_both)
        return share

    def expect_locations(self, driver: Driver, share: ObservedShare, *protocols: str) -> None:
        """Hold the export locations, where there are some, to be of these protocols."""
        found = self.listed(driver, share).export_locations
        assert {"CIFS" if location.startswith("\\\\") else "NFS" for location in found} in (set(protocols), set())

    def test_a_share_of_both_protocols_has_exports_of_both(self, driver: Driver) -> None:
        """With the rules of both in force, and made again by the same request."""
        share = self.create_both(driver)
        assert self.access_of(driver, share) == set(self.rules_of_both)
        self.expect_locations(driver, share, "CIFS", "NFS")
        assert (
            driver.create_share(
                replace(self.request(driver, "projects"), resource_id=str(share.resource_id), protocol=BOTH)
            ).protocol
            == BOTH
        )

    def test_a_protocol_that_goes_takes_its_access_along(self, driver: Driver) -> None:
        """The rules that are left hold over the other."""
        able = self.able(driver)
        share = self.create_both(driver)
        hosts = [rule for rule in self.rules_of_both if rule.access_type == "ip"]
        for _ in range(2):
            able.change_protocols(ref(share), "NFS")
        self.expect_locations(driver, share, "NFS")
        driver.update_access(replace(ref(share), protocol="NFS"), hosts, [], [])
        assert self.access_of(driver, share) == set(hosts)

    def test_a_protocol_that_comes_has_access_with_the_next_rules(self, driver: Driver) -> None:
        """The other keeps what it has."""
        able = self.able(driver)
        share = driver.create_share(replace(self.request(driver, "projects"), protocol="NFS"))
        hosts = [rule for rule in self.rules_of_both if rule.access_type == "ip"]
        driver.update_access(ref(share), hosts, hosts, [])
        able.change_protocols(ref(share), BOTH)
        assert self.access_of(driver, share) == set(hosts)
        statuses = driver.update_access(replace(ref(share), protocol=BOTH), self.rules_of_both, [], [])
        assert {status.status for status in statuses.values()} == {"active"}
        assert self.access_of(driver, share) == set(self.rules_of_both)
        self.expect_locations(driver, share, "CIFS", "NFS")

    def test_without_rules_for_people_nobody_comes_over_smb(self, driver: Driver) -> None:
        """Addresses alone are for NFS."""
        share = self.create_both(driver)
        hosts = [rule for rule in self.rules_of_both if rule.access_type == "ip"]
        driver.update_access(ref(share), hosts, [], [])
        assert self.access_of(driver, share) == set(hosts)

    def test_people_do_not_come_from_addresses_that_may_only_read(self, driver: Driver) -> None:
        """Where none may write, a rule for people is an error, and nobody is let in by it."""
        share = self.create_both(driver)
        reader, person = AccessRule("ip", "192.0.2.7", "ro"), self.rules_of_both[-1]
        problems = {
            rule: status.status for rule, status in driver.update_access(ref(share), [reader, person], [], []).items()
        }
        if problems[person] == "active":  # a driver that asks no server
            return
        assert problems == {reader: "active", person: "error"}
        assert self.access_of(driver, share) == {reader}
