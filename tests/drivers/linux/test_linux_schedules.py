"""Snapshots that the storage host takes by the policies of shares: when, how many stay, and what never goes with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.linux.agent.schedule_records import ScheduledSnapshot, ScheduleRecords
from sharectl.model.observed import ScheduledSnapshots
from sharectl.model.specs import DailySnapshots, HourlySnapshots, MonthlySnapshots, SnapshotPolicy
from tests.drivers.linux.lab import need, run
from tests.drivers.linux.operations_lab import MIB, new_id, ref, snapshot_ref
from tests.drivers.linux.pools import make_host_folder
from tests.drivers.linux.test_linux_restoring import backend_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.linux.driver import LinuxDriver
    from sharectl.model.observed import ObservedShare
    from tests.drivers.linux.operations_lab import OperationsLab

HOURLY = SnapshotPolicy(hourly=HourlySnapshots(keep=2))
START = datetime(2100, 1, 1, 12, 30, tzinfo=UTC)
"""After the real time, at which tests give policies to shares: everything that came due until then is due once."""
HOUR = timedelta(hours=1)


@pytest.fixture
def share(backend: OperationsLab, request: pytest.FixtureRequest) -> Iterator[ObservedShare]:
    """Give each test a share of its own, without a policy when it ends."""
    made = backend.share(request.node.name.removeprefix("test_")[:60])
    yield made
    if backend.driver.list_shares([str(made.resource_id)]):
        backend.driver.schedule_snapshots(ref(made), None)


def keep(driver: LinuxDriver, now: datetime) -> list[str]:
    """Have the storage host see to its snapshots at this time."""
    return backend_of(driver).keep_snapshots(now)


def records_of(driver: LinuxDriver) -> ScheduleRecords:
    """Return what the storage host keeps of policies."""
    return ScheduleRecords(backend_of(driver)._records)


def taken(lab: OperationsLab, share: ObservedShare) -> list[datetime]:
    """Return when the share's scheduled snapshots were taken, the oldest first; each of them is there."""
    rows = records_of(lab.driver).snapshots(str(share.resource_id))
    assert all((lab.folder / "pool/.sharectl/snapshots" / row.resource_id).is_dir() for row in rows)
    return [datetime.fromtimestamp(row.taken_at, tz=UTC) for row in rows]


def content(lab: OperationsLab, share: ObservedShare) -> list[str]:
    """Return what the file `a` holds in each of the share's scheduled snapshots, the oldest first."""
    rows = records_of(lab.driver).snapshots(str(share.resource_id))
    folders = [lab.folder / "pool/.sharectl/snapshots" / row.resource_id for row in rows]
    return [(folder / "a").read_text(encoding="ascii") for folder in folders]


def test_what_is_due_is_taken_once_and_the_oldest_goes(backend: OperationsLab, share: ObservedShare) -> None:
    """Each hour one, whatever else is looked at in between; of those the policy keeps two."""
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    file = backend.volume(share) / "a"
    for number in range(4):
        file.write_text(str(number), encoding="ascii")
        for minutes in (0, 1, 29):
            assert keep(backend.driver, START + number * HOUR + timedelta(minutes=minutes)) == []
    assert taken(backend, share) == [START + 2 * HOUR, START + 3 * HOUR]
    assert content(backend, share) == ["2", "3"]


def test_nothing_is_due_before_the_policy_was_given(backend: OperationsLab, share: ObservedShare) -> None:
    """A policy is no reason to take what would have been due the hour before."""
    records_of(backend.driver).set_policy(str(share.resource_id), HOURLY.as_plain(), int(START.timestamp()))
    keep(backend.driver, START + HOUR / 4)
    assert taken(backend, share) == []
    keep(backend.driver, START + HOUR / 2)
    assert taken(backend, share) == [START + HOUR / 2]


