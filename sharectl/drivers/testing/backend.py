"""What a backend says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.base import (
    Driver,
)
from sharectl.drivers.testing.suite import Suite
from sharectl.model.observed import BackendReport, PoolReport

if TYPE_CHECKING:
    from sharectl.drivers.testing.references import DriverMaker


class BackendTests(Suite):
    """Identity, reports and pools."""

    def test_it_meets_the_protocol(self, driver: Driver) -> None:
        """The object is a Driver."""
        assert isinstance(driver, Driver)

    def test_the_identity_is_none_until_prepared_and_then_stays(self, make_driver: DriverMaker) -> None:
        """`prepare` gives the backend its identity once, for all drivers that open it later."""
        first = make_driver()
        assert first.report().identity is None
        identity = first.prepare()
        assert identity
        assert first.prepare() == identity
        first.close()
        second = make_driver()
        assert second.report().identity == identity
        assert second.prepare() == identity
        second.close()

    def test_reports_have_the_types_of_the_contract(self, driver: Driver) -> None:
        """A report names protocols; pools have unique names and capacities in bytes."""
        report = driver.report()
        assert isinstance(report, BackendReport)
        assert self.protocol in report.protocols
        pools = driver.pools()
        assert pools
        assert all(isinstance(pool, PoolReport) for pool in pools)
        assert len({pool.name for pool in pools}) == len(pools)
        for pool in pools:
            for capacity in (pool.total_bytes, pool.free_bytes):
                assert capacity in {"unknown", "infinite"} or (isinstance(capacity, int) and capacity >= 0)

    def test_an_empty_backend_lists_nothing(self, driver: Driver) -> None:
        """No share, managed or not, is on an empty backend."""
        assert self.shares(driver) == []

    def test_listing_before_prepare_is_empty(self, make_driver: DriverMaker) -> None:
        """A backend that was never prepared holds nothing of sharectl's."""
        driver = make_driver()
        assert [share for share in driver.list_shares() if share.resource_id is not None] == []
        driver.close()
