"""Shares: made once, listed as they are, deleted whole, however they are called and however many at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import (
    Driver,
    DriverError,
)
from sharectl.drivers.testing.references import new_id, ref
from sharectl.drivers.testing.suite import Suite
from sharectl.model.observed import ObservedShare
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRef, ShareRequest

if TYPE_CHECKING:
    from sharectl.drivers.testing.references import DriverMaker


HOSTILE_NAMES = (
    "..",
    ".",
    "",
    "a/b",
    "../outside",
    "/absolute",
    "quote'double\"",
    "new\nline",
    "nul\0byte",
    "per%cent%s",
    "brace}{",
    "dollar$(id)`id`",
    "back\\slash",
    "space and # hash",
    "[global]",
    "-rf",
    "snowman-☃",
    "\u202egnp.exe",
    "x" * 300,
)


class ShareTests(Suite):
    """Creation, listing and deletion."""

    def test_a_new_share_is_listed_as_create_returned_it(self, driver: Driver) -> None:
        """Creation and listing agree, and nobody may reach the share yet."""
        share = self.create(driver, "projects")
        assert isinstance(share, ObservedShare)
        assert (share.name, share.size_bytes, share.protocol) == ("projects", GIB, self.protocol)
        assert share.access == ()
        assert self.shares(driver) == [share]

    def test_create_twice_makes_one_share(self, driver: Driver) -> None:
        """The second call returns what the first did."""
        request = self.request(driver, "projects")
        assert driver.create_share(request) == driver.create_share(request)
        assert len(driver.list_shares()) == 1

    def test_create_is_idempotent_after_reopening(self, make_driver: DriverMaker) -> None:
        """Another process that repeats a creation finds the share."""
        first = make_driver()
        first.prepare()
        request = self.request(first, "projects")
        made = first.create_share(request)
        first.close()
        second = make_driver()
        assert second.create_share(request) == made
        assert self.shares(second) == [made]
        second.close()

    def test_repeated_creation_leaves_data_and_access(self, driver: Driver) -> None:
        """A share that is in use already is only reported."""
        request = self.request(driver, "projects")
        share = driver.create_share(request)
        self.set_access(driver, share, self.rules)
        again = driver.create_share(request)
        assert set(again.access) == set(self.rules)

    def test_two_shares_of_one_name_are_two(self, driver: Driver) -> None:
        """A name that another managed share has is not an obstacle."""
        one, other = self.create(driver, "projects"), self.create(driver, "projects")
        assert one.backend_id != other.backend_id
        assert {share.resource_id for share in driver.list_shares()} == {one.resource_id, other.resource_id}

    def test_listing_by_id_returns_just_those(self, driver: Driver) -> None:
        """Ids that are not there are left out."""
        share = self.create(driver, "one")
        self.create(driver, "two")
        assert self.shares(driver, [str(share.resource_id), new_id()]) == [share]
        assert list(driver.list_shares([])) == []

    def test_delete_removes_the_share_and_twice_is_no_error(self, driver: Driver) -> None:
        """Deletion ends with the share gone, however often it is asked for."""
        share = self.create(driver, "projects")
        other = self.create(driver, "other")
        self.set_access(driver, share, self.rules)
        driver.delete_share(ref(share))
        driver.delete_share(ref(share))
        assert self.shares(driver) == [other]

    def test_delete_of_a_share_that_never_was_is_no_error(self, driver: Driver) -> None:
        """What is not there needs no removal."""
        driver.delete_share(ShareRef(new_id(), "nowhere", "nowhere", driver.pools()[0].name, self.protocol, GIB))

    def test_a_name_is_free_again_after_deletion(self, driver: Driver) -> None:
        """A new share of the same name gets the same name on the backend."""
        first = self.create(driver, "projects")
        driver.delete_share(ref(first))
        assert self.create(driver, "projects").backend_id == first.backend_id

    @pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
    def test_a_hostile_name_is_refused_or_kept_whole(self, driver: Driver, name: str) -> None:
        """Either nothing is made, or exactly one share of exactly this name, with access that reads back."""
        neighbour = self.create(driver, "neighbour")
        request = self.request(driver, name)
        try:
            share = driver.create_share(request)
        except DriverError:
            assert self.shares(driver) == [neighbour]
            return
        assert share.name == name
        self.set_access(driver, share, self.rules)
        listed = {entry.resource_id: entry for entry in driver.list_shares()}
        assert set(listed) == {neighbour.resource_id, share.resource_id}
        assert set(listed[share.resource_id].access) == set(self.rules)
        driver.delete_share(ref(share))
        assert self.shares(driver) == [neighbour]

    def test_an_unknown_pool_is_refused(self, driver: Driver) -> None:
        """A pool that is not there takes nothing."""
        request = ShareRequest(new_id(), "projects", GIB, self.protocol, "no-such-pool")
        with pytest.raises(DriverError):
            driver.create_share(request)
        assert self.shares(driver) == []

    def test_many_threads_at_once(self, driver: Driver) -> None:
        """Each thread's share comes out as if it had been alone, even where all want one name."""
        barrier = threading.Barrier(self.threads)

        def life(number: int) -> ObservedShare:
            barrier.wait()
            share = self.create(driver, "wanted-by-all" if number % 2 else f"own-{number}")
            self.set_access(driver, share, self.rules)
            if number % 4 == 0:
                driver.delete_share(ref(share))
            return share

        with ThreadPoolExecutor(self.threads) as pool:
            made = list(pool.map(life, range(self.threads)))
        kept = {share.resource_id for number, share in enumerate(made) if number % 4}
        listed = driver.list_shares()
        assert {share.resource_id for share in listed} == kept
        assert len({share.backend_id for share in listed}) == len(kept)
        assert all(set(share.access) == set(self.rules) for share in listed)
