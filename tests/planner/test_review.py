"""What a review says of plans: of data, of access, of room."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.access import AccessRule
from sharectl.model.field_changes import FieldChange
from sharectl.model.observed import ScheduledSnapshots
from sharectl.model.specs import DailySnapshots, DeletionPolicy, HourlySnapshots, SnapshotPolicy
from sharectl.planner.review.answers import review_of
from sharectl.planner.review.nouns import Fate, Verdict
from sharectl.planner.review.words import shift_words
from sharectl.planner.saved.document import plan_from_document, plan_to_document
from tests.planner.model import settle
from tests.planner.world import World

if TYPE_CHECKING:
    from sharectl.planner.review.nouns import Review


def settled(*access: str, **fields: object) -> World:
    """Return a world in which share/a is as its manifest says."""
    world = World()
    world.wants("a", access=list(access), **{"deletion_policy": "delete", **fields})  # type: ignore[arg-type]
    settle(world)
    return world


def review(world: World, **options: object) -> Review:
    """Return the review of the world's plan, which is that of the plan once it was saved and read again."""
    plan = world.plan(**options)
    found = review_of(plan)
    assert review_of(plan_from_document(orjson.loads(orjson.dumps(plan_to_document(plan))))) == found
    return found


def access_words(found: Review) -> list[str]:
    """Return who gains and who loses."""
    return [f"{', '.join(change.addresses)}: {words}" for change in found.access for words in shift_words(change)]


def test_a_small_change_is_safe_and_says_so() -> None:
    """Nothing lost, nobody locked out, and what is new has a place."""
    found = review(settled("ip:10.0.0.0/8=ro").wants("b", access=["ip:10.0.0.1"]))
    assert [found.data_lost.verdict, found.locked_out.verdict, found.fits.verdict] == ["no", "no", "yes"]
    assert access_words(found) == ["share/b: 10.0.0.1 gains rw"]


def test_access_is_told_net_of_rules_that_overlap() -> None:
    """A rule that goes while a wider one stays takes away the difference alone."""
    world = settled("ip:10.0.0.0/8=ro", "ip:10.0.3.0/24")
    found = review(world.wants("a", access=["ip:10.0.0.0/8=ro"], deletion_policy="delete"))
    assert access_words(found) == ["share/a: 10.0.3.0/24 goes from rw to ro"]
    assert found.locked_out == (Verdict.YES, "share/a: 10.0.3.0/24 goes from rw to ro", ())


def test_a_rule_that_was_refused_is_nobodys_loss() -> None:
    """What was never in force is not taken away."""
    world = settled("ip:10.0.0.0/8")
    [known] = world.rules["share/a"]
    refused = known._replace(rule=known.rule._replace(access_to="192.0.2.1"), status="error")
    world.rules["share/a"] = (known, refused)
    record = world.records["share/a"]
    world.records["share/a"] = record._replace(spec_digest=None)
    assert review(world).locked_out.verdict is Verdict.NO


def test_a_deleted_share_is_lost_with_its_clients() -> None:
    """Its size is an upper bound of what is lost, and nothing brings it back."""
    found = review(settled("ip:10.0.0.0/8").drops("share/a"), limits=[9, 100.0], allow_empty=True)
    [loss] = found.losses
    assert (loss.fate, loss.fate.is_final, loss.size_bytes) == (Fate.DESTROYED, True, 1 << 30)
    assert found.data_lost == (Verdict.YES, "share/a is destroyed for good (up to 1.0 GiB)", ())
    assert found.locked_out == (Verdict.YES, "all clients of share/a lose it", ())
    assert access_words(found) == ["share/a: 10.0.0.0/8 loses rw"]


def test_what_is_lost_is_what_is_in_use_where_the_backend_says_it() -> None:
    """And not the size of the share."""
    world = settled().by_hand("share/a", used_bytes=300 << 20).drops("share/a")
    found = review(world, limits=[9, 100.0], allow_empty=True)
    assert found.losses[0].used_bytes == 300 << 20
    assert found.data_lost.summary == "share/a is destroyed for good (300.0 MiB in use)"


