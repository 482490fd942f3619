"""Snapshots, clones and reverts."""

# `needs` takes the Protocol of a capability, which mypy reports for any argument that is a type:
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from dataclasses import replace

import pytest

from sharectl.drivers.base import (
    ClonesSnapshots,
    Driver,
    DriverError,
    ExtendsShares,
    NotFoundError,
    RevertsShares,
    SchedulesSnapshots,
    SnapshotsShares,
)
from sharectl.drivers.testing.references import new_id, ref, snapshot_ref
from sharectl.drivers.testing.suite import Suite
from sharectl.model.observed import ObservedSnapshot
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRef, SnapshotRef
from sharectl.model.specs import DailySnapshots, HourlySnapshots, SnapshotPolicy


class SnapshotTests(Suite):
    """Content as it was."""

    def test_a_snapshot_is_listed_as_create_returned_it(self, driver: Driver) -> None:
        """Taken twice under one id it is one snapshot."""
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        resource_id = new_id()
        snapshot = able.create_snapshot(ref(share), resource_id, "monday")
        assert isinstance(snapshot, ObservedSnapshot)
        assert (snapshot.resource_id, snapshot.name) == (resource_id, "monday")
        assert snapshot.share_backend_id == share.backend_id
        assert able.create_snapshot(ref(share), resource_id, "monday") == snapshot
        assert list(able.list_snapshots()) == [snapshot]
        assert list(able.list_snapshots([resource_id])) == [snapshot]
        assert list(able.list_snapshots([new_id()])) == []

    def test_a_snapshot_policy_is_listed_as_it_was_given(self, driver: Driver) -> None:
        """Given twice, replaced and ended; a new share has none, and nothing that is taken by it is among the snapshots."""
        able = self.needs(driver, SchedulesSnapshots)
        share = self.create(driver, "projects")
        assert self.listed(driver, share).snapshot_policy is None
        hourly = SnapshotPolicy(HourlySnapshots(24, minute=5))
        daily = SnapshotPolicy(daily=DailySnapshots(7, hour=1), time_zone="Europe/Berlin")
        for policy in (hourly, hourly, daily, None, None):
            able.schedule_snapshots(ref(share), policy)
            assert self.listed(driver, share).snapshot_policy == policy
        if isinstance(driver, SnapshotsShares):
            assert list(driver.list_snapshots()) == []

    def test_a_snapshot_is_no_share(self, driver: Driver) -> None:
        """Listing shares does not show it."""
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        able.create_snapshot(ref(share), new_id(), "monday")
        assert self.shares(driver) == [share]

    def test_a_deleted_snapshot_is_gone_and_twice_is_no_error(self, driver: Driver) -> None:
        """Deletion ends with the snapshot gone, however often it is asked for."""
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        snapshot = able.create_snapshot(ref(share), new_id(), "monday")
        for _ in range(2):
            able.delete_snapshot(snapshot_ref(snapshot, share))
        assert list(able.list_snapshots()) == []

    def test_a_snapshot_that_nobody_heard_of_is_removed_by_its_id(self, driver: Driver) -> None:
        """The run that took it was killed before it learned what the backend calls it, or before it was taken."""
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        kept = able.create_snapshot(ref(share), new_id(), "sunday")
        taken = able.create_snapshot(ref(share), new_id(), "monday")
        for resource_id in (str(taken.resource_id), new_id()):
            able.delete_snapshot(SnapshotRef(resource_id, "", "monday", str(share.resource_id), ""))
        assert list(able.list_snapshots()) == [kept]

    def test_a_snapshot_of_a_share_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """The engine must learn that the share is gone."""
        able = self.needs(driver, SnapshotsShares)
        gone = ShareRef(new_id(), "x", "x", driver.pools()[0].name, self.protocol, GIB)
        with pytest.raises(NotFoundError):
            able.create_snapshot(gone, new_id(), "monday")

    def test_a_clone_has_the_content_of_its_snapshot_and_diverges(self, driver: Driver) -> None:
        """What is written afterwards to one is not seen in the other."""
        self.needs(driver, ClonesSnapshots)
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        self.write_content(driver, share, "old")
        snapshot = able.create_snapshot(ref(share), new_id(), "monday")
        self.write_content(driver, share, "new")
        request = self.request(driver, "clone", snapshot_ref(snapshot, share))
        clone = driver.create_share(request)
        assert driver.create_share(request) == clone
        assert self.read_content(driver, clone) == "old"
        self.write_content(driver, clone, "own")
        assert self.read_content(driver, share) == "new"
        assert self.read_content(driver, clone) == "own"

    def test_a_clone_is_not_smaller_than_the_share_that_its_snapshot_is_of(self, driver: Driver) -> None:
        """It is refused, and nothing is made."""
        self.needs(driver, ClonesSnapshots)
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        snapshot = able.create_snapshot(ref(share), new_id(), "monday")
        request = self.request(driver, "clone", snapshot_ref(snapshot, share))
        with pytest.raises(DriverError, match="monday"):
            driver.create_share(replace(request, size_bytes=GIB // 2))
        assert self.shares(driver) == [share]

    def test_a_clone_of_a_snapshot_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """And nothing is made."""
        self.needs(driver, ClonesSnapshots)
        gone = SnapshotRef(new_id(), "x", "x", new_id(), "x")
        with pytest.raises(NotFoundError):
            driver.create_share(self.request(driver, "clone", gone))
        assert self.shares(driver) == []

    def test_clones_say_how_far_they_reach(self, driver: Driver) -> None:
        """Within the pool or within the backend."""
        assert self.needs(driver, ClonesSnapshots).clones_within in {"pool", "backend"}

    def test_revert_brings_the_content_back_and_keeps_access(self, driver: Driver) -> None:
        """As often as it is asked for."""
        able, snapshots = self.needs(driver, RevertsShares), self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        self.set_access(driver, share, self.rules)
        self.write_content(driver, share, "old")
        snapshot = snapshots.create_snapshot(ref(share), new_id(), "monday")
        self.write_content(driver, share, "new")
        for _ in range(2):
            able.revert_share(ref(share), snapshot_ref(snapshot, share))
            assert self.read_content(driver, share) == "old"
        assert self.access_of(driver, share) == set(self.rules)

    def test_revert_keeps_the_size(self, driver: Driver) -> None:
        """That of the snapshot is older."""
        able, snapshots = self.needs(driver, RevertsShares), self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        snapshot = snapshots.create_snapshot(ref(share), new_id(), "monday")
        self.needs(driver, ExtendsShares).extend_share(ref(share), 2 * GIB)
        extended = self.listed(driver, share)
        able.revert_share(ref(extended), snapshot_ref(snapshot, share))
        assert self.listed(driver, share) == extended

    def test_revert_to_a_snapshot_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """And the share stays as it is."""
        able = self.needs(driver, RevertsShares)
        share = self.create(driver, "projects")
        with pytest.raises(NotFoundError):
            able.revert_share(ref(share), SnapshotRef(new_id(), "x", "x", str(share.resource_id), share.backend_id))
        assert self.shares(driver) == [share]
