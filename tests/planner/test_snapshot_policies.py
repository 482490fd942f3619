"""Snapshot policies in a plan: whose counts, what another one does to shares that are there, and what becomes of it with its share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.canonical import canonical_json
from sharectl.model.observed import ScheduledSnapshots
from sharectl.model.plans import ScheduleSnapshots
from sharectl.model.specs import DailySnapshots, HourlySnapshots, ShareTypeSpec, SnapshotPolicy
from sharectl.model.verbs import Verb
from sharectl.plan import plan
from sharectl.planner.records import outdated_policies
from sharectl.planner.saved.document import plan_from_document, plan_to_document
from sharectl.state.rows import attributes_of, spec_object_of
from sharectl.state.testing.samples import make_record
from tests.planner.model import settle
from tests.planner.world import World

if TYPE_CHECKING:
    from sharectl.model.plans import Plan, Step

HOURLY = SnapshotPolicy(HourlySnapshots(24))
DAILY = SnapshotPolicy(daily=DailySnapshots(7, hour=1), time_zone="Europe/Berlin")


def with_type(world: World, policy: SnapshotPolicy | None) -> World:
    """Describe the share type `gold`, with this policy."""
    world.share_types["gold"] = ShareTypeSpec("gold", {}, snapshot_policy=policy)
    return world


def schedules(plan: Plan) -> list[Step]:
    """Return the steps that change a policy."""
    return [step for step in plan.steps if step.verb is Verb.SCHEDULE_SNAPSHOTS]


def policy_of(step: Step) -> SnapshotPolicy | None:
    """Return the policy that a step gives."""
    assert isinstance(step.work, ScheduleSnapshots)
    return step.work.policy


@pytest.mark.parametrize(
    ("own", "of_type", "in_force"),
    [
        (None, None, None),
        (HOURLY, None, HOURLY),
        (None, DAILY, DAILY),
        (HOURLY, DAILY, HOURLY),
        (SnapshotPolicy(), DAILY, None),
        (SnapshotPolicy(time_zone="Europe/Berlin"), None, None),
    ],
)
def test_the_policy_of_the_share_goes_before_that_of_its_type(
    own: SnapshotPolicy | None, of_type: SnapshotPolicy | None, in_force: SnapshotPolicy | None
) -> None:
    """As a whole; an empty one is none. A new share gets it after it is made, and after that nothing is to be done."""
    world = with_type(World(), of_type).wants("a", share_type="gold", snapshot_policy=own)
    found = schedules(world.plan())
    assert [policy_of(step) for step in found] == ([] if in_force is None else [in_force])
    assert all("create-share:share/a" in step.waits_for for step in found)
    settle(world)
    assert world.observed_share("share/a").snapshot_policy == in_force
    assert world.plan().is_empty


def test_another_policy_of_the_type_reaches_the_shares_that_are_there() -> None:
    """Also one that is taken away; a share with a policy of its own stays as it is."""
    world = with_type(World(), HOURLY).wants("a", share_type="gold")
    world.wants("b", share_type="gold", snapshot_policy=DAILY)
    settle(world)
    with_type(world, DAILY)
    (step,) = world.plan().steps
    assert (step.address, policy_of(step), step.reason) == ("share/a", DAILY, "its share type says so")
    settle(world)
    with_type(world, None)
    (step,) = world.plan().steps
    assert (step.address, policy_of(step)) == ("share/a", None)
    settle(world)
    assert world.plan().is_empty


def test_a_changed_policy_is_one_step_that_shows_both() -> None:
    """The row in the state follows with it."""
    world = World().wants("a", snapshot_policy=HOURLY)
    settle(world)
    world.wants("a", snapshot_policy=DAILY)
    (step,) = world.plan().steps
    assert step.changes == (("snapshot_policy", HOURLY.as_plain(), DAILY.as_plain()),)
    assert step.reason == "its manifest says so"
    settle(world)
    assert world.plan().is_empty


def test_a_policy_that_was_changed_on_the_backend_is_drift_and_changed_back() -> None:
    """Whatever made it so."""
    world = World().wants("a", snapshot_policy=HOURLY)
    settle(world)
    world.by_hand("share/a", snapshot_policy=None)
    found = world.plan()
    (step,) = found.steps
    assert (policy_of(step), step.reason) == (HOURLY, "its snapshot policy was changed on the backend")
    (drift,) = found.drift
    assert (drift.changes, drift.repaired_by) == ((("snapshot_policy", HOURLY.as_plain(), None),), step.step_id)
    settle(world)
    assert world.plan().is_empty


def test_snapshots_that_come_and_go_by_a_policy_are_no_drift() -> None:
    """However many there are."""
    world = World().wants("a", snapshot_policy=HOURLY)
    settle(world)
    world.by_hand("share/a", scheduled_snapshots=ScheduledSnapshots(24, "2026-01-01T00:00:00+00:00"))
    found = world.plan()
    assert (found.steps, found.drift) == ((), ())


@pytest.mark.parametrize("where", ["share", "type"])
def test_a_policy_is_refused_where_the_driver_cannot(where: str) -> None:
    """For a new share, which goes elsewhere if it can, and for one that is there."""
    policy = HOURLY if where == "share" else None
    world = with_type(World().has_backend("nas", lacks=["snapshot-policy"]), None).wants("old", share_type="gold")
    settle(world)
    for name in ("old", "new"):
        world.wants(name, share_type="gold", snapshot_policy=policy)
    with_type(world, HOURLY if where == "type" else None)
    found = world.plan()
    assert {(each.code, each.address) for each in found.diagnostics} == {
        ("share.no-snapshot-policy", "share/old"),
        ("scheduler.capability", "share/new"),
    }
    assert all(each.remedy for each in found.diagnostics)
    assert schedules(found) == []
    world.has_backend("other")
    (made,) = [step for step in world.plan().steps if step.verb is Verb.CREATE_SHARE]
    assert {candidate.backend for candidate in made.candidates} == {"other"}


def test_a_share_that_is_deleted_says_how_many_go_with_it() -> None:
    """In the reason and among the changes."""
    world = World().wants("z").wants("a", snapshot_policy=HOURLY, deletion_policy="delete")
    settle(world)
    world.by_hand("share/a", scheduled_snapshots=ScheduledSnapshots(12)).drops("share/a")
    (step,) = world.plan().steps
    assert step.reason == "its manifest is gone; deletionPolicy delete, with its 12 scheduled snapshots"
    assert ("scheduled_snapshots", 12, None) in step.changes
    world.is_not_asked("nas")
    (step,) = world.plan(override_protection=["share/a"]).steps
    assert step.reason.endswith("deletionPolicy delete, with the snapshots that its policy took")


def test_a_share_that_is_forgotten_loses_its_policy_first() -> None:
    """Nobody would look after what is taken and let go of; the snapshots stay with it. In the trash it keeps its policy."""
    world = World().wants("z").wants("a", snapshot_policy=HOURLY, access=["ip:10.0.0.1=rw"])
    world.wants("b", snapshot_policy=HOURLY, deletion_policy="trash")
    settle(world)
    kept = world.records["share/a"].resource_id
    world.drops("share/a", "share/b")
    ended, forgotten, trashed = world.plan().steps
    assert (ended.address, policy_of(ended), forgotten.verb) == ("share/a", None, Verb.FORGET)
    assert forgotten.waits_for == (ended.step_id,)
    assert trashed.verb is Verb.TRASH_SHARE
    settle(world)
    assert world.backends["nas"].shares[kept].snapshot_policy is None


def test_a_share_is_not_forgotten_with_its_policy_in_force() -> None:
    """Where its backend has no manifest any more, nobody could end it."""
    world = World("nas", "other").wants("z").wants("a", snapshot_policy=HOURLY, only_host="nas#p1")
    settle(world)
    world.drops("share/a", "backend/nas")
    found = world.plan()
    assert "share.schedule-stays" in {each.code for each in found.diagnostics}
    assert not [step for step in found.steps if step.address == "share/a"]


def test_that_nobody_will_take_them_is_told() -> None:
    """Where a backend says that it takes none by itself as it is set up."""
    world = World().wants("a", snapshot_policy=HOURLY)
    settle(world)
    world.wants("a", snapshot_policy=DAILY)
    observed = world.observed()
    report = observed["nas"].report
    assert report is not None
    without = replace(report, capabilities={"snapshot_policy_support": False})
    seen = {"nas": replace(observed["nas"], report=without)}
    found = plan(world.desired(), world.view(), seen, world.pools())
    assert [each.code for each in found.diagnostics] == ["share.unscheduled"]
    assert len(found.steps) == 1


def test_a_policy_for_another_clock_than_the_backends_is_refused() -> None:
    """Where the backend says whose clock it goes by; hours begin alike in most zones. The step of a new share is left out too."""
    world = World().wants("old").wants("hours")
    settle(world)
    utc = SnapshotPolicy(daily=DailySnapshots(7, hour=1))
    world.wants("old", snapshot_policy=utc).wants("new", snapshot_policy=utc)
    world.wants("hours", snapshot_policy=HOURLY).wants("berlin", snapshot_policy=DAILY)
    observed = world.observed()
    report = observed["nas"].report
    assert report is not None
    told = replace(report, capabilities={**report.capabilities, "snapshot_policy_time_zone": "Europe/Berlin"})
    found = plan(world.desired(), world.view(), {"nas": replace(observed["nas"], report=told)}, world.pools())
    assert {(each.code, each.address) for each in found.diagnostics} == {
        ("share.no-snapshot-policy", "share/old"),
        ("share.no-snapshot-policy", "share/new"),
    }
    assert all("timeZone: Europe/Berlin" in each.remedy for each in found.diagnostics)
    assert {step.address for step in schedules(found)} == {"share/hours", "share/berlin"}


def test_a_saved_plan_holds_the_policy() -> None:
    """One that ends it too."""
    world = World().wants("a", snapshot_policy=HOURLY).wants("b", snapshot_policy=DAILY)
    settle(world)
    for found in (world.wants("a").wants("b", snapshot_policy=HOURLY).plan(), world.drops("share/b").plan()):
        assert plan_from_document(orjson.loads(orjson.dumps(plan_to_document(found)))) == found


def test_a_label_is_not_taken_for_a_share_type() -> None:
    """Whatever it is called: rows are looked through without being read."""
    labels = {"share_type": "gold", "size_bytes": "1"}
    world = with_type(World(), HOURLY).wants("a", labels=labels).wants("b", share_type="gold", labels=labels)
    settle(world)
    assert world.plan().is_empty
    with_type(world, DAILY)
    assert [step.address for step in world.plan().steps] == ["share/b"]


@pytest.mark.parametrize("new", [None, DAILY])
@pytest.mark.parametrize("old", [None, HOURLY])
@pytest.mark.parametrize("deletion_policy", ["retain", "delete", "trash"])
@pytest.mark.parametrize("replacement", ["createFirst", "deleteFirst"])
def test_a_share_with_a_policy_is_replaced(
    replacement: str, deletion_policy: str, old: SnapshotPolicy | None, new: SnapshotPolicy | None
) -> None:
    """In an order that there is; a new policy beside a share that is left behind first is refused."""
    world = World().wants("a", snapshot_policy=old, deletion_policy=deletion_policy)
    settle(world)
    world.wants("a", snapshot_policy=new, deletion_policy=deletion_policy, replacement=replacement, protocol="CIFS")
    found = world.plan()
    if (replacement, deletion_policy) == ("deleteFirst", "retain") and new is not None:
        assert "share.schedule-replaced" in {diagnostic.code for diagnostic in found.diagnostics}
    else:
        settle(world)
        assert world.plan().is_empty
        assert world.observed_share("share/a").snapshot_policy == new


def test_the_old_share_keeps_its_policy_until_the_new_one_is_there() -> None:
    """A creation that fails leaves the old share as it was."""
    world = World().wants("a", snapshot_policy=HOURLY, deletion_policy="retain")
    settle(world)
    world.wants("a", deletion_policy="retain", replacement="createFirst", protocol="CIFS", access=["user:alice=rw"])
    (ended,) = schedules(world.plan())
    assert policy_of(ended) is None
    assert {"create-share:share/a", "update-access:share/a"} <= {*ended.waits_for}


def without_snapshots(world: World, host: str) -> Plan:
    """Return the plan where this pool says that it takes no snapshots."""
    pools = [
        replace(pool, capabilities={**pool.capabilities, "snapshot_support": pool.host != host})
        for pool in world.pools()
    ]
    return plan(world.desired(), world.view(), world.observed(), pools)


def test_a_pool_that_takes_no_snapshots_refuses_them_of_its_shares() -> None:
    """A policy and a Snapshot, where the other pools of the backend can; what is there already stays as it is."""
    world = World().wants("old", snapshot_policy=HOURLY).wants("a")
    settle(world)
    host = f"nas#{world.records['share/a'].pool}"
    world.wants("a", snapshot_policy=HOURLY).wants_snapshot("monday", "a")
    assert {step.verb for step in world.plan().steps} == {Verb.SCHEDULE_SNAPSHOTS, Verb.CREATE_SNAPSHOT}
    found = without_snapshots(world, host)
    assert [(each.code, each.address) for each in found.diagnostics] == [
        ("share.no-snapshot-policy", "share/a"),
        ("snapshot.unsupported", "snapshot/monday"),
    ]
    assert all(host in each.summary for each in found.diagnostics)
    assert found.steps == ()
    assert without_snapshots(world, "nas#another").steps == world.plan().steps


@pytest.mark.parametrize("place", ["spec", "attributes"])
@pytest.mark.parametrize("number", [0, 999, 1_000, 2_500])
def test_a_policy_is_found_in_any_of_many_rows(number: int, place: str) -> None:
    """Rows are looked through many at a time: one in force that nobody asks for any more, and one that is asked for and not in force."""
    rows = [make_record(f"s{each}") for each in range(2_501)]
    plain = {"spec": spec_object_of, "attributes": attributes_of}[place](rows[number])
    odd = {place: canonical_json({**plain, "snapshot_policy": HOURLY.as_plain()})}
    records = {row.address: row for row in rows}
    desired = World().desired()
    assert outdated_policies(desired, records) == set()
    assert outdated_policies(desired, {**records, f"share/s{number}": rows[number]._replace(**odd)}) == {
        f"share/s{number}"
    }
