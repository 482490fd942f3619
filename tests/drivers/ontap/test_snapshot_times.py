"""Snapshot policies as an array has them: names that say all of it, what no array can have, and when the next is due."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.drivers.ontap.exports import Treatment
from sharectl.drivers.ontap.share_checks import ShareChecker
from sharectl.drivers.ontap.snapshot_times import (
    is_own_name,
    is_scheduled,
    next_due,
    policy_in,
    policy_name,
    policy_problem,
    text_of,
    times_of,
)
from sharectl.model.checks import WantedShare
from sharectl.model.quantities import GIB
from sharectl.model.specs import (
    DailySnapshots,
    HourlySnapshots,
    MonthlySnapshots,
    SnapshotPolicy,
    Weekday,
    WeeklySnapshots,
)

KEEP, HOUR, MINUTE = st.integers(0, 250), st.integers(0, 23), st.integers(0, 59)
POLICIES = st.builds(
    SnapshotPolicy,
    st.none() | st.builds(HourlySnapshots, KEEP, MINUTE),
    st.none() | st.builds(DailySnapshots, KEEP, HOUR, MINUTE),
    st.none() | st.builds(WeeklySnapshots, KEEP, st.sampled_from(list(map(str, Weekday))), HOUR, MINUTE),
    st.none() | st.builds(MonthlySnapshots, KEEP, st.integers(1, 28), HOUR, MINUTE),
    st.sampled_from(["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"]),
)


@given(POLICIES)
def test_a_policy_is_read_as_it_was_noted(policy: SnapshotPolicy) -> None:
    """Whatever it has, also what keeps none."""
    assert policy_in(text_of(policy)) == policy


@given(POLICIES, POLICIES)
def test_a_name_stands_for_one_content(one: SnapshotPolicy, other: SnapshotPolicy) -> None:
    """Two policies have one name if the array does the same by both; it is known again as sharectl's."""
    name = policy_name(times_of(one))
    assert (name == policy_name(times_of(other))) is (times_of(one) == times_of(other))
    assert is_own_name(name) is (name != "none")


@pytest.mark.parametrize("name", ["none", "default", "sharectl_", "sharectl_gold", "sharectl_none", "xsharectl_h3-05"])
def test_a_policy_of_others_is_not_taken_for_ones_own(name: str) -> None:
    """Nothing of theirs is removed."""
    assert not is_own_name(name)


@pytest.mark.parametrize(
    ("name", "is_so"),
    [
        ("sharectl_hourly.2026-11-29_1005", True),
        ("sharectl_daily.2026-11-29", True),
        ("hourly.2026-11-29_1005", False),
        ("sharectl_hourly.by_hand", False),
        ("sharectl_revert_1f3c", False),
    ],
)
def test_what_a_policy_took_is_known_by_its_name(name: str, *, is_so: bool) -> None:
    """That of the array's other policies is not."""
    assert is_scheduled(name) is is_so


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (SnapshotPolicy(HourlySnapshots(1000), DailySnapshots(24)), "1023 snapshots at most, not 1024"),
        (SnapshotPolicy(HourlySnapshots(1000), DailySnapshots(23)), None),
        (SnapshotPolicy(monthly=MonthlySnapshots(1, 29)), "no day 29"),
        (SnapshotPolicy(monthly=MonthlySnapshots(0, 31)), None),
        (SnapshotPolicy(monthly=MonthlySnapshots(1, 28)), None),
    ],
)
def test_what_no_array_can_have_is_told_purely(policy: SnapshotPolicy, said: str | None) -> None:
    """At the policy of the share, with the way out."""
    problem = policy_problem(policy)
    assert (problem is None) is (said is None)
    check = ShareChecker(Treatment())
    found = check(WantedShare("projects", GIB, "NFS", snapshot_policy=policy))
    assert [each.path for each in found] == ([] if said is None else [("snapshot_policy",)])
    assert said is None or said in found[0].summary


def test_a_type_that_names_a_policy_leaves_no_room_for_the_shares_own() -> None:
    """A volume follows one."""
    share = WantedShare(
        "projects",
        GIB,
        "NFS",
        extra_specs={"netapp:snapshot_policy": "gold"},
        snapshot_policy=SnapshotPolicy(HourlySnapshots(1)),
    )
    (found,) = ShareChecker(Treatment())(share)
    assert found.path == ("snapshot_policy",)
    assert "gold" in found.summary


@pytest.mark.parametrize(
    ("policy", "due"),
    [
        (SnapshotPolicy(HourlySnapshots(1, 5)), "2026-11-30T11:05:00+00:00"),
        (SnapshotPolicy(HourlySnapshots(1, 31)), "2026-11-30T10:31:00+00:00"),
        (SnapshotPolicy(daily=DailySnapshots(1, 11, 30), time_zone="Europe/Berlin"), "2026-12-01T10:30:00+00:00"),
        (SnapshotPolicy(weekly=WeeklySnapshots(1, "sunday")), "2026-12-06T00:00:00+00:00"),
        (SnapshotPolicy(monthly=MonthlySnapshots(1, 1, 3)), "2026-12-01T03:00:00+00:00"),
        (SnapshotPolicy(HourlySnapshots(0)), None),
    ],
)
def test_the_next_is_due_after_now(policy: SnapshotPolicy, due: str | None) -> None:
    """The one that is due this minute was taken."""
    found = next_due(policy, datetime(2026, 11, 30, 10, 30, tzinfo=UTC))
    assert (None if found is None else found.isoformat()) == due
