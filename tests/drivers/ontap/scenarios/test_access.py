"""Who may reach a share, from its creation on, at every single event on the array."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError, DriverError
from tests.emulators.ontap.access_records import ExportPolicy

from .ground import CLOSED, request, rule

if TYPE_CHECKING:
    from sharectl.model.access import AccessRule

    from .ground import Ground

THREE = (rule("10.0.0.0/24"), rule("10.0.0.9", "ro"), rule("fd00::/64", squash="none"))


def meant(*rules: AccessRule) -> dict[str, str]:
    """Return what rules grant, for the oracle."""
    return {each.access_to: each.access_level for each in rules}


def test_a_new_share_is_one_call_and_nobody_reaches_it(ground: Ground) -> None:
    """One look for its id and one creation, besides what is read once of the SVM; the policy `default`, which is open here, is not touched."""
    opened = [policy for policy in ground.emulator.world[ExportPolicy] if policy.name == "default"]
    since = ground.oracle.now()
    ground.share()
    assert {name: count for name, count in ground.calls().items() if "volumes" in name or "policies" in name} == {
        "GET /storage/volumes": 1,
        "POST /storage/volumes": 1,
    }
    assert ground.oracle.reached("projects", since) == []
    assert opened == [policy for policy in ground.emulator.world[ExportPolicy] if policy.name == "default"]
    volume = ground.volumes()["projects"]
    assert (volume.path, volume.thick, volume.snapshot_policy) == ("/projects", True, None) or volume.snapshot_policy
    ground.is_tidy(shares=1, with_access=0)


def test_the_first_access_is_two_calls(ground: Ground) -> None:
    """However many rules; each says whose rights are taken away."""
    share = ground.share()
    ground.forget_calls()
    ground.driver.update_access(share, THREE, THREE, [])
    assert ground.calls() == {"POST /protocols/nfs/export-policies": 1, "PATCH /storage/volumes/{uuid}": 1}
    policy = next(policy for name, policy in ground.policies().items() if name != CLOSED)
    assert all(each.superuser and each.anonymous_user for each in policy.rules)
    assert set(ground.listed().access) == set(THREE)
    ground.is_tidy(shares=1, with_access=1)


@pytest.mark.parametrize(
    "after",
    [
        (THREE[0], THREE[1], rule("192.0.2.7")),
        (THREE[0]._replace(access_level="ro"), THREE[1]._replace(access_level="rw"), THREE[2]),
        (rule("10.0.0.0/23", "ro"), rule("10.0.0.0/24"), rule("10.0.0.9", "none"), rule("fd00::/48")),
        (),
    ],
    ids=["swapped", "levels", "overlapping", "nobody"],
)
def test_a_change_of_access_has_no_gap_and_no_surplus(ground: Ground, after: tuple[AccessRule, ...]) -> None:
    """Three calls; whoever may before and after may at each moment between, and whoever may neither never may."""
    share = ground.share(*THREE)
    since = ground.oracle.now()
    ground.forget_calls()
    add, delete = set(after) - set(THREE), set(THREE) - set(after)
    ground.driver.update_access(share, after, add, delete)
    calls = {"POST /protocols/nfs/export-policies": 1} if after else {}
    assert ground.calls() == {
        **calls,
        "PATCH /storage/volumes/{uuid}": 1,
        "DELETE /protocols/nfs/export-policies/{id}": 1,
    }
    assert ground.oracle.check_between("projects", meant(*THREE), meant(*after), since) == []
    assert set(ground.listed().access) == set(after)
    ground.is_tidy(shares=1, with_access=1 if after else 0)


def test_clients_with_one_grant_are_one_rule(ground: Ground) -> None:
    """Arrays of 9.15 and later refuse the second of two that are equal."""
    ground.share(rule("10.0.0.1"), rule("10.0.0.2"), rule("10.0.1.0/24"))
    policy = next(policy for name, policy in ground.policies().items() if name != CLOSED)
    assert [len(each.clients) for each in policy.rules] == [3]
    assert "1704070" not in ground.emulator.calls.codes()


def test_a_rule_that_cannot_be_is_told_and_the_others_are_active(ground: Ground) -> None:
    """Host bits in a network are refused before anything is called."""
    share = ground.share()
    statuses = ground.driver.update_access(share, [rule("10.0.0.1/24"), THREE[0]], [], [])
    assert {each.access_to: status.status for each, status in statuses.items()} == {
        "10.0.0.1/24": "error",
        "10.0.0.0/24": "active",
    }
    assert set(ground.listed().access) == {THREE[0]}
    assert not ground.emulator.calls.codes()


def own_policy(ground: Ground) -> ExportPolicy:
    """Return the policy of the share."""
    return next(policy for name, policy in ground.policies().items() if name.startswith("sharectl_") and name != CLOSED)


def remove_a_rule(ground: Ground) -> None:
    """Take the first rule out of the policy."""
    ground.send("DELETE", f"/protocols/nfs/export-policies/{own_policy(ground).id}/rules/1")


def add_a_rule(ground: Ground) -> None:
    """Let somebody in."""
    body = {"clients": [{"match": "192.0.2.0/24"}], "ro_rule": ["any"], "rw_rule": ["any"], "superuser": ["any"]}
    ground.send("POST", f"/protocols/nfs/export-policies/{own_policy(ground).id}/rules", body)


def switch_to_default(ground: Ground) -> None:
    """Give the volume the policy that lets everybody in."""
    uuid = ground.volumes()["projects"].uuid
    ground.send("PATCH", f"/storage/volumes/{uuid}", {"nas": {"export_policy": {"name": "default"}}})


def rename_the_policy(ground: Ground) -> None:
    """Call it something else."""
    ground.send("PATCH", f"/protocols/nfs/export-policies/{own_policy(ground).id}", {"name": "mine"})


def leave_a_policy(ground: Ground) -> None:
    """Leave a policy of the share as a killed run does."""
    name = f"sharectl_{ground.listed().resource_id}_0123456789ab"
    ground.send("POST", "/protocols/nfs/export-policies", {"svm": {"name": "vs1"}, "name": name})


@pytest.mark.parametrize(
    "change",
    [remove_a_rule, add_a_rule, switch_to_default, rename_the_policy, leave_a_policy],
    ids=lambda each: each.__name__,
)
def test_what_was_changed_by_hand_shows_and_is_repaired(ground: Ground, change: object) -> None:
    """Policies of others are as they were; nothing is left over."""
    share = ground.share(*THREE)
    before = [policy for policy in ground.emulator.world[ExportPolicy] if policy.name == "default"]
    change(ground)  # type: ignore[operator]  # one of the functions above
    assert set(ground.listed().access) != set(THREE)
    ground.repair(share, THREE)
    assert set(ground.listed().access) == set(THREE)
    assert before == [policy for policy in ground.emulator.world[ExportPolicy] if policy.name == "default"]
    ground.is_tidy(shares=1, with_access=1)


def test_a_policy_that_others_share_is_left_by_the_volume(ground: Ground) -> None:
    """It is never edited: the volume gets one of its own."""
    body = {
        "clients": [{"match": "10.0.0.0/8"}],
        "ro_rule": ["sys"],
        "rw_rule": ["sys"],
        "superuser": ["none"],
        "anonymous_user": "65534",
    }
    ground.send("POST", "/protocols/nfs/export-policies", {"svm": {"name": "vs1"}, "name": "theirs", "rules": [body]})
    share = ground.share(THREE[0])
    uuid = ground.volumes()["projects"].uuid
    ground.send("PATCH", f"/storage/volumes/{uuid}", {"nas": {"export_policy": {"name": "theirs"}}})
    before = ground.policies()["theirs"]
    ground.repair(share, [THREE[0]])
    assert set(ground.listed().access) == {THREE[0]}
    assert ground.policies()["theirs"] == before


def test_the_closed_policy_that_somebody_opened_stops(ground: Ground) -> None:
    """Every share that nobody may reach would be open: it is told, and no repair pretends."""
    share = ground.share()
    closed = ground.policies()[CLOSED]
    body = {"clients": [{"match": "0.0.0.0/0"}], "ro_rule": ["any"], "rw_rule": ["any"], "superuser": ["any"]}
    ground.send("POST", f"/protocols/nfs/export-policies/{closed.id}/rules", body)
    assert ground.listed().access
    assert any("has rules" in each.summary for each in ground.driver.report().hindrances)
    with pytest.raises(ConflictError, match="has rules"):
        ground.repair(share, [])
    with pytest.raises(ConflictError, match="has rules"):
        ground.driver.prepare()


def test_a_change_of_how_clients_are_treated_reaches_the_share(ground: Ground) -> None:
    """It is listed as it is in force, and changed in one step."""
    share = ground.share(*THREE)
    assert dict(ground.listed().export_settings or ())["squash"] == "root"
    since = ground.oracle.now()
    settings = {"squash": "none", "anonymousUid": "65534", "security": "sys"}
    changed = type(share)(**{**{name: getattr(share, name) for name in share.__slots__}, "export_settings": settings})
    ground.driver.update_access(changed, THREE, [], [])
    assert dict(ground.listed().export_settings or ()) == settings
    assert set(ground.listed().access) == set(THREE)
    assert ground.oracle.check_between("projects", meant(*THREE), meant(*THREE), since) == []
    ground.is_tidy(shares=1, with_access=1)


@pytest.mark.parametrize(
    "call",
    ["POST /protocols/nfs/export-policies", "PATCH /storage/volumes/*", "DELETE /protocols/nfs/export-policies/*"],
)
@pytest.mark.parametrize("done", [True, False])
def test_a_change_whose_answer_is_lost_converges(ground: Ground, call: str, done: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Whether it was made or not: asked again, also by another process, it ends with one policy."""
    share = ground.share(*THREE)
    since = ground.oracle.now()
    after = (THREE[0], rule("192.0.2.7"))
    method, _, path = call.partition(" ")
    ground.emulator.fault("cut", method, path, where="before", done=done, times=1)
    try:
        ground.driver.update_access(share, after, after[1:], THREE[1:])
    except DriverError:
        ground.fresh().update_access(share, after, after[1:], THREE[1:])
    if set(ground.listed().access) != set(after):
        ground.repair(share, after)
    assert set(ground.listed().access) == set(after)
    assert ground.oracle.check_between("projects", meant(*THREE), meant(*after), since) == []
    ground.is_tidy(shares=1, with_access=1)