@pytest.mark.parametrize(
    ("policy", "fate", "words"),
    [
        (DeletionPolicy.TRASH, Fate.TRASHED, "nothing is destroyed; share/a goes to the trash (up to 1.0 GiB)"),
        (
            DeletionPolicy.RETAIN,
            Fate.LEFT,
            "nothing is destroyed; share/a stays on its backend, and nobody looks after it (up to 1.0 GiB)",
        ),
    ],
)
def test_what_can_be_undone_is_not_lost(policy: str, fate: Fate, words: str) -> None:
    """The trash, and a share that stays where it is, keep the data; clients lose it all the same."""
    world = settled("ip:10.0.0.0/8", deletion_policy=policy).drops("share/a")
    found = review(world, limits=[9, 100.0], allow_empty=True)
    assert [loss.fate for loss in found.losses] == [fate]
    assert found.data_lost == (Verdict.NO, words, ())
    assert found.locked_out.verdict is Verdict.YES


def test_access_that_stays_with_a_retained_share_is_no_loss() -> None:
    """With retainAccess nobody is shut out."""
    world = settled("ip:10.0.0.0/8", deletion_policy="retain", retain_access=True).drops("share/a")
    assert review(world, limits=[9, 100.0], allow_empty=True).locked_out.verdict is Verdict.NO


def test_a_replaced_share_takes_its_data_along() -> None:
    """Its clients have to mount the new one, whatever its rules."""
    world = settled("ip:10.0.0.0/8", replacement="createFirst")
    found = review(world, replaces=["share/a"], limits=[9, 100.0])
    assert [(loss.address, loss.is_replaced) for loss in found.losses] == [("share/a", True)]
    assert found.locked_out.summary == "all clients of share/a have to mount the new share"
    assert access_words(found) == []


def test_a_share_that_is_turned_back_loses_what_is_newer() -> None:
    """Unless a snapshot is taken first."""
    world = settled().wants_snapshot("monday", "a")
    settle(world)
    world.wants("a", deletion_policy="delete", revert_to=["monday", "T-1"])
    [loss] = review(world).losses
    assert (loss.fate, loss.undo) == (Fate.REVERTED, "it cannot be undone")
    [loss] = review(world.wants_snapshot("now", "a")).losses
    assert loss.undo == "snapshot/now, which is taken first, holds what is there now"


def test_rules_of_others_stay_and_count() -> None:
    """A client that somebody else has let in keeps that when sharectl's own rule goes."""
    world = settled("ip:10.0.3.0/24")
    others = replace(world.backends["nas"].spec, ignore={"access": [{"type": "ip", "to": "10.0.0.0/8"}]})
    world.backends["nas"].spec = others
    world.by_hand(
        "share/a", ignored_access=(world.observed_share("share/a").access[0]._replace(access_to="10.0.0.0/16"),)
    )
    world.wants("a", access=[], deletion_policy="delete")
    assert access_words(review(world)) == []


def test_a_rule_for_everybody_is_remarked_when_it_comes() -> None:
    """Not as long as it stays."""
    world = settled("ip:0.0.0.0/0").wants(
        "a", access=["ip:0.0.0.0/0", "ip:::/0", "ip:10.0.0.0/8=ro"], deletion_policy="delete"
    )
    assert [(each.rule, each.who) for each in review(world).openings] == [("ip:::/0", "every IPv6 client")]


def test_a_rule_that_lets_everybody_read_is_remarked_too() -> None:
    """Data that all may read is out."""
    world = settled("ip:10.0.0.0/8").wants("a", access=["ip:0.0.0.0/0=ro", "ip:::/0=none", "ip:10.0.0.0/8"])
    assert [(each.rule, each.grant) for each in review(world).openings] == [("ip:0.0.0.0/0", "ro")]


