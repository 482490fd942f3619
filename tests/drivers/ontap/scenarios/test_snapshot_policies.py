"""Snapshots that the array takes of shares by their policies: given, changed in place, compared, kept through the trash, and none left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError, DriverError
from sharectl.drivers.ontap.snapshot_times import OWN_PREFIX
from sharectl.drivers.testing import ref, snapshot_ref
from sharectl.drivers.testing.references import new_id
from sharectl.model.specs import DailySnapshots, HourlySnapshots, MonthlySnapshots, SnapshotPolicy, WeeklySnapshots
from tests.emulators.ontap.policy_records import SnapshotPolicy as ArrayPolicy
from tests.emulators.ontap.schedules import JobSchedule
from tests.emulators.ontap.volume_records import Snapshot

from .ground import request, rule

if TYPE_CHECKING:
    from .ground import Ground

BERLIN = "Europe/Berlin"
HOUR = 3600.0
HOURLY = SnapshotPolicy(HourlySnapshots(3, minute=5))
ALL = SnapshotPolicy(
    HourlySnapshots(6),
    DailySnapshots(7, 1, 30),
    WeeklySnapshots(4, "monday", 2),
    MonthlySnapshots(12, 28, 3, 7),
    BERLIN,
)


def policies(ground: Ground) -> list[str]:
    """Return the names of the policies on the array that sharectl made."""
    return sorted(each.name for each in ground.emulator.world[ArrayPolicy] if each.name.startswith(OWN_PREFIX))


def schedules(ground: Ground) -> list[str]:
    """Return the names of the schedules on the array that sharectl made."""
    return sorted(each.name for each in ground.emulator.world[JobSchedule] if each.name.startswith(OWN_PREFIX))


def pass_hours(ground: Ground, hours: int) -> None:
    """Let the array take what is due."""
    with ground.emulator.world.lock:
        ground.emulator.world.pass_time(hours * HOUR)


def taken(ground: Ground, name: str = "projects") -> list[str]:
    """Return the intervals of the snapshots that the volume has by a policy of sharectl's."""
    uuid = ground.volumes()[name].uuid
    names = [each.name for each in ground.emulator.world[Snapshot].where(volume=uuid)]
    return sorted(each.partition(".")[0].removeprefix(OWN_PREFIX) for each in names if each.startswith(OWN_PREFIX))


def test_shares_with_one_content_follow_one_policy(ground: Ground) -> None:
    """It takes the cluster's own schedule where one is due at that time, and goes with the last share, as do the schedules that were made for it."""
    one, other = ground.share(name="one"), ground.share(name="other")
    for share in (one, other):
        ground.driver.schedule_snapshots(share, HOURLY)
    assert policies(ground) == ["sharectl_h3-05"]
    (policy,) = [each for each in ground.emulator.world[ArrayPolicy] if each.name == "sharectl_h3-05"]
    assert [(copy.schedule, copy.count) for copy in policy.copies] == [("hourly", 3)]
    assert {each.snapshot_policy for each in ground.driver.list_shares()} == {HOURLY}
    ground.driver.schedule_snapshots(other, ALL)
    assert policies(ground) == ["sharectl_h3-05", "sharectl_h6-00_d7-0130_w4-monday-0200_m12-28-0307"]
    assert schedules(ground) == [
        "sharectl_daily_0130",
        "sharectl_hourly_00",
        "sharectl_monthly_28_0307",
        "sharectl_weekly_monday_0200",
    ]
    found = {each.name: each.snapshot_policy for each in ground.driver.list_shares()}
    assert found == {"one": HOURLY, "other": ALL}
    ground.driver.delete_share(other)
    assert policies(ground) == ["sharectl_h3-05"]
    assert schedules(ground) == []
    ground.driver.delete_share(one)
    ground.driver.delete_share(one)
    assert policies(ground) == []


def test_what_is_taken_is_counted_and_is_no_snapshot_of_the_state(ground: Ground) -> None:
    """Those that go with the share are told by their number; after its end they stay, and fewer are kept where the policy says so."""
    share = ground.share()
    ground.driver.schedule_snapshots(share, HOURLY)
    assert ground.listed().scheduled_snapshots is not None
    assert ground.listed().scheduled_snapshots.number == 0
    pass_hours(ground, 5)
    found = ground.listed().scheduled_snapshots
    assert found is not None
    assert found.number == 3
    assert found.oldest < found.newest
    assert found.next_due is not None
    assert list(ground.driver.list_snapshots()) == []
    ground.driver.schedule_snapshots(share, SnapshotPolicy(HourlySnapshots(1, minute=5)))
    assert taken(ground) == ["hourly"]
    ground.driver.schedule_snapshots(share, None)
    assert (ground.listed().snapshot_policy, ground.listed().scheduled_snapshots.number) == (None, 1)
    pass_hours(ground, 2)
    assert taken(ground) == ["hourly"]
    off = SnapshotPolicy(HourlySnapshots(0))
    ground.driver.schedule_snapshots(share, off)
    assert (ground.listed().snapshot_policy, taken(ground), policies(ground)) == (off, [], [])