def test_a_policy_that_counts_as_used_for_a_while_goes_all_the_same(ground: Ground) -> None:
    """The array may still say so some seconds after the switch."""
    ground.emulator.world.settings.policy_in_use_seconds = 2.0
    share = ground.share(*THREE)
    ground.driver.update_access(share, THREE[:1], [], THREE[1:])
    ground.emulator.world.settings.policy_in_use_seconds = 0.0
    if len(ground.policies()) > 2:
        assert any(each.is_remark for each in ground.listed().access)
        ground.repair(share, THREE[:1])
    ground.is_tidy(shares=1, with_access=1)


def test_who_is_to_be_out_is_out_where_somebody_opened_the_closed_policy(ground: Ground) -> None:
    """The share gets an empty policy of its own, each change says what is wrong, and no new share is made to be open."""
    share = ground.share(*THREE)
    body = {"clients": [{"match": "0.0.0.0/0"}], "ro_rule": ["any"], "rw_rule": ["any"], "superuser": ["any"]}
    ground.send("POST", f"/protocols/nfs/export-policies/{ground.policies()[CLOSED].id}/rules", body)
    since = ground.oracle.now()
    driver = ground.fresh()
    with pytest.raises(ConflictError, match="has rules"):
        driver.update_access(share, [], [], THREE)
    with pytest.raises(ConflictError, match="has rules"):
        ground.fresh().create_share(request("another"))
    assert ground.oracle.check_between("projects", meant(*THREE), {}, since) == []
    assert ground.listed().access == ()
    assert set(ground.volumes()) == {"projects"}
    driver = ground.fresh()
    driver.trash_share(share)
    driver.restore_share(share.resource_id)
    assert ground.oracle.check_between("projects", meant(*THREE), {}, since) == []
    ground.send("DELETE", f"/protocols/nfs/export-policies/{ground.policies()[CLOSED].id}/rules/1")
    ground.fresh().update_access(share, [], [], [])
    ground.is_tidy(shares=1, with_access=0)