@pytest.mark.parametrize(("half", "grant"), [("ip:0.0.0.0/1=ro", "ro"), ("ip:0.0.0.0/1", "rw")])
def test_what_two_rules_grant_everybody_together_is_the_lesser_of_them(half: str, grant: str) -> None:
    """All of them may write only where each rule lets them."""
    world = settled("ip:10.0.0.0/8").wants("a", access=[half, "ip:128.0.0.0/1", "ip:10.0.0.0/8"])
    assert [(each.rule, each.grant) for each in review(world).openings] == [("ip:0.0.0.0/0", grant)]


def test_two_rules_that_let_everybody_in_together_are_remarked_too() -> None:
    """Half of all addresses each is all of them."""
    world = settled("ip:10.0.0.0/8").wants("a", access=["ip:0.0.0.0/1", "ip:128.0.0.0/1", "ip:10.0.0.0/8"])
    assert [(each.rule, each.addresses) for each in review(world).openings] == [("ip:0.0.0.0/0", ("share/a",))]


def test_what_is_equal_for_many_shares_is_told_once() -> None:
    """Whatever their order, with all their addresses."""
    world = World()
    for number in range(20):
        world.wants(f"s{number:02}", access=["ip:10.0.0.0/8", "ip:10.0.3.0/24=ro"])
    settle(world)
    for number in range(20):
        world.wants(f"s{number:02}", access=["ip:10.0.3.0/24=ro"])
    [change] = review(world, limits=[99, 100.0]).access
    assert len(change.addresses) == 20
    assert (
        review(world, limits=[99, 100.0]).locked_out.summary == "20 shares: 10.0.0.0/8 (but for 10.0.3.0/24) loses rw"
    )


def test_where_a_new_share_goes_and_why() -> None:
    """The weigher that decided, and the pool that came second."""
    world = World().wants("a")
    world.backends["nas"].pools = {"p1": 1000, "p2": 500}
    [placing] = review(world).placings
    assert (placing.backend, placing.pool, placing.candidates) == ("nas", "p1", 2)
    assert placing.why == "CapacityWeigher prefers it to nas#p2"


def test_what_has_no_place_does_not_fit() -> None:
    """The answer is no, whatever else is placed."""
    found = review(World().wants("big", "9000GiB").wants("a"))
    assert found.fits == (Verdict.NO, "share/big has no place; 1 new share has one", ())


def test_a_backend_that_could_not_be_read_leaves_the_answer_open() -> None:
    """Who has access there today is what the state says, and nobody knows."""
    world = settled("ip:10.0.0.0/8").wants("a", access=["ip:10.0.0.0/8", "ip:192.0.2.1"], deletion_policy="delete")
    found = review(world.silences("nas"))
    assert found.locked_out == (
        Verdict.UNKNOWN,
        "nobody loses access",
        ("who has access on nas today, which could not be read",),
    )


def test_what_is_held_is_not_judged() -> None:
    """A share whose removal is refused is not lost, and nobody says that all is well."""
    world = settled("ip:10.0.0.0/8", protect=True).drops("share/a")
    found = review(world, limits=[9, 100.0], allow_empty=True)
    assert found.losses == ()
    assert found.data_lost.verdict is Verdict.UNKNOWN


def test_a_share_that_leaves_a_protocol_with_the_same_rules_shuts_out_who_came_over_it() -> None:
    """The rules do not change, and nobody comes over NFS any more."""
    world = settled("ip:10.0.0.0/8", "user:alice", protocol="NFS_CIFS")
    world.wants("a", access=["ip:10.0.0.0/8", "user:alice"], protocol="CIFS", deletion_policy="delete")
    found = review(world)
    assert found.locked_out.verdict is Verdict.YES
    assert access_words(found) == ["share/a: 10.0.0.0/8 loses rw"]


