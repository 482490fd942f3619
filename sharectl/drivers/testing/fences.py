"""Fences: what an overtaken run may still do."""

# `needs` takes the Protocol of a capability, which mypy reports for any argument that is a type:
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import (
    ChangesProtocols,
    Driver,
    ExtendsShares,
    FencedError,
    FencesEachLease,
    NamesExports,
    RefusesOldFences,
    RevertsShares,
    SchedulesSnapshots,
    ShrinksShares,
    SnapshotsShares,
    TrashesShares,
)
from sharectl.drivers.testing.references import new_id, ref, snapshot_ref
from sharectl.drivers.testing.suite import Suite
from sharectl.model.access import BOTH
from sharectl.model.quantities import GIB
from sharectl.model.specs import HourlySnapshots, SnapshotPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharectl.drivers.testing.references import DriverMaker
    from sharectl.model.observed import ObservedShare


class FenceTests(Suite):
    """Nothing that changes anything."""

    def test_a_driver_under_an_old_fence_changes_nothing(self, driver: Driver, make_driver: DriverMaker) -> None:
        """Once another run of the same state has raised a higher one, through whatever process; reading goes on."""
        other = make_driver()
        late, newer = self.needs(driver, RefusesOldFences), self.needs(other, RefusesOldFences)
        late.raise_fence("one state", 1)
        share = self.create(driver, "kept")
        calls = list(self._changes(driver, share))
        newer.raise_fence("one state", 2)
        newer.raise_fence("one state", 2)
        for call in calls:
            with pytest.raises(FencedError):
                call()
        assert self.shares(driver) == [share]
        if isinstance(other, SnapshotsShares):
            (snapshot,) = other.list_snapshots()
            other.delete_snapshot(snapshot_ref(snapshot, share))
        other.delete_share(ref(share))
        assert self.shares(driver) == []
        other.close()

    def _changes(self, driver: Driver, share: ObservedShare) -> Iterator[Callable[[], object]]:
        """Yield calls that would change something; what they need is made meanwhile."""
        request, known, rules = self.request(driver, "fresh"), ref(share), self.rules[:1]
        yield lambda: driver.create_share(request)
        yield lambda: driver.update_access(known, rules, rules, [])
        yield lambda: driver.update_access(known, rules, [], [])
        if isinstance(driver, ExtendsShares):
            yield lambda: driver.extend_share(known, 2 * GIB)
        if isinstance(driver, ShrinksShares):
            yield lambda: driver.shrink_share(known, GIB // 2)
        if isinstance(driver, NamesExports) and self.export_names:
            yield lambda: driver.rename_export(known, self.export_names[0])
        if isinstance(driver, ChangesProtocols) and {"NFS", "CIFS"} <= set(driver.report().protocols):
            yield lambda: driver.change_protocols(known, BOTH)
        if isinstance(driver, SchedulesSnapshots):
            yield lambda: driver.schedule_snapshots(known, SnapshotPolicy(HourlySnapshots(24)))
        if isinstance(driver, SnapshotsShares):
            snapshot = snapshot_ref(driver.create_snapshot(known, new_id(), "early"), share)
            yield lambda: driver.create_snapshot(known, new_id(), "late")
            if isinstance(driver, RevertsShares):
                yield lambda: driver.revert_share(known, snapshot)
            yield lambda: driver.delete_snapshot(snapshot)
        if isinstance(driver, TrashesShares):
            yield lambda: driver.trash_share(known)
        yield lambda: driver.delete_share(known)

    def test_an_old_fence_cannot_be_raised_any_more(self, driver: Driver, make_driver: DriverMaker) -> None:
        """A run that opens the backend late is told so at once."""
        other = make_driver()
        self.needs(other, RefusesOldFences).raise_fence("one state", 2)
        with pytest.raises(FencedError):
            self.needs(driver, RefusesOldFences).raise_fence("one state", 1)
        other.close()

    def test_a_fence_is_remembered_from_before_the_backend_was_prepared(self, make_driver: DriverMaker) -> None:
        """Preparing is a change as any other."""
        first, late = make_driver(), make_driver()
        self.needs(late, RefusesOldFences).raise_fence("one state", 1)
        self.needs(first, RefusesOldFences).raise_fence("one state", 2)
        first.prepare()
        with pytest.raises(FencedError):
            late.prepare()
        first.close()
        late.close()

    def test_fences_of_other_states_do_not_matter(self, driver: Driver, make_driver: DriverMaker) -> None:
        """Two states may share a backend."""
        other = make_driver()
        self.needs(driver, RefusesOldFences).raise_fence("one state", 7)
        self.needs(other, RefusesOldFences).raise_fence("another state", 1)
        share = self.create(other, "mine")
        driver.delete_share(ref(share))
        assert self.shares(other) == []
        other.close()

    def test_of_several_runs_only_the_one_that_lost_its_lease_is_refused(
        self, driver: Driver, make_driver: DriverMaker
    ) -> None:
        """Runs on other addresses go on, the older and the newer, and nothing that they do lets the lost one in again."""
        others = [make_driver() for _ in range(3)]
        lost, living, newest, last = (self.needs(each, FencesEachLease) for each in (driver, *others))
        living.raise_fence_beside("one state", 1, ())
        lost.raise_fence_beside("one state", 2, (1,))
        share = self.create(driver, "kept")
        calls = list(self._changes(driver, share))
        newest.raise_fence_beside("one state", 3, (1,))
        for turn in range(2):
            for call in calls:
                with pytest.raises(FencedError):
                    call()
            living.raise_fence_beside("one state", 1, ())
            last.raise_fence_beside("one state", 4, (1, 3))
            for number, other in enumerate(others):
                others[0].delete_share(ref(self.create(other, f"of-{turn}-{number}")))
        with pytest.raises(FencedError):
            lost.raise_fence_beside("one state", 2, (1, 3, 4))
        assert self.shares(driver) == [share]
        newest.raise_fence_beside("one state", 3, (1,))
        last.raise_fence("one state", 4)
        for ended in (living, newest):
            with pytest.raises(FencedError):
                ended.raise_fence_beside("one state", 1 if ended is living else 3, ())
        for other in others:
            other.close()
