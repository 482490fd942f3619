"""Qtrees that were there before: taken over under their own names with the access that they have, and what a repository with qtree shares is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import ConflictError, NotFoundError
from sharectl.drivers.testing import new_id, ref
from tests.cli.console import Console
from tests.emulators.ontap.access_records import CifsShare, Qtree

from ..arrays import config_of, open_driver  # noqa: TID252 - the folder above is of the same tests
from .ground import Ground, rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.emulators.ontap.server import Emulator

GIB = 1 << 30
SVM = {"name": "vs1"}
USUAL = {"superuser": ["none"], "anonymous_user": "65534", "protocols": ["nfs"]}
ALL = {"clients": [{"match": "10.0.0.0/8"}], "ro_rule": ["sys"], "rw_rule": ["sys"], **USUAL}
SOME = {"clients": [{"match": "10.0.7.0/24"}], "ro_rule": ["sys"], "rw_rule": ["never"], **USUAL}
POOL = {"small": {"aggregate": "aggr1", "volumeSize": "8GiB"}}
CLIENT = rule("10.0.7.0/24", "ro")
NAMES = ("alice", "bob", "carol")


@pytest.fixture
def ground(emulator: Emulator) -> Iterator[Ground]:
    """Give a prepared backend with a pool of qtrees, beside a volume of others with three qtrees in it, and one without any."""
    found = Ground(emulator, open_driver(emulator, qtrees=POOL))
    found.driver.prepare()
    for name, rules in (("passers", [ALL]), ("theirs", [SOME])):
        found.send("POST", "/protocols/nfs/export-policies", {"svm": SVM, "name": name, "rules": rules})
    for name in ("homes", "plain"):
        nas = {"path": f"/{name}", "export_policy": {"name": "passers"}}
        body = {"svm": SVM, "name": name, "aggregates": [{"name": "aggr1"}], "size": 8 * GIB, "nas": nas}
        found.send("POST", "/storage/volumes", {**body, "guarantee": {"type": "none"}})
    for name in NAMES:
        make(found, name)
    quotas(found)
    yield found
    found.driver.close()


def make(ground: Ground, name: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
    """Make a qtree with a quota as an administrator would."""
    place = {"svm": SVM, "volume": {"name": "homes"}}
    ground.send("POST", "/storage/qtrees", {**place, "name": name, "export_policy": {"name": "theirs"}, **fields})
    limit = {"type": "tree", "qtree": {"name": name}, "space": {"hard_limit": GIB}}
    ground.send("POST", "/storage/quota/rules", {**place, **limit})


def quotas(ground: Ground, *, enabled: bool = True) -> None:
    """Switch the quotas of the volume, and let the array scan it."""
    ground.send("PATCH", f"/storage/volumes/{ground.volumes()['homes'].uuid}", {"quota": {"enabled": enabled}})
    ground.emulator.world.pass_time(60)


@pytest.fixture
def console(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Console:
    """Give a repository with a backend on the array, and nothing else."""
    monkeypatch.setenv("PASSWORD", ground.emulator.login.password)
    console = Console(tmp_path, capsys)
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    config = config_of(ground.emulator, qtrees=POOL)
    console.write(
        "filer.yaml",
        f"apiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: filer}}\nspec: {{driver: ontap, config: {config}}}\n",
    )
    return console


def test_qtrees_of_others_are_shares_and_their_volume_is_none(ground: Ground) -> None:
    """Each with its limit, and with the clients of its own policy."""
    found = {share.backend_id: share for share in ground.driver.list_shares()}
    assert sorted(found) == ["homes/alice", "homes/bob", "homes/carol", "plain"]
    alice = found["homes/alice"]
    assert (alice.pool, alice.size_bytes, alice.access, alice.not_adoptable) == ("small", GIB, (CLIENT,), "")
    with pytest.raises(ConflictError, match="qtrees are in it"):
        ground.driver.adopt_share("homes", new_id(), None)


def test_a_whole_svm_is_taken_over_and_the_next_plan_is_empty(ground: Ground, console: Console) -> None:
    """No rename, the same clients, and the policy of the others untouched."""
    since, theirs = ground.oracle.now(), ground.policies()["theirs"]
    taken = console("import", "--all", "--backend", "filer", "--write", "imported", "--yes")
    assert taken.code == 0, taken.err
    assert sorted(each.name for each in ground.emulator.world[Qtree] if each.id) == sorted(NAMES)
    assert ground.policies()["theirs"] == theirs
    homes = ground.volumes()["homes"].uuid
    assert ground.oracle.check_between(f"{homes}/alice", None, {"10.0.7.0/24": "ro"}, since) == []
    planned = console("plan", "--detailed-exitcode")
    assert planned.code == 0, planned.out + planned.err
    assert {share.resource_id is not None for share in ground.driver.list_shares()} == {True}


def test_one_that_was_taken_over_is_known_whatever_policy_it_is_given(ground: Ground) -> None:
    """Its own policy names it, so that it is never made anew, and takes its access back."""
    share = ref(ground.driver.adopt_share("homes/alice", new_id(), None))
    assert ground.driver.adopt_share("homes/alice", share.resource_id, None).resource_id == share.resource_id
    (alice,) = [each for each in ground.emulator.world[Qtree] if each.name == "alice"]
    ground.send("PATCH", f"/storage/qtrees/{alice.uuid}/{alice.id}", {"export_policy": {"name": "passers"}})
    ground.driver.close()
    ground.driver = open_driver(ground.emulator, qtrees=POOL)
    (seen,) = ground.driver.list_shares([share.resource_id])
    assert (seen.backend_id, any(each.is_remark for each in seen.access)) == ("homes/alice", True)
    ground.repair(share, [CLIENT])
    (seen,) = ground.driver.list_shares([share.resource_id])
    assert seen.access == (CLIENT,)
    ground.driver.delete_share(share)
    ground.emulator.world.pass_time(600)
    assert sorted(each.name for each in ground.emulator.world[Qtree] if each.id) == ["bob", "carol"]
    assert not [name for name in ground.policies() if share.resource_id in name]


def test_another_qtree_that_gets_the_number_of_one_that_is_gone_is_not_taken_for_it(ground: Ground) -> None:
    """An array gives numbers again: the data of others is not shown as the share, not closed to them, and not removed in its place."""
    share = ref(ground.driver.adopt_share("homes/alice", new_id(), None))
    (alice,) = [each for each in ground.emulator.world[Qtree] if each.name == "alice"]
    ground.send("DELETE", f"/storage/qtrees/{alice.uuid}/{alice.id}")
    ground.emulator.world.pass_time(600)
    body = {"svm": {"name": "vs1"}, "volume": {"uuid": alice.uuid}, "name": "payroll"}
    ground.send("POST", "/storage/qtrees", {**body, "export_policy": {"name": "theirs"}})
    (payroll,) = [each for each in ground.emulator.world[Qtree] if each.name == "payroll"]
    assert payroll.key == alice.key
    ground.driver.close()
    ground.driver = open_driver(ground.emulator, qtrees=POOL)
    assert share.resource_id not in {each.resource_id for each in ground.driver.list_shares()}
    assert ground.driver.list_shares([share.resource_id]) == []
    with pytest.raises(NotFoundError):
        ground.repair(share, [CLIENT])
    ground.driver.delete_share(share)
    ground.emulator.world.pass_time(600)
    assert payroll in list(ground.emulator.world[Qtree])


def test_one_that_was_taken_over_and_renamed_is_known_by_its_policy(ground: Ground) -> None:
    """And by its new name, once its access was repaired."""
    share = ref(ground.driver.adopt_share("homes/alice", new_id(), None))
    (alice,) = [each for each in ground.emulator.world[Qtree] if each.name == "alice"]
    ground.send("PATCH", f"/storage/qtrees/{alice.uuid}/{alice.id}", {"name": "al"})
    ground.repair(share, [CLIENT])
    ground.send("PATCH", f"/storage/qtrees/{alice.uuid}/{alice.id}", {"export_policy": {"name": "passers"}})
    (seen,) = ground.driver.list_shares([share.resource_id])
    assert (seen.backend_id, any(each.is_remark for each in seen.access)) == ("homes/al", True)


def test_clients_that_the_policy_of_the_volume_stops_are_an_error_of_their_rule(ground: Ground) -> None:
    """The others get in: what is said to be active is."""
    share = ref(ground.driver.adopt_share("homes/alice", new_id(), None))
    stopped = rule("192.0.2.0/24")
    statuses = ground.driver.update_access(share, [CLIENT, stopped], [stopped], [])
    assert (statuses[CLIENT].status, statuses[stopped].status) == ("active", "error")
    assert "passers" in statuses[stopped].reason
    homes = ground.volumes()["homes"].uuid
    assert [ground.oracle.may(each, f"{homes}/alice") for each in ("10.0.7.9", "192.0.2.9")] == [True, False]


REFUSED = {
    "no quota that holds": "do not hold it",
    "a policy that does not let its clients pass": "does not let",
    "another name over SMB": "under another name",
    "an offline volume": "",
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_taken_over_as_it_is_says_why(ground: Ground, why: str) -> None:
    """Nothing of it is changed."""
    homes = ground.volumes()["homes"].uuid
    if why == "no quota that holds":
        quotas(ground, enabled=False)
    elif why == "a policy that does not let its clients pass":
        narrow = {**ALL, "clients": [{"match": "10.0.7.0/25"}]}
        ground.send("POST", "/protocols/nfs/export-policies", {"svm": SVM, "name": "narrow", "rules": [narrow]})
        ground.send("PATCH", f"/storage/volumes/{homes}", {"nas": {"export_policy": {"name": "narrow"}}})
    elif why == "another name over SMB":
        acls = [{"user_or_group": "EXAMPLE\\bob", "type": "windows", "permission": "read"}]
        ground.send(
            "POST", "/protocols/cifs/shares", {"svm": SVM, "name": "other", "path": "/homes/alice", "acls": acls}
        )
        ground.driver.close()
        ground.driver = open_driver(ground.emulator, qtrees=POOL, smb={})
    else:
        ground.send("PATCH", f"/storage/volumes/{homes}", {"nas": {"path": ""}})
        ground.send("PATCH", f"/storage/volumes/{homes}", {"state": "offline"})
    before = ground.emulator.dump()
    if REFUSED[why]:
        found = {share.backend_id: share for share in ground.driver.list_shares()}
        assert REFUSED[why] in found["homes/alice"].not_adoptable
        with pytest.raises(ConflictError):
            ground.driver.adopt_share("homes/alice", new_id(), None)
    else:
        assert "homes/alice" not in {share.backend_id for share in ground.driver.list_shares()}
    assert ground.emulator.dump() == before
    assert [each for each in ground.emulator.world[CifsShare] if each.name == "projects"] == []


SHARE = """\
apiVersion: sharectl/v1
kind: ShareType
metadata: {name: homes}
spec: {extraSpecs: {driver_handles_share_servers: "false", ontap_qtree: "<is> True"%s}}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: %s}
spec: {type: homes, protocol: NFS, size: 100MiB, deletionPolicy: delete%s}
"""
BIG = "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: big}\nspec: {protocol: NFS, size: 1GiB}\n"
SNAPSHOT = "---\napiVersion: sharectl/v1\nkind: Snapshot\nmetadata: {name: monday}\nspec: {share: dave}\n"


def test_a_share_by_its_manifest_is_a_qtree_and_its_snapshot_is_refused(ground: Ground, console: Console) -> None:
    """A share of another type never is; a plan refuses the snapshot, and the next is empty without it."""
    console.write("shares.yaml", SHARE % ("", "dave", ", access: [{type: ip, to: 10.0.0.0/24, level: rw}]"))
    console.write("big.yaml", BIG)
    applied = console("apply", "--yes")
    assert applied.code == 0, applied.out + applied.err
    shares = {share.name: share for share in ground.driver.list_shares() if share.resource_id is not None}
    assert (shares["dave"].pool, shares["dave"].access) == ("small", (rule("10.0.0.0/24"),))
    assert shares["big"].backend_id == "big"
    assert console("plan", "--detailed-exitcode").code == 0
    console.write("snapshot.yaml", SNAPSHOT.removeprefix("---\n"))
    refused = console("plan")
    assert "takes no snapshots" in refused.out + refused.err


WRONG = {
    "snapshot policy": (', "netapp:snapshot_policy": daily', "dave", "", "netapp:snapshot_policy"),
    "deduplication": (', dedupe: "<is> True"', "dave", "", "dedupe"),
    "limits": (', qos: "<is> True", "netapp:maxiops": "100"', "dave", "", "qos"),
    "thick": (', thin_provisioning: "<is> False"', "dave", "", "thin_provisioning"),
    "style": (', "ontap:security_style": ntfs', "dave", "", "ontap:security_style"),
    "snapshots by itself": ("", "dave", ", snapshotPolicy: {daily: {keep: 7}}", "no snapshots of its own"),
    "clone": ("", "dave", ", sourceSnapshot: monday", "no qtree is made from a snapshot"),
    "name": ("", "a-name-that-is-one-letter-too-long", "", "31"),
}


@pytest.mark.parametrize("case", WRONG)
def test_validate_refuses_what_a_qtree_cannot_have(console: Console, case: str) -> None:
    """At its line, with what to write instead."""
    specs, name, more, word = WRONG[case]
    console.write("shares.yaml", SHARE % (specs, name, more))
    if case == "clone":
        console.write("big.yaml", BIG + SNAPSHOT.replace("dave", "big"))
    got = console("validate")
    assert got.code == 1
    assert word in got.out + got.err
    assert "shares.yaml:" in got.out + got.err


def test_validate_refuses_a_type_for_qtrees_where_the_backend_has_none(ground: Ground, console: Console) -> None:
    """And says what to write there."""
    backend = f"apiVersion: sharectl/v1\nkind: Backend\nmetadata: {{name: filer}}\nspec: {{driver: ontap, config: {config_of(ground.emulator)}}}\n"
    console.write("filer.yaml", backend)
    console.write("shares.yaml", SHARE % ("", "dave", ""))
    got = console("validate")
    assert (got.code, "qtrees: {POOL: {aggregate: NAME}}" in got.out + got.err) == (1, True)