def test_a_share_in_the_trash_keeps_its_snapshots(ground: Ground) -> None:
    """None is taken there, which would push the older ones out; the policy comes back with the share."""
    share = ground.share(rule("10.0.0.0/24"))
    ground.driver.schedule_snapshots(share, HOURLY)
    pass_hours(ground, 2)
    before = taken(ground)
    assert before
    ground.driver.trash_share(share)
    assert policies(ground) == []
    pass_hours(ground, 9)
    restored = ground.driver.restore_share(share.resource_id)
    assert (taken(ground), restored.snapshot_policy) == (before, HOURLY)
    assert policies(ground) == ["sharectl_h3-05"]


@pytest.mark.parametrize("change", ["off", "count", "gone", "added", "schedule", "volume"])
def test_what_somebody_changed_shows_and_is_put_right(ground: Ground, change: str) -> None:
    """Of the array's policy, of its schedules, and of the volume that follows it."""
    share, policy = ground.share(), SnapshotPolicy(HourlySnapshots(3), DailySnapshots(7, 1, 30), time_zone=BERLIN)
    ground.driver.schedule_snapshots(share, policy)
    (record,) = [each for each in ground.emulator.world[ArrayPolicy] if each.name.startswith(OWN_PREFIX)]
    path = f"/storage/snapshot-policies/{record.uuid}"
    daily = next(each.uuid for each in ground.emulator.world[JobSchedule] if each.name == "sharectl_daily_0130")
    if change == "off":
        ground.send("PATCH", path, {"enabled": False})
    elif change == "count":
        ground.send("PATCH", f"{path}/schedules/{daily}", {"count": 1})
    elif change == "gone":
        ground.send("DELETE", f"{path}/schedules/{daily}")
    elif change == "added":
        ground.send("POST", f"{path}/schedules", {"schedule": {"name": "weekly"}, "count": 2})
    elif change == "schedule":
        ground.send("PATCH", f"/cluster/schedules/{daily}", {"cron": {"hours": [2]}})
    else:
        ground.send(
            "PATCH", f"/storage/volumes/{ground.volumes()['projects'].uuid}", {"snapshot_policy.name": "default"}
        )
    assert ground.listed().snapshot_policy != policy
    if change == "schedule":  # which is the administrator's to put right
        with pytest.raises(ConflictError, match="is due at other times"):
            ground.driver.schedule_snapshots(share, policy)
        ground.send("PATCH", f"/cluster/schedules/{daily}", {"cron": {"hours": [1]}})
    ground.driver.schedule_snapshots(share, policy)
    assert ground.listed().snapshot_policy == policy
    assert policies(ground) == ["sharectl_h3-00_d7-0130"]


def test_a_policy_is_by_the_clock_of_the_array(ground: Ground) -> None:
    """Its report says which: days of another clock are refused, hours are the same everywhere but for their minutes."""
    share = ground.share()
    assert ground.driver.report().capabilities["snapshot_policy_time_zone"] == BERLIN
    with pytest.raises(DriverError, match="Europe/Berlin"):
        ground.driver.schedule_snapshots(share, SnapshotPolicy(daily=DailySnapshots(3)))
    nepal = SnapshotPolicy(HourlySnapshots(3, minute=5), time_zone="Asia/Kathmandu")
    ground.driver.schedule_snapshots(share, nepal)
    assert policies(ground) == ["sharectl_h3-20"]
    assert ground.listed().snapshot_policy == nepal
    paris = SnapshotPolicy(daily=DailySnapshots(3, 0, 10), time_zone="Europe/Paris")
    ground.driver.schedule_snapshots(share, paris)
    assert ground.listed().snapshot_policy == paris


