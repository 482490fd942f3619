"""The oracle: a change of access without a gap passes, and each sequence that has one is caught."""

from __future__ import annotations

import dataclasses

import pytest

from tests.emulators.ontap import export_rules, oracle
from tests.emulators.ontap.access_records import AclEntry, CifsShare, ExportPolicy
from tests.emulators.ontap.export_rules import Rule
from tests.emulators.ontap.oracle import Finding, Oracle
from tests.emulators.ontap.svm_records import Svm
from tests.emulators.ontap.volume_records import Volume
from tests.emulators.ontap.world import World

OLD = {"10.0.0.1": "rw", "10.0.0.2": "rw", "10.1.0.0/16": "ro"}
NEW = {"10.0.0.1": "ro", "10.0.0.3": "rw", "10.1.0.0/16": "ro", "fd00::/64": "rw"}


def _rules(meant: dict[str, str]) -> tuple[Rule, ...]:
    return tuple(
        Rule(number, (client,), ("sys",), ("sys" if level == "rw" else "never",))
        for number, (client, level) in enumerate(meant.items(), start=1)
    )


@pytest.fixture
def world() -> World:
    """Return a small array: a volume with a policy of its own, in an SVM whose root volume all may read."""
    world = World()
    world[Svm].put(Svm(uuid="svm", name="vs1", ipspace="Default"))
    for number, name, rules in (
        (1, "root", (Rule(1, ("0.0.0.0/0", "::/0"), ("any",), ("never",)),)),
        (2, "old", _rules(OLD)),
        (3, "open", (Rule(1, ("0.0.0.0/0", "::/0"), ("any",), ("any",)),)),
    ):
        world[ExportPolicy].put(ExportPolicy(id=number, name=name, svm="svm", rules=rules))
    for name, path, policy in (("vs1_root", "/", 1), ("v", "/v", 2)):
        world[Volume].put(
            Volume(
                uuid=name,
                name=name,
                svm="svm",
                aggregates=("a",),
                size=2**30,
                create_time=0,
                msid=1,
                path=path,
                policy=policy,
                root=path == "/",
            )
        )
    return world


def test_a_switch_to_a_new_policy_has_no_gap(world: World) -> None:
    """All rules come with the new policy, and the volume is switched in one step."""
    watching = Oracle(world)
    since = watching.now()
    world[ExportPolicy].put(ExportPolicy(id=9, name="new", svm="svm", rules=_rules(NEW)))
    world[Volume].change("v", policy=9)
    world[ExportPolicy].remove(2)
    assert watching.check_between("v", OLD, NEW, since) == []


def test_rules_that_are_replaced_leave_a_gap(world: World) -> None:
    """Who is in the old rules and in the new ones has nothing in between."""
    watching = Oracle(world)
    since = watching.now()
    world[ExportPolicy].change(2, rules=())
    world[ExportPolicy].change(2, rules=_rules(NEW))
    found = watching.check_between("v", OLD, NEW, since)
    assert Finding("gap", "10.0.0.1", "read", since + 1) in found
    assert {each.kind for each in found} == {"gap"}


def test_a_rule_taken_away_before_its_like_is_added_leaves_a_gap(world: World) -> None:
    """Changing a level by deletion and addition is seen, in place it is not."""
    watching = Oracle(world)
    since, old = watching.now(), world[ExportPolicy][2].rules
    world[ExportPolicy].change(2, rules=export_rules.without(old, 1))
    world[ExportPolicy].change(2, rules=(_rules(NEW)[0], *old[1:]))
    after = {**OLD, "10.0.0.1": "ro"}
    assert [each.who for each in watching.check_between("v", OLD, after, since)] == ["10.0.0.1"]
    again = watching.now()
    world[ExportPolicy].change(2, rules=old)
    assert watching.check_between("v", after, OLD, again) == []


def test_a_rule_in_the_wrong_place_is_a_surplus(world: World) -> None:
    """A network that may write, before the host in it that may only read."""
    watching = Oracle(world)
    world[ExportPolicy].change(2, rules=_rules({"10.0.0.1": "ro"}))
    since = watching.now()
    world[ExportPolicy].change(2, rules=_rules({"10.0.0.0/24": "rw", "10.0.0.1": "ro"}))
    world[ExportPolicy].change(2, rules=_rules({"10.0.0.1": "ro", "10.0.0.0/24": "rw"}))
    after = {"10.0.0.1": "ro", "10.0.0.0/24": "rw"}
    assert watching.check_between("v", {"10.0.0.1": "ro"}, after, since) == [
        Finding("surplus", "10.0.0.1", "write", since + 1)
    ]


