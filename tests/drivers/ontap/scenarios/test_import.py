"""Volumes that were there before: taken over with all that the array knows of them, without a change on the array but a comment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import ConflictError
from sharectl.drivers.testing import ref
from tests.emulators.ontap.access_records import ExportPolicy
from tests.emulators.ontap.volume_records import Volume

from .ground import rule

if TYPE_CHECKING:
    from tests.cli.console import Console

    from .ground import Ground

GIB = 1 << 30
USUAL = {"superuser": ["any"], "anonymous_user": "65534", "protocols": ["any"]}
RULES: tuple[dict[str, Any], ...] = (
    {"clients": [{"match": "10.0.0.9"}], "ro_rule": ["sys"], "rw_rule": ["never"], **USUAL, "superuser": ["none"]},
    {"clients": [{"match": "10.0.0.0/24"}, {"match": "fd00::/64"}], "ro_rule": ["sys"], "rw_rule": ["sys"], **USUAL},
    {"clients": [{"match": "192.0.2.0/255.255.255.0"}], "ro_rule": ["any"], "rw_rule": ["any"], **USUAL},
    {"clients": [{"match": "198.51.100.7"}], "ro_rule": ["none"], "rw_rule": ["none"], **USUAL, "superuser": ["none"]},
)
ADOPTABLE = ("Finance", "below", "quoted", "reserved", "cloned")
REFUSED = {"unmounted": "mounted nowhere", "offline": "it is offline", "mirror": "of type dp", "spread": "flexgroup"}


def make(ground: Ground, name: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
    """Make a volume as an administrator would."""
    body: dict[str, Any] = {
        "svm": {"name": "vs1"},
        "name": name,
        "aggregates": [{"name": "aggr1"}],
        "size": 2 * GIB,
        "guarantee": {"type": "none"},
        "nas": {"path": f"/{name}", "export_policy": {"name": "theirs"}},
    }
    ground.send("POST", "/storage/volumes", {**body, **fields})


def odd_volumes(ground: Ground) -> None:
    """Make volumes of many shapes, most of them on one policy."""
    ground.send(
        "POST", "/protocols/nfs/export-policies", {"svm": {"name": "vs1"}, "name": "theirs", "rules": list(RULES)}
    )
    nas = {"export_policy": {"name": "theirs"}}
    make(ground, "Finance")
    make(ground, "below", nas={"path": "/Finance/below", **nas})
    make(ground, "quoted", comment='it\'s "sharectl:"; not ours')
    make(ground, "reserved", space={"snapshot": {"reserve_percent": 9}})
    make(ground, "unmounted", nas=nas)
    make(ground, "offline", nas=nas)
    ground.send("PATCH", f"/storage/volumes/{ground.volumes()['offline'].uuid}", {"state": "offline"})
    make(ground, "mirror", type="dp", nas={})
    make(ground, "spread", aggregates=[{"name": "aggr1"}, {"name": "aggr2"}], style="flexgroup", size=800 * GIB)
    clone = {"is_flexclone": True, "parent_volume": {"name": "Finance"}}
    ground.send(
        "POST",
        "/storage/volumes",
        {"svm": {"name": "vs1"}, "name": "cloned", "clone": clone, "nas": {"path": "/cloned", **nas}},
    )


def without_comments(ground: Ground) -> dict[str, list[str]]:
    """Return all that is on the array, the comments of volumes left out."""
    dump = ground.emulator.dump()
    dump["Volume"] = sorted(
        repr({name: getattr(volume, name) for name in Volume.__dataclass_fields__ if name not in {"comment", "data"}})
        for volume in ground.emulator.world[Volume]
    )
    return dump


def test_a_whole_svm_is_taken_over_and_the_next_plan_is_empty(ground: Ground, console: Console) -> None:
    """No rename, no unmount, no other policy: one comment each. What cannot be taken over is named with the reason."""
    odd_volumes(ground)
    before, comment = without_comments(ground), ground.volumes()["quoted"].comment
    taken = console("import", "--all", "--backend", "filer", "--write", "imported", "--yes")
    assert (taken.code, "4 of what backend filer holds cannot be taken over" in taken.err) == (1, True), taken.err
    for name, reason in REFUSED.items():
        assert name in taken.out + taken.err
        assert reason in taken.out + taken.err
    assert without_comments(ground) == before
    volumes = ground.volumes()
    assert {name for name, volume in volumes.items() if volume.comment.startswith("sharectl:")} == set(ADOPTABLE)
    assert volumes["quoted"].comment.endswith(f"; {comment}")
    planned = console("plan", "--detailed-exitcode")
    assert planned.code == 0, planned.out
    shown = json.loads(console("show", "share/finance", "--output", "json").out)
    assert "10.0.0.9" in json.dumps(shown)


def test_the_clients_of_a_volume_are_those_of_its_policy(ground: Ground) -> None:
    """With the options by which they differ from how this backend treats clients."""
    odd_volumes(ground)
    found = {share.name: share for share in ground.driver.list_shares()}
    flavours = "sys,krb5,krb5i,krb5p"
    assert set(found["Finance"].access) == {
        rule("10.0.0.9", "ro"),
        rule("10.0.0.0/24", squash="none"),
        rule("fd00::/64", squash="none"),
        rule("192.0.2.0/24", squash="none", security=flavours),
        rule("198.51.100.7", squash="all"),
    }
    assert {name: share.not_adoptable for name, share in found.items() if share.not_adoptable}.keys() == REFUSED.keys()


def test_the_first_change_of_an_imported_share_gives_it_a_policy_of_its_own(ground: Ground) -> None:
    """The one that it had is of others too, and stays as it is."""
    odd_volumes(ground)
    theirs = [policy for policy in ground.emulator.world[ExportPolicy] if policy.name == "theirs"]
    share = ground.driver.adopt_share("Finance", "7d9a6a5e-0000-4000-8000-000000000001", None)
    since = ground.oracle.now()
    wanted = [each for each in share.access if each.access_to != "10.0.0.9"]
    ground.driver.update_access(ref(share), wanted, [], [each for each in share.access if each not in wanted])
    after = {each.access_to: each.access_level for each in wanted}
    assert ground.oracle.check_between("Finance", None, after, since) == []
    assert theirs == [policy for policy in ground.emulator.world[ExportPolicy] if policy.name == "theirs"]


def test_a_volume_whose_qtrees_let_in_others_is_not_taken_over(ground: Ground) -> None:
    """The rules of the share would say who may reach it, and the qtree would let in whom its own policy names; one that inherits is no obstacle."""
    odd_volumes(ground)
    open_to = {"svm": {"name": "vs1"}, "name": "open", "rules": [RULES[2]]}
    ground.send("POST", "/protocols/nfs/export-policies", open_to)
    for volume, name, fields in (
        ("Finance", "inherits", {}),
        ("quoted", "payroll", {"export_policy": {"name": "open"}}),
    ):
        body = {"svm": {"name": "vs1"}, "volume": {"name": volume}, "name": name, **fields}
        ground.send("POST", "/storage/qtrees", body)
    found = {share.name: share.not_adoptable for share in ground.driver.list_shares() if share.not_adoptable}
    assert found.keys() == REFUSED.keys() | {"quoted"}
    assert "export policies of their own (payroll)" in found["quoted"]
    with pytest.raises(ConflictError, match="payroll"):
        ground.driver.adopt_share("quoted", "7d9a6a5e-0000-4000-8000-000000000001", None)
    assert ground.driver.adopt_share("Finance", "7d9a6a5e-0000-4000-8000-000000000002", None).access


def test_an_imported_share_comes_back_from_the_trash_where_it_was_mounted(ground: Ground) -> None:
    """Its path is not made of its name; clients find it where they had it."""
    make(ground, "ledger", nas={"path": "/books-2025"})
    share = ground.driver.adopt_share("ledger", "7d9a6a5e-0000-4000-8000-000000000001", None)
    comment = ground.volumes()["ledger"].comment
    ground.driver.trash_share(ref(share))
    back = ground.fresh().restore_share(str(share.resource_id))
    assert (back.name, back.export_locations) == ("ledger", share.export_locations)
    assert (ground.volumes()["ledger"].path, ground.volumes()["ledger"].comment) == ("/books-2025", comment)


def test_the_root_volume_of_the_svm_is_not_taken_over(ground: Ground) -> None:
    """It is in no listing, and not to be had by its name either."""
    (root,) = [each for each in ground.emulator.world[Volume] if each.root and each.path == "/" and "vs1" in each.name]
    with pytest.raises(ConflictError, match="root volume"):
        ground.driver.adopt_share(root.name, "7d9a6a5e-0000-4000-8000-000000000001", None)
    assert ground.emulator.world[Volume][root.uuid].comment == root.comment
