"""Shares that clients see under other names than their own."""

# `needs` takes the Protocol of a capability, which mypy reports for any argument that is a type:
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from dataclasses import replace

import pytest

from sharectl.drivers.base import ConflictError, Driver, NamesExports, NotFoundError, TrashesShares
from sharectl.drivers.testing.references import new_id, ref
from sharectl.drivers.testing.suite import Suite
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRef


class ExportNameTests(Suite):
    """Asked for, changed, and each had by one share alone."""

    def names(self, driver: Driver) -> tuple[NamesExports, str, str]:
        """Return the driver as one that names exports, and two names that it takes."""
        able = self.needs(driver, NamesExports)
        if not self.export_names:
            pytest.skip("shares of this protocol have no other names here")
        first, second = self.export_names
        return able, first, second

    def test_a_share_is_exported_under_the_name_that_was_asked_for(self, driver: Driver) -> None:
        """Listed under it, with its own name beside it, and made again by the same request."""
        _, name, _ = self.names(driver)
        request = replace(self.request(driver, "projects"), export_name=name)
        share = driver.create_share(request)
        assert (share.export_name, share.name) == (name, "projects")
        assert all(name in location for location in share.export_locations)
        assert driver.create_share(request) == share
        assert self.shares(driver) == [share]

    def test_a_name_that_another_share_has_in_whatever_case_is_a_conflict(self, driver: Driver) -> None:
        """Nothing is made."""
        _, name, _ = self.names(driver)
        first = driver.create_share(replace(self.request(driver, "a"), export_name=name))
        with pytest.raises(ConflictError):
            driver.create_share(replace(self.request(driver, "b"), export_name=name.swapcase()))
        assert self.shares(driver) == [first]

    def test_a_renamed_export_keeps_its_rules(self, driver: Driver) -> None:
        """And gives its old name up; doing so again changes nothing."""
        able, name, other = self.names(driver)
        share = driver.create_share(replace(self.request(driver, "projects"), export_name=name))
        self.set_access(driver, share, self.rules)
        for _ in range(2):
            able.rename_export(ref(share), other)
            found = self.listed(driver, share)
            assert (found.export_name, set(found.access)) == (other, set(self.rules))
        assert all(other in location for location in found.export_locations)
        assert driver.create_share(replace(self.request(driver, "b"), export_name=name)).export_name == name

    def test_renaming_to_a_name_that_another_share_has_is_a_conflict(self, driver: Driver) -> None:
        """Everything is as before."""
        able, name, other = self.names(driver)
        first = driver.create_share(replace(self.request(driver, "a"), export_name=name))
        second = driver.create_share(replace(self.request(driver, "b"), export_name=other))
        self.set_access(driver, second, self.rules)
        with pytest.raises(ConflictError):
            able.rename_export(ref(second), name.swapcase())
        assert self.access_of(driver, second) == set(self.rules)
        assert {share.export_name for share in driver.list_shares()} == {name, other}
        assert self.listed(driver, first) == first

    def test_a_share_in_the_trash_gives_its_name_up_and_has_it_back_if_it_is_free(self, driver: Driver) -> None:
        """Else it comes back under another."""
        _, name, _ = self.names(driver)
        able = self.needs(driver, TrashesShares)
        share = driver.create_share(replace(self.request(driver, "a"), export_name=name))
        able.trash_share(ref(share))
        assert able.restore_share(str(share.resource_id)).export_name == name
        able.trash_share(ref(share))
        heir = driver.create_share(replace(self.request(driver, "b"), export_name=name))
        assert heir.export_name == name
        assert able.restore_share(str(share.resource_id)).export_name != name
        assert self.listed(driver, heir) == heir

    def test_renaming_what_is_not_there_is_an_error(self, driver: Driver) -> None:
        """No export comes of it."""
        able, name, _ = self.names(driver)
        gone = ShareRef(new_id(), "nowhere", "nowhere", driver.pools()[0].name, self.protocol, GIB)
        with pytest.raises(NotFoundError):
            able.rename_export(gone, name)
        assert self.shares(driver) == []