def test_an_array_is_known_again_whose_closed_policy_is_called_otherwise_now(ground: Ground) -> None:
    """By the shares on it; the policy is made anew when the next share needs it."""
    identity = ground.driver.report().identity
    share = ground.share(*THREE)
    ground.send("PATCH", f"/protocols/nfs/export-policies/{ground.policies()[CLOSED].id}", {"name": "empty"})
    assert ground.fresh().report().identity == identity
    ground.driver.create_share(request("another"))
    ground.driver.update_access(share, [], [], THREE)
    assert {each.policy for each in ground.volumes().values()} == {ground.policies()[CLOSED].id}


@pytest.mark.parametrize(
    ("state", "said", "remedy"), [("offline", "is offline", "online"), ("online", "is mounted nowhere", "mount it")]
)
def test_a_share_that_nobody_can_reach_is_no_share_as_its_manifest_says(
    ground: Ground, state: str, said: str, remedy: str
) -> None:
    """It is listed with a remark, which the repair does not take away: an administrator has to."""
    share = ground.share(*THREE)
    path = f"/storage/volumes/{ground.volumes()['projects'].uuid}"
    ground.send("PATCH", path, {"nas": {"path": ""}})
    ground.send("PATCH", path, {"state": state})
    (remark,) = [each for each in ground.listed().access if each.is_remark]
    assert said in remark.access_to
    with pytest.raises(DriverError, match=remedy):
        ground.repair(share, THREE)
    with pytest.raises(DriverError, match=remedy):  # as where the state has the remark by now
        ground.fresh().update_access(share, THREE, [], [remark])
    ground.send("PATCH", path, {"state": "online"})
    ground.send("PATCH", path, {"nas": {"path": "/projects"}})
    ground.repair(share, THREE)
    assert set(ground.listed().access) == set(THREE)
    ground.driver.trash_share(share)
    assert not any(each.is_remark for each in ground.listed().access)