def test_what_was_missed_is_made_good_by_one(backend: OperationsLab, share: ObservedShare) -> None:
    """After a day in which nobody looked there is one snapshot more, for all intervals that were due."""
    policy = SnapshotPolicy(
        hourly=HourlySnapshots(keep=48), daily=DailySnapshots(keep=7), monthly=MonthlySnapshots(keep=2)
    )
    backend.driver.schedule_snapshots(ref(share), policy)
    keep(backend.driver, START)
    keep(backend.driver, START + 26 * HOUR)
    keep(backend.driver, START + 26 * HOUR)
    rows = records_of(backend.driver).snapshots(str(share.resource_id))
    assert [row.intervals for row in rows] == [("hourly", "daily", "monthly"), ("hourly", "daily")]


def test_one_that_several_intervals_keep_stays_until_the_last_lets_it_go(
    backend: OperationsLab, share: ObservedShare
) -> None:
    """A snapshot that was taken for an hour and a day outlives the hours."""
    policy = SnapshotPolicy(hourly=HourlySnapshots(keep=1), daily=DailySnapshots(keep=1))
    backend.driver.schedule_snapshots(ref(share), policy)
    for number in range(3):
        keep(backend.driver, START + number * HOUR)
    assert taken(backend, share) == [START, START + 2 * HOUR]


def test_a_smaller_count_lets_go_and_a_policy_that_ends_does_not(backend: OperationsLab, share: ObservedShare) -> None:
    """Only a count removes snapshots: those of an interval or a policy that is gone stay, and with `keep: 0` they go."""
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    for number in range(2):
        keep(backend.driver, START + number * HOUR)
    backend.driver.schedule_snapshots(ref(share), None)
    keep(backend.driver, START + 2 * HOUR)
    backend.driver.schedule_snapshots(ref(share), SnapshotPolicy(daily=DailySnapshots(keep=1)))
    keep(backend.driver, START + timedelta(minutes=1))
    assert len(taken(backend, share)) == 3
    before = datetime.now(tz=UTC)  # when none is due, though an hour may begin meanwhile
    backend.driver.schedule_snapshots(ref(share), SnapshotPolicy(hourly=HourlySnapshots(keep=1)))
    keep(backend.driver, before)
    assert [START + HOUR, START + timedelta(minutes=1)] == taken(backend, share)
    backend.driver.schedule_snapshots(
        ref(share), SnapshotPolicy(hourly=HourlySnapshots(keep=0), daily=DailySnapshots(keep=0))
    )
    keep(backend.driver, START + 3 * HOUR)
    assert taken(backend, share) == []


def test_snapshots_of_manifests_are_neither_counted_nor_removed(backend: OperationsLab, share: ObservedShare) -> None:
    """Nor are scheduled ones listed among them."""
    snapshot = backend.snapshot(share)
    backend.driver.schedule_snapshots(ref(share), SnapshotPolicy(hourly=HourlySnapshots(keep=1)))
    for number in range(3):
        keep(backend.driver, START + number * HOUR)
    assert len(taken(backend, share)) == 1
    assert [each for each in backend.driver.list_snapshots() if each.share_backend_id == share.backend_id] == [snapshot]
    backend.driver.delete_snapshot(snapshot_ref(snapshot))
    assert len(taken(backend, share)) == 1


def test_a_listing_tells_of_the_policy_and_the_snapshots(backend: OperationsLab, share: ObservedShare) -> None:
    """How many, the oldest, the newest and the next, in UTC."""
    assert backend.listed(share).snapshot_policy is None
    assert backend.listed(share).scheduled_snapshots is None
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    for number in range(2):
        keep(backend.driver, START + number * HOUR)
    before = datetime.now(tz=UTC)
    listed = backend.listed(share)
    found = listed.scheduled_snapshots
    assert listed.snapshot_policy == HOURLY
    assert isinstance(found, ScheduledSnapshots)
    assert found[:3] == (2, "2100-01-01T12:30:00+00:00", "2100-01-01T13:30:00+00:00")
    assert found.next_due is not None
    assert before < datetime.fromisoformat(found.next_due) <= datetime.now(tz=UTC) + HOUR