def test_a_share_that_is_mounted_by_another_name_gains_nobody() -> None:
    """Who had access has it, once the share is mounted anew."""
    world = settled("ip:0.0.0.0/0", export_name="old")
    found = review(world.wants("a", access=["ip:0.0.0.0/0"], export_name="new", deletion_policy="delete"))
    assert found.locked_out == (Verdict.YES, "clients of share/a have to mount it anew, as new", ())
    assert access_words(found) == []
    assert found.openings == ()


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ({"security": "sys,krb5"}, {"security": "krb5"}, Verdict.YES),
        ({"security": "krb5"}, {"security": "sys,krb5"}, Verdict.NO),
        ({}, {"security": "krb5p"}, Verdict.UNKNOWN),
        ({"security": "sys"}, {}, Verdict.UNKNOWN),
        ({"insecure": "true"}, {"insecure": "false"}, Verdict.YES),
        ({"insecure": "true"}, {}, Verdict.UNKNOWN),
        ({}, {"insecure": "true"}, Verdict.NO),
        ({"squash": "none"}, {"squash": "all"}, Verdict.YES),
        ({"squash": "root"}, {"squash": "none"}, Verdict.NO),
        ({"squash": "none"}, {}, Verdict.UNKNOWN),
        ({"anonymousUid": "1"}, {"anonymousUid": "2"}, Verdict.UNKNOWN),
        ({"squash": "root", "security": "sys"}, {"squash": "none", "security": "krb5"}, Verdict.YES),
    ],
)
def test_options_that_let_in_fewer_shut_somebody_out(
    before: dict[str, str], after: dict[str, str], verdict: Verdict
) -> None:
    """At the same level; where nobody here knows what an option was, or is then, that is said."""
    world = settled()
    rules = [AccessRule("ip", "10.0.0.0/8", "rw", tuple(sorted(options.items()))) for options in (before, after)]
    world.access["share/a"] = (rules[0],)
    settle(world)
    world.access["share/a"] = (rules[1],)
    assert review(world).locked_out.verdict is verdict


@pytest.mark.parametrize(
    ("before", "after", "is_lost"),
    [
        (SnapshotPolicy(daily=DailySnapshots(14)), SnapshotPolicy(daily=DailySnapshots(3)), True),
        (SnapshotPolicy(daily=DailySnapshots(14)), SnapshotPolicy(daily=DailySnapshots(0)), True),
        (SnapshotPolicy(daily=DailySnapshots(14)), SnapshotPolicy(daily=DailySnapshots(15)), False),
        (SnapshotPolicy(daily=DailySnapshots(14)), SnapshotPolicy(HourlySnapshots(2)), False),
        (SnapshotPolicy(daily=DailySnapshots(14)), SnapshotPolicy(), False),
    ],
)
def test_a_policy_that_keeps_fewer_snapshots_loses_the_oldest(
    before: SnapshotPolicy, after: SnapshotPolicy, *, is_lost: bool
) -> None:
    """An interval that is gone leaves its snapshots where they are."""
    world = settled(snapshot_policy=before)
    found = review(world.wants("a", snapshot_policy=after, deletion_policy="delete"))
    assert [(loss.fate, loss.undo) for loss in found.losses] == [(Fate.THINNED, "it cannot be undone")] * is_lost
    assert found.data_lost.verdict is (Verdict.YES if is_lost else Verdict.NO)
    if is_lost:
        assert found.data_lost.summary == "share/a loses for good the oldest snapshots of its policy, which keeps fewer"


@pytest.mark.parametrize(
    ("before", "number", "verdict"),
    [
        (None, 12, Verdict.UNKNOWN),
        (SnapshotPolicy(), 12, Verdict.UNKNOWN),
        (SnapshotPolicy(daily=DailySnapshots(14)), 12, Verdict.UNKNOWN),
        (SnapshotPolicy(HourlySnapshots(3)), 12, Verdict.NO),
        (None, 3, Verdict.NO),
        (None, 0, Verdict.NO),
    ],
)
def test_an_interval_that_comes_back_may_take_its_old_snapshots(
    before: SnapshotPolicy | None, number: int, verdict: Verdict
) -> None:
    """Those that it left where they were when it ended, as many as it keeps no longer."""
    world = settled(snapshot_policy=before)
    world.by_hand("share/a", scheduled_snapshots=ScheduledSnapshots(number))
    found = review(world.wants("a", snapshot_policy=SnapshotPolicy(HourlySnapshots(3)), deletion_policy="delete"))
    assert found.data_lost.verdict is verdict
    told = "whether older snapshots go of share/a, whose policy gets an interval that may have been there before"
    assert found.data_lost.unknown == (told,) * (verdict is Verdict.UNKNOWN)


