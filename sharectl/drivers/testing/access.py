"""Access: a full set of rules, put in force and read back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import (
    Driver,
    NotFoundError,
)
from sharectl.drivers.testing.references import new_id, ref
from sharectl.drivers.testing.suite import Suite
from sharectl.model.access import AccessRule
from sharectl.model.quantities import GIB
from sharectl.model.requests import RuleStatus, ShareRef

if TYPE_CHECKING:
    from sharectl.drivers.testing.references import DriverMaker


NOBODYS_ADDRESSES = ("0.0.0.0", "::", "::ffff:10.1.2.3", "::ffff:0:0/96", "224.0.0.1", "255.255.255.255", "ff02::1")  # noqa: S104 - nothing is bound to it
"""What no client has: some servers open an export to everybody for it, others refuse all that stands beside it."""


RESTRICTING = (
    AccessRule("ip", "10.0.0.13", "none"),
    AccessRule("ip", "10.0.0.16/28", "none"),
    AccessRule("ip", "10.0.0.13", "rw", (("insecure", "false"), ("squash", "all"))),
    AccessRule("ip", "10.0.0.13", "rw", (("squash", "most"),)),
    AccessRule("ip", "host.example.org", "none"),
    AccessRule("user", "bob", "none"),
    AccessRule("group", "@interns", "none"),
)
"""Rules by which somebody may do less than by a wider one: some that a server knows, and some that none does."""


class AccessTests(Suite):
    """Rules and export settings."""

    def test_access_is_the_full_set(self, driver: Driver) -> None:
        """After each call exactly the wanted rules are in force, and each has its status."""
        share = self.create(driver, "projects")
        statuses = driver.update_access(ref(share), self.rules, self.rules, [])
        assert dict(statuses) == dict.fromkeys(self.rules, RuleStatus("active"))
        assert self.access_of(driver, share) == set(self.rules)
        fewer = self.rules[1:]
        driver.update_access(ref(share), fewer, [], self.rules[:1])
        assert self.access_of(driver, share) == set(fewer)
        driver.update_access(ref(share), [], [], fewer)
        assert self.access_of(driver, share) == set()

    def test_a_rule_can_be_added_to_others(self, driver: Driver) -> None:
        """A change that adds leaves the rest."""
        share = self.create(driver, "projects")
        driver.update_access(ref(share), self.rules[:1], self.rules[:1], [])
        driver.update_access(ref(share), self.rules, self.rules[1:], [])
        assert self.access_of(driver, share) == set(self.rules)

    def test_an_empty_change_repairs(self, driver: Driver) -> None:
        """With nothing to add or delete, the rules are made so whatever is found."""
        share = self.create(driver, "projects")
        driver.update_access(ref(share), self.rules[:2], self.rules[:2], [])
        driver.update_access(ref(share), self.rules[1:], [], [])
        assert self.access_of(driver, share) == set(self.rules[1:])

    def test_deleting_a_rule_that_is_not_there_succeeds(self, driver: Driver) -> None:
        """What is not there needs no removal."""
        share = self.create(driver, "projects")
        driver.update_access(ref(share), self.rules[:1], self.rules[:1], [])
        statuses = driver.update_access(ref(share), self.rules[:1], [], self.rules[1:])
        assert set(statuses) == set(self.rules[:1])
        assert self.access_of(driver, share) == set(self.rules[:1])

    @pytest.mark.parametrize("address", NOBODYS_ADDRESSES)
    def test_an_address_of_nobody_is_refused_and_lets_nobody_in(self, driver: Driver, address: str) -> None:
        """Some servers take it for everybody; the rules beside it are put in force all the same."""
        share = self.create(driver, "projects")
        nobody = AccessRule("ip", address, "rw")
        statuses = driver.update_access(ref(share), [nobody], [nobody], [])
        assert statuses[nobody].status == "error"
        assert statuses[nobody].reason
        assert self.access_of(driver, share) == set()
        statuses = driver.update_access(ref(share), [nobody, *self.rules], self.rules, [])
        assert {rule for rule, status in statuses.items() if status.status == "active"} == set(self.rules)
        assert self.access_of(driver, share) == set(self.rules)

    @pytest.mark.parametrize("address", NOBODYS_ADDRESSES)
    def test_a_rule_that_fails_keeps_no_other_from_being_revoked(self, driver: Driver, address: str) -> None:
        """Whether the change is told, or found by a repair: who is to be out is out."""
        share = self.create(driver, "projects")
        bad = AccessRule("ip", address, "rw")
        wanted = [bad, *self.rules[1:]]
        for add, delete in (((bad,), self.rules[:1]), ((), ())):
            self.set_access(driver, share, self.rules)
            statuses = driver.update_access(ref(share), wanted, add, delete)
            assert statuses[bad].status == "error"
            assert self.access_of(driver, share) == set(self.rules[1:])

    @pytest.mark.parametrize("narrow", RESTRICTING, ids=lambda rule: f"{rule.key} {rule.grant}")
    def test_who_is_to_be_kept_out_never_gets_in_by_a_wider_rule(self, driver: Driver, narrow: AccessRule) -> None:
        """A rule that gives somebody less than a wider one is in force with it; where it is refused, so is all that lets in."""
        share = self.create(driver, "projects")
        wide = (AccessRule("ip", "10.0.0.0/8", "rw"), *(rule for rule in self.rules if rule.access_type != "ip"))
        for wanted in ((*wide, narrow), (narrow, *wide[::-1])):
            driver.update_access(ref(share), self.rules, [], [])
            statuses = driver.update_access(ref(share), wanted, [], [])
            active = {rule for rule, status in statuses.items() if status.status == "active"}
            assert narrow in active or all(rule.access_level == "none" for rule in active), statuses
            assert self.access_of(driver, share) == active

    def test_export_settings_are_put_in_force_with_the_rules_and_listed(self, driver: Driver) -> None:
        """Where the driver lists any: those of the share are kept while nobody asks for others, and follow whoever does."""
        share = self.create(driver, "projects")
        assert not share.export_settings
        self.set_access(driver, share, self.rules)
        before = self.listed(driver, share).export_settings
        if before is None:
            pytest.skip("the driver lists no export settings")
        wanted = {**dict(before), **self.other_export_settings}
        changed = replace(ref(share), export_settings=wanted)
        driver.update_access(changed, self.rules, [], [])
        driver.update_access(ref(share), self.rules[1:], [], self.rules[:1])
        listed = self.listed(driver, share)
        assert (set(listed.access), dict(listed.export_settings or ())) == (set(self.rules[1:]), wanted)

    def test_the_same_access_twice_is_the_same(self, driver: Driver) -> None:
        """A repeated change changes nothing more."""
        share = self.create(driver, "projects")
        for _ in range(2):
            driver.update_access(ref(share), self.rules, self.rules, [])
        assert self.access_of(driver, share) == set(self.rules)

    def test_access_survives_reopening(self, make_driver: DriverMaker) -> None:
        """Another process sees the rules that are in force."""
        first = make_driver()
        first.prepare()
        share = self.create(first, "projects")
        self.set_access(first, share, self.rules)
        first.close()
        second = make_driver()
        assert self.access_of(second, share) == set(self.rules)
        second.close()

    def test_access_to_a_share_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """The engine must learn that the share is gone."""
        gone = ShareRef(new_id(), "nowhere", "nowhere", driver.pools()[0].name, self.protocol, GIB)
        with pytest.raises(NotFoundError):
            driver.update_access(gone, self.rules, self.rules, [])