def test_who_is_to_be_kept_out_is_seen_at_the_end(world: World) -> None:
    """A rule that is left over, and one that never came."""
    watching = Oracle(world)
    since = watching.now()
    found = watching.check_between("v", OLD, {"10.0.0.1": "rw", "10.0.0.9": "rw"}, since)
    assert {(each.kind, each.who) for each in found if each.part == "write"} == {
        ("surplus", "10.0.0.2"),
        ("gap", "10.0.0.9"),
    }


def test_a_volume_that_was_open_for_a_moment_is_a_surplus(world: World) -> None:
    """Made with the policy that lets everyone in, and switched a moment later."""
    watching = Oracle(world)
    since = watching.now()
    world[Volume].put(dataclasses.replace(world[Volume]["v"], uuid="w", name="w", path="/w", policy=3))
    world[Volume].change("w", policy=2)
    assert {each.who for each in watching.reached("w", since)} >= set(oracle.STRANGERS)
    assert watching.may("192.0.2.77", "w", at=since + 1)
    assert not watching.may("192.0.2.77", "w")


def test_the_way_through_the_root_volume_counts(world: World) -> None:
    """A client that may not read the root volume reaches nothing below it."""
    watching = Oracle(world)
    assert watching.may("10.0.0.1", "v", "write")
    world[ExportPolicy].change(1, rules=())
    assert not watching.may("10.0.0.1", "v")


def test_what_is_not_served_is_out_of_reach(world: World) -> None:
    """An SVM that is stopped, a volume that is unmounted, offline or deleted."""
    watching = Oracle(world)
    for change in ({"path": None}, {"state": "offline"}, {"deleted_at": 1.0}):
        world[Volume].change("v", **change)
        assert not watching.may("10.0.0.1", "v")
        world[Volume].change("v", path="/v", state="online", deleted_at=None)
    world[Svm].change("svm", is_running=False)
    assert not watching.may("10.0.0.1", "v")


def test_a_share_made_without_a_list_was_open(world: World) -> None:
    """Everyone stands in it until somebody takes that away."""
    watching = Oracle(world)
    since = watching.now()
    share = CifsShare(uuid="svm", name="Team", path="/v", entries=(AclEntry("Everyone", "full_control"),))
    world[CifsShare].put(share)
    world[CifsShare].change(share.key, entries=(AclEntry("DOM\\bob", "read"),))
    found = watching.check_cifs_between(("vs1", "team"), {}, {"DOM\\bob": "read"}, since)
    assert {(each.kind, each.who, each.part) for each in found} == {
        ("surplus", oracle.STRANGER, "read"),
        ("surplus", oracle.STRANGER, "write"),
        ("surplus", "DOM\\bob", "write"),
    }


def test_entries_that_are_added_changed_and_taken_away_leave_no_gap(world: World) -> None:
    """In this order, each in a step of its own."""
    watching = Oracle(world)
    bob, eve = AclEntry("DOM\\bob", "read"), AclEntry("DOM\\eve", "change")
    share = CifsShare(uuid="svm", name="team", path="/v", entries=(bob, AclEntry("DOM\\old", "read")))
    world[CifsShare].put(share)
    since = watching.now()
    world[CifsShare].change(share.key, entries=(*share.entries, eve))
    world[CifsShare].change(share.key, entries=(AclEntry("DOM\\bob", "change"), share.entries[1], eve))
    world[CifsShare].change(share.key, entries=(AclEntry("DOM\\bob", "change"), eve))
    before = {"DOM\\bob": "read", "DOM\\old": "read"}
    after = {"DOM\\bob": "change", "DOM\\eve": "change"}
    assert watching.check_cifs_between(("vs1", "team"), before, after, since) == []
    world[CifsShare].change(share.key, entries=(eve,))
    assert watching.check_cifs_between(("vs1", "team"), before, after, since) != []


def test_no_access_outweighs_what_everyone_has(world: World) -> None:
    """As Windows has it."""
    watching = Oracle(world)
    entries = (AclEntry("Everyone", "read"), AclEntry("DOM\\eve", "no_access"))
    world[CifsShare].put(CifsShare(uuid="svm", name="team", path="/v", entries=entries))
    meant = {"Everyone": "read", "DOM\\eve": "no_access"}
    assert watching.check_cifs_between(("vs1", "team"), meant, meant, watching.now()) == []


def test_what_is_left_behind_is_named(world: World) -> None:
    """Policies that nothing uses, shares to nowhere, what two dumps differ in outside of ours."""
    before = world.dump()
    world[ExportPolicy].put(ExportPolicy(id=7, name="ours_left", svm="svm"))
    world[ExportPolicy].change(3, name="theirs")
    world[CifsShare].put(CifsShare(uuid="svm", name="gone", path="/gone"))
    assert oracle.unowned_policies(world, "ours_") == ["ours_left"]
    assert oracle.shares_to_nowhere(world) == ["gone"]
    changed = oracle.changed_outside(before, world.dump(), "ours_", "gone")
    assert ["theirs" in line or "open" in line for line in changed] == [True, True]