def test_what_is_in_the_trash_keeps_what_it_has(backend: OperationsLab, share: ObservedShare) -> None:
    """Nothing is taken of it and nothing goes, until it is restored; then the policy goes on."""
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    for number in range(2):
        keep(backend.driver, START + number * HOUR)
    backend.driver.trash_share(ref(share))
    keep(backend.driver, START + 5 * HOUR)
    assert taken(backend, share) == [START, START + HOUR]
    backend.driver.restore_share(str(share.resource_id))
    keep(backend.driver, START + 6 * HOUR)
    assert taken(backend, share) == [START + HOUR, START + 6 * HOUR]


def test_they_go_with_a_share_that_is_deleted(backend: OperationsLab, share: ObservedShare) -> None:
    """From the disk and from the records."""
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    keep(backend.driver, START)
    (row,) = records_of(backend.driver).snapshots(str(share.resource_id))
    backend.driver.delete_share(ref(share))
    assert records_of(backend.driver).snapshots(str(share.resource_id)) == []
    assert records_of(backend.driver).schedule(str(share.resource_id)) is None
    assert not (backend.folder / "pool/.sharectl/snapshots" / row.resource_id).exists()


def test_after_a_revert_the_policy_goes_on_with_what_was_taken_before(
    backend: OperationsLab, share: ObservedShare
) -> None:
    """The volume is another then; snapshots of the newer content stay until newer ones take their place."""
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    file = backend.volume(share) / "a"
    file.write_text("old", encoding="ascii")
    snapshot = backend.snapshot(share)
    file.write_text("new", encoding="ascii")
    keep(backend.driver, START)
    backend.driver.revert_share(ref(share), snapshot_ref(snapshot))
    assert keep(backend.driver, START + HOUR) == []
    assert content(backend, share) == ["new", "old"]


def test_while_a_revert_is_not_finished_nothing_is_taken_and_nothing_goes(
    backend: OperationsLab, share: ObservedShare
) -> None:
    """One that was cut short may still have to choose between two contents."""
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    keep(backend.driver, START)
    records = backend_of(backend.driver)._records
    records.update_share(str(share.resource_id), suspended={"rules": []})
    for number in range(1, 4):
        keep(backend.driver, START + number * HOUR)
    assert taken(backend, share) == [START]
    records.update_share(str(share.resource_id), suspended=None)
    keep(backend.driver, START + 4 * HOUR)
    assert taken(backend, share) == [START, START + 4 * HOUR]


def test_one_that_was_cut_short_is_found_or_taken_again(backend: OperationsLab, share: ObservedShare) -> None:
    """Recorded and not there, it is due again; there and not recorded as such, it counts."""
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    records, pool = records_of(backend.driver), backend_of(backend.driver)._pools.usable("fast")
    begun = ScheduledSnapshot(0, new_id(), str(share.resource_id), "fast", ("hourly",), int(START.timestamp()), None)
    records.begin(begun)
    keep(backend.driver, START + timedelta(minutes=1))
    assert taken(backend, share) == [START + timedelta(minutes=1)]

    at = START + HOUR
    begun = ScheduledSnapshot(0, new_id(), str(share.resource_id), "fast", ("hourly",), int(at.timestamp()), None)
    records.begin(begun)
    pool.create_snapshot(backend.volume(share).name, begun.resource_id)
    keep(backend.driver, at + timedelta(minutes=1))
    assert taken(backend, share) == [START + timedelta(minutes=1), at]


def test_one_that_somebody_removed_does_not_count(backend: OperationsLab, share: ObservedShare) -> None:
    """Nor is what has come to have its name removed."""
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    for number in range(2):
        keep(backend.driver, START + number * HOUR)
    first, _ = records_of(backend.driver).snapshots(str(share.resource_id))
    folder = backend.folder / "pool/.sharectl/snapshots" / first.resource_id
    run("btrfs", "property", "set", "-ts", str(folder), "ro", "false")
    run("btrfs", "subvolume", "delete", str(folder))
    run("btrfs", "subvolume", "create", str(folder))
    keep(backend.driver, START + 2 * HOUR)
    assert taken(backend, share) == [START + HOUR, START + 2 * HOUR]
    assert folder.is_dir()
    run("btrfs", "subvolume", "delete", str(folder))