def test_access_that_cannot_be_read_leaves_the_answer_open() -> None:
    """Whoever a changed line of the backend lets in may lose that."""
    world = settled("ip:10.0.0.0/8")
    known = world.observed_share("share/a").access
    world.by_hand("share/a", access=(*known, AccessRule("ip", "unreadable: a line", "rw")))
    found = review(world)
    assert (found.locked_out.verdict, found.locked_out.summary) == (Verdict.UNKNOWN, "nobody loses access")
    world.drops("share/a")
    assert review(world, limits=[9, 100.0], allow_empty=True).locked_out.verdict is Verdict.YES


def test_a_share_server_that_may_get_another_address_leaves_the_answer_open() -> None:
    """Its clients may have to mount their shares anew."""
    plan = settled("ip:10.0.0.0/8").wants("a", access=["ip:10.0.0.0/8"], deletion_policy="retain").plan()
    [step] = plan.steps
    moved = FieldChange("export_locations", "as recorded", "as on the backend")
    changed = replace(plan, steps=(replace(step, stated_changes=(*step.changes, moved)),))
    assert review_of(plan).locked_out.verdict is Verdict.NO
    assert review_of(changed).locked_out.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("drops", "words"),
    [
        ([], "all clients of share/a have to mount the new share"),
        (["share/a"], "all clients of share/a have lost it already"),
    ],
)
def test_a_share_that_is_gone_from_its_backend_is_lost_and_nobody_says_that_all_is_well(
    drops: list[str], words: str
) -> None:
    """Whether it is made again, empty, or forgotten: whoever approves the plan has to know first."""
    world = settled("ip:10.0.0.0/8", deletion_policy="retain").vanishes("share/a").drops(*drops)
    found = review(world, limits=[9, 100.0], allow_empty=True, allow_recreations=9)
    assert [(loss.fate, loss.is_replaced) for loss in found.losses] == [(Fate.GONE, not drops)]
    assert found.data_lost == (Verdict.YES, "share/a is gone from its backend already, with all that was in it", ())
    assert found.locked_out == (Verdict.YES, words, ())


def test_a_backend_that_was_not_asked_leaves_the_answer_open() -> None:
    """Whom somebody has let in there by hand loses that, unseen."""
    world = settled("ip:10.0.0.0/8").wants("a", access=["ip:10.0.0.0/8", "ip:192.0.2.1"], deletion_policy="delete")
    assert review(world).locked_out.verdict is Verdict.NO
    assert review(world.is_not_asked("nas")).locked_out == (
        Verdict.UNKNOWN,
        "nobody loses access",
        ("who has access to share/a today, since no backend was asked",),
    )


def test_a_share_that_somebody_put_into_the_trash_is_not_gone() -> None:
    """Its data is there."""
    world = settled("ip:10.0.0.0/8", deletion_policy="trash").drops("share/a").by_hand("share/a", trashed_at="2026")
    assert Fate.GONE not in {loss.fate for loss in review(world, limits=[9, 100.0], allow_empty=True).losses}