def test_an_account_of_the_svm_uses_the_schedules_that_there_are(ground: Ground) -> None:
    """It makes none: the message says what the administrator of the cluster has to do, and the volume stays as it is."""
    driver = ground.fresh("sharectl-svm")
    share = ref(driver.create_share(request()))
    driver.schedule_snapshots(share, SnapshotPolicy(daily=DailySnapshots(3, 0, 10), time_zone=BERLIN))
    with pytest.raises(DriverError, match="cron create -name sharectl_daily_0130 -minute 30 -hour 1"):
        driver.schedule_snapshots(share, SnapshotPolicy(daily=DailySnapshots(3, 1, 30), time_zone=BERLIN))
    assert policies(ground) == ["sharectl_d3-0010"]
    driver.delete_share(share)
    assert policies(ground) == []


def test_a_policy_of_the_administrators_stays(ground: Ground) -> None:
    """Until the share is given one of its own; a clone has none of its parent's."""
    share = ground.share()
    ground.send("PATCH", f"/storage/volumes/{ground.volumes()['projects'].uuid}", {"snapshot_policy.name": "default"})
    ground.driver.schedule_snapshots(share, None)
    assert ground.listed().snapshot_policy is None
    shown = ground.admin.get(f"/storage/volumes/{ground.volumes()['projects'].uuid}?fields=snapshot_policy").body
    assert shown["snapshot_policy"]["name"] == "default"
    ground.driver.schedule_snapshots(share, HOURLY)
    observed = ground.driver.create_snapshot(share, new_id(), "monday")
    asked = request("copy")
    clone = ground.driver.create_share(
        type(asked)(
            asked.resource_id,
            "copy",
            asked.size_bytes,
            "NFS",
            "aggr1",
            snapshot=snapshot_ref(observed, ground.driver.list_shares([share.resource_id])[0]),
        )
    )
    assert (clone.snapshot_policy, clone.scheduled_snapshots) == (None, None)


@pytest.mark.parametrize("path", ["/storage/snapshot-policies", "/cluster/schedules", "/storage/volumes/*"])
@pytest.mark.parametrize("done", [True, False])
def test_a_call_whose_answer_is_lost_is_made_once(ground: Ground, path: str, *, done: bool) -> None:
    """The next one finishes: one policy, one schedule, and the volume follows."""
    share, policy = ground.share(), SnapshotPolicy(daily=DailySnapshots(7, 1, 30), time_zone=BERLIN)
    method = "PATCH" if "volumes" in path else "POST"
    ground.emulator.fault("cut", method, path, times=1, where="before", done=done)
    try:
        ground.driver.schedule_snapshots(share, policy)
    except DriverError:
        ground.fresh().schedule_snapshots(share, policy)
    assert ground.listed().snapshot_policy == policy
    assert (policies(ground), schedules(ground)) == (["sharectl_d7-0130"], ["sharectl_daily_0130"])


@pytest.mark.parametrize("is_there", [True, False])
def test_a_schedule_that_another_run_removes_meanwhile_is_made_again(ground: Ground, *, is_there: bool) -> None:
    """No policy names it yet, so that whoever tidies up takes it for left over; also where the policy is there and wants it once more."""
    share, policy = ground.share(), SnapshotPolicy(daily=DailySnapshots(7, 1, 30), time_zone=BERLIN)
    if is_there:
        body = {
            "svm": {"name": "vs1"},
            "name": "sharectl_d7-0130",
            "enabled": True,
            "copies": [{"schedule": {"name": "hourly"}, "count": 1, "prefix": "hourly"}],
        }
        ground.send("POST", "/storage/snapshot-policies", body)
    path = "/storage/snapshot-policies/*/schedules" if is_there else "/storage/snapshot-policies"
    ground.emulator.fault("change", "POST", path, times=1, name="remove_schedule", schedule="sharectl_daily_0130")
    ground.driver.schedule_snapshots(share, policy)
    assert ground.emulator.world.faults.met["change"] == 1
    assert ground.listed().snapshot_policy == policy
    assert (policies(ground), schedules(ground)) == (["sharectl_d7-0130"], ["sharectl_daily_0130"])


@pytest.mark.parametrize("gone", ["trashed", "deleted"])
def test_no_policy_is_left_where_a_run_ends_with_the_removal(ground: Ground, gone: str) -> None:
    """It goes before the volume, by which the next run finds the share; the policy that somebody else's share follows stays."""
    share, other = ground.share(), ground.share(name="other")
    for each, policy in ((share, HOURLY), (other, SnapshotPolicy(HourlySnapshots(9)))):
        ground.driver.schedule_snapshots(each, policy)
    if gone == "deleted":
        ground.emulator.fault("cut", "DELETE", "/storage/volumes/*", times=1, where="before", done=False)
        with pytest.raises(DriverError):
            ground.driver.delete_share(share)
    else:
        ground.driver.trash_share(share)
    assert policies(ground) == ["sharectl_h9-00"]