def test_a_clock_that_was_ahead_for_a_while_does_not_hold_up_the_rest(
    backend: OperationsLab, share: ObservedShare
) -> None:
    """After a snapshot in a year to come, those of now are taken all the same; after a small step back none is doubled."""
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    keep(backend.driver, START + timedelta(days=365))
    keep(backend.driver, START)
    assert len(taken(backend, share)) == 2
    at = (START + HOUR).replace(minute=0)
    keep(backend.driver, at + timedelta(seconds=3))
    keep(backend.driver, at + timedelta(seconds=1))
    keep(backend.driver, at + timedelta(seconds=4))
    assert taken(backend, share)[-2:] == [START, at + timedelta(seconds=3)]


def test_a_failure_is_told_and_holds_back_no_other_share(own_backend: OperationsLab) -> None:
    """The plan hears of it; the snapshot is taken once it can be."""
    first, second = own_backend.share("first"), own_backend.share("second")
    driver = own_backend.driver
    for share in (first, second):
        driver.schedule_snapshots(ref(share), HOURLY)
    own_backend.volume(first).rename(own_backend.folder / "pool/away")
    (problem,) = keep(driver, START)
    assert "'first'" in problem
    assert len(taken(own_backend, second)) == 1
    told = [hindrance.summary for hindrance in driver.report().hindrances]
    assert [
        text for text in told if text.startswith("the snapshot of the share 'first' that is due could not be taken: ")
    ]
    (own_backend.folder / "pool/away").rename(own_backend.volume(first))
    assert keep(driver, START) == []
    assert len(taken(own_backend, first)) == 1
    assert not [h for h in driver.report().hindrances if "could not be taken" in h.summary]


def test_that_nobody_takes_them_is_told(backend: OperationsLab, share: ObservedShare) -> None:
    """Where nobody watches over the backend, each plan says so; of a backend without policies nothing is said."""

    def told() -> list[str]:
        return [h.summary for h in backend.driver.report().hindrances if h.summary.startswith("nobody takes")]

    assert told() == []
    backend.driver.schedule_snapshots(ref(share), HOURLY)
    assert told() == ["nobody takes the snapshots that are due by the policies of 1 share"]


def test_a_time_zone_that_the_host_does_not_know_is_refused(backend: OperationsLab, share: ObservedShare) -> None:
    """With what to do about it."""
    policy = SnapshotPolicy(hourly=HourlySnapshots(keep=1), time_zone="Mars/Olympus")
    with pytest.raises(DriverError, match="does not know the time zone 'Mars/Olympus'; install tzdata"):
        backend.driver.schedule_snapshots(ref(share), policy)
    assert backend.listed(share).snapshot_policy is None


@pytest.mark.parametrize("file_system", ["xfs", "ext4"])
def test_images_have_them_where_they_have_snapshots(own_backend: OperationsLab, file_system: str) -> None:
    """On XFS as on btrfs; where blocks are not shared a policy is refused."""
    need("mkfs.ext4", "mkfs.xfs", file_system=file_system)
    folder = make_host_folder(str(own_backend.folder), file_system, 3 << 30)
    driver = own_backend.open(pools={"fast": {"type": "image", "path": folder, "fileSystem": "ext4"}})
    driver.prepare()
    share = driver.create_share(own_backend.request("projects", size_bytes=64 * MIB))
    if file_system == "ext4":
        with pytest.raises(DriverError, match="takes no snapshots, so that its snapshotPolicy cannot be followed"):
            driver.schedule_snapshots(ref(share), HOURLY)
        return
    driver.schedule_snapshots(ref(share), HOURLY)
    for number in range(3):
        assert keep(driver, START + number * HOUR) == []
    rows = records_of(driver).snapshots(str(share.resource_id))
    images = Path(folder, ".sharectl/snapshots")
    assert {path.stem for path in images.iterdir()} == {row.resource_id for row in rows}
    assert len(rows) == 2
    driver.delete_share(ref(share))
    assert list(images.iterdir()) == []