@pytest.mark.parametrize(
    ("free_gib", "verdict", "summary"),
    [
        (4, "yes", "share/a has room to grow"),
        (2, "no", "share/a has no room to grow (needs 3 GiB, 2.0 GiB free)"),
    ],
)
def test_a_share_that_grows_is_held_against_its_pool(free_gib: int, verdict: str, summary: str) -> None:
    """The backend has the last word, so that it is a warning at the size, and the step stays in the plan."""
    world = World("b").has_backend("b", pools={"p": 1 + free_gib}).wants("a")
    settle(world)
    world.wants("a", "4GiB")
    found = review(world)
    assert (found.fits.verdict, found.fits.summary, found.fits.unknown) == (verdict, summary, ())
    told = [each.summary for each in world.plan().diagnostics if each.code == "share.no-room"]
    assert told == (["b#p has no room for share/a to grow"] if verdict == "no" else [])
    assert [step.verb for step in world.plan().steps] == ["extend-share"]


def test_what_is_new_in_the_pool_takes_its_room_first() -> None:
    """Each alone would fit."""
    world = World("b").has_backend("b", pools={"p": 6}).wants("a")
    settle(world)
    found = review(world.wants("a", "4GiB").wants("new", "3GiB"))
    assert found.fits.summary == ("the new share has a place; share/a has no room to grow (needs 3 GiB, 2.0 GiB free)")


@pytest.mark.parametrize(("size", "lack"), [("4GiB", ""), ("6GiB", "needs 5 GiB, 4.0 GiB free")])
def test_a_share_waits_for_the_room_that_another_gives_back(size: str, lack: str) -> None:
    """Side by side, it would find the pool full as long as the other is large; what fits without waits for nobody."""
    world = World("b").has_backend("b", pools={"p": 6}).wants("a").wants("b", "4GiB", allow_shrink=True)
    settle(world)
    plan = world.wants("a", size).wants("b", "1GiB", allow_shrink=True).plan()
    assert {step.step_id: step.waits_for for step in plan.steps} == {
        "shrink-share:share/b": (),
        "extend-share:share/a": () if lack else ("shrink-share:share/b",),
    }
    told = [each for each in plan.diagnostics if each.code == "share.no-room"]
    assert [each.summary for each in told] == (
        ["b#p has no room for share/a to grow, even when others have shrunk"] if lack else []
    )
    assert all(lack in each.detail for each in told)
    assert review_of(plan).fits.verdict == ("no" if lack else "yes")
    assert all(not step.waits_for for step in world.wants("a", "2GiB").plan().steps)


def test_a_share_waits_for_no_more_of_those_that_shrink_than_it_needs() -> None:
    """All of them for each would be as many waits as there are pairs; who takes what is left of one waits for that."""
    world = World("b").has_backend("b", pools={"p": 16})
    for name, size in (("a", "1GiB"), ("b", "1GiB"), ("c", "1GiB"), ("w", "4GiB"), ("x", "4GiB"), ("y", "4GiB")):
        world.wants(name, size, allow_shrink=True)
    settle(world)
    for name in ("w", "x", "y"):
        world.wants(name, "1GiB", allow_shrink=True)
    plan = world.wants("a", "4GiB").wants("b", "6GiB").wants("c", "2GiB").plan()
    waits = {step.address: step.waits_for for step in plan.steps if step.verb == "extend-share"}
    assert waits == {
        "share/a": ("shrink-share:share/w",),
        "share/b": ("shrink-share:share/w", "shrink-share:share/x", "shrink-share:share/y"),
        "share/c": ("shrink-share:share/y",),
    }
    assert not [each for each in plan.diagnostics if each.code == "share.no-room"]


def test_nothing_is_said_of_room_that_nobody_has_looked_at() -> None:
    """In a plan that asked nobody, and in one that was saved before it was noted."""
    world = World("b").has_backend("b", pools={"p": 6}).wants("a")
    settle(world)
    plan = world.wants("a", "4GiB").plan()
    document = orjson.loads(orjson.dumps(plan_to_document(plan)))
    for step in document["steps"]:
        del step["shortage"]
    found = review_of(plan_from_document(document))
    assert found.fits == (Verdict.UNKNOWN, "nothing needs a new place", ("whether there is room for share/a to grow",))
