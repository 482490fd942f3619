"""Sizes: extended, shrunk and measured."""

# `needs` takes the Protocol of a capability, which mypy reports for any argument that is a type:
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sharectl.drivers.base import (
    Driver,
    ExtendsShares,
    MeasuresUsage,
    NotFoundError,
    ShrinksShares,
)
from sharectl.drivers.testing.references import new_id, ref
from sharectl.drivers.testing.suite import Suite
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRef

_OWN_BYTES = 16 << 20
_WRITTEN_BYTES = 1 << 20


class SizeTests(Suite):
    """A change of size goes in its own direction alone."""

    def test_extend_records_the_size(self, driver: Driver) -> None:
        """The new size is listed; asking for it again is not an error."""
        able = self.needs(driver, ExtendsShares)
        share = self.create(driver, "projects")
        for _ in range(2):
            able.extend_share(ref(share), 2 * GIB)
        assert self.listed(driver, share).size_bytes == 2 * GIB

    def test_extend_never_makes_smaller(self, driver: Driver) -> None:
        """A share that has more room than is asked for keeps it, whatever its reference says, and the answer is its size."""
        able = self.needs(driver, ExtendsShares)
        share = self.create(driver, "projects")
        assert able.extend_share(ref(share), 4 * GIB) is None
        assert able.extend_share(ref(share), 2 * GIB) == 4 * GIB
        assert self.listed(driver, share).size_bytes == 4 * GIB

    def test_shrink_never_makes_larger(self, driver: Driver) -> None:
        """A share that is smaller than is asked for stays so, and the answer is its size."""
        able = self.needs(driver, ShrinksShares)
        share = self.create(driver, "projects")
        assert able.shrink_share(ref(share), GIB // 2) is None
        assert able.shrink_share(ref(share), GIB) == GIB // 2
        assert self.listed(driver, share).size_bytes == GIB // 2

    def test_extends_that_race_leave_the_largest_size(self, driver: Driver) -> None:
        """Whichever comes last, none takes back the room that another has made."""
        able = self.needs(driver, ExtendsShares)
        share = self.create(driver, "projects")
        sizes = [number * GIB for number in range(2, 8)]
        with ThreadPoolExecutor(len(sizes)) as threads:
            for done in [threads.submit(able.extend_share, ref(share), size) for size in sizes]:
                done.result()
        assert self.listed(driver, share).size_bytes == max(sizes)

    def test_shrink_records_the_size_and_keeps_what_is_used(self, driver: Driver) -> None:
        """An empty share can be made smaller; asking for it again is not an error."""
        able = self.needs(driver, ShrinksShares)
        share = self.create(driver, "projects")
        for _ in range(2):
            able.shrink_share(ref(share), GIB // 2)
        assert self.listed(driver, share).size_bytes == GIB // 2

    def test_resizing_a_share_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """The engine must learn that the share is gone."""
        able = self.needs(driver, ExtendsShares)
        with pytest.raises(NotFoundError):
            able.extend_share(ShareRef(new_id(), "x", "x", driver.pools()[0].name, self.protocol, GIB), 2 * GIB)

    def test_usage_of_a_share_is_measured(self, driver: Driver) -> None:
        """It is a number of bytes; for a share that is not there, not found."""
        able = self.needs(driver, MeasuresUsage)
        share = self.create(driver, "projects")
        assert able.used_bytes(ref(share)) >= 0
        driver.delete_share(ref(share))
        with pytest.raises(NotFoundError):
            able.used_bytes(ref(share))

    def test_usage_is_listed_about_as_it_is_measured(self, driver: Driver) -> None:
        """Where a listing says it at all: of each share, with all of them and with some. What a backend keeps for itself may change meanwhile."""
        able = self.needs(driver, MeasuresUsage)
        share = self.create(driver, "projects")
        self.create(driver, "other")
        measured = able.used_bytes(ref(share))
        listed = {each.resource_id: each.used_bytes for each in driver.list_shares()}
        if listed[share.resource_id] is None:
            pytest.skip("the driver does not list what is used")
        (found,) = driver.list_shares([str(share.resource_id)])
        for used_bytes in (*listed.values(), found.used_bytes):
            assert type(used_bytes) is int
            assert abs(used_bytes - measured) < _OWN_BYTES

    def test_usage_grows_with_what_clients_write(self, driver: Driver) -> None:
        """Where the suite can write, and a listing says it: in the listing, once the share was measured."""
        able = self.needs(driver, MeasuresUsage)
        share = self.create(driver, "projects")
        able.used_bytes(ref(share))
        (before,) = driver.list_shares([str(share.resource_id)])
        if before.used_bytes is None:
            pytest.skip("the driver does not list what is used")
        self.write_content(driver, share, "x" * _WRITTEN_BYTES)
        able.used_bytes(ref(share))
        (after,) = driver.list_shares([str(share.resource_id)])
        assert after.used_bytes is not None
        assert after.used_bytes - before.used_bytes >= _WRITTEN_BYTES
