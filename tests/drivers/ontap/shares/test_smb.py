"""CIFS shares on an emulated array: never without a list, never for Everyone, and each account as the domain spells it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError, DriverError, RuleStatus
from sharectl.drivers.ontap.smb import SHARE_FIELDS, SHARES, SmbShare, update_access
from sharectl.model.access import AccessRule

if TYPE_CHECKING:
    from sharectl.drivers.ontap.client import Array
    from tests.emulators.ontap.server import Emulator

BOB = AccessRule("user", "EXAMPLE\\bob", "rw")
ALICE = AccessRule("user", "EXAMPLE\\alice", "ro")
ACTIVE = RuleStatus("active")


@pytest.fixture
def share(array: Array) -> SmbShare:
    """Make a mounted volume that is not exported over SMB yet."""
    body = {
        "svm": {"name": "vs1"},
        "name": "office",
        "style": "flexvol",
        "aggregates": [{"name": "aggr1"}],
        "size": 1 << 30,
        "guarantee": {"type": "none"},
        "nas": {"path": "/office", "security_style": "ntfs"},
    }
    array.post("storage/volumes", body, svm="vs1")
    (found,) = array.records("storage/volumes", query={"name": "office"})
    return SmbShare("vs1", "office", "/office", str(found["uuid"]))


def listed(array: Array) -> dict[str, str] | None:
    """Return the list of the share, None where it is not exported."""
    found = array.records(SHARES, query={"svm.name": "vs1", "name": "office"}, fields=SHARE_FIELDS)
    return {each["user_or_group"]: each["permission"] for each in found[0]["acls"]} if found else None


def changes(emulator: Emulator) -> list[str]:
    """Return the calls that changed something, in order."""
    return [f"{each.method} {each.path}" for each in emulator.calls.all() if each.method != "GET"]


def test_it_is_made_with_its_whole_list(array: Array, emulator: Emulator, share: SmbShare) -> None:
    """By one call, so that at no moment anybody else may come."""
    emulator.calls.clear()
    assert update_access(array, share, [BOB, ALICE]) == {BOB: ACTIVE, ALICE: ACTIVE}
    assert changes(emulator) == ["POST /protocols/cifs/shares"]
    (made,) = [json.loads(each.body) for each in emulator.calls.all() if each.method == "POST"]
    assert {each["user_or_group"] for each in made["acls"]} == {"EXAMPLE\\bob", "EXAMPLE\\alice"}
    assert listed(array) == {"EXAMPLE\\bob": "full_control", "EXAMPLE\\alice": "read"}


def test_levels_change_in_place(array: Array, emulator: Emulator, share: SmbShare) -> None:
    r"""By the path of the account, in which the backslash is quoted."""
    update_access(array, share, [BOB, ALICE])
    emulator.calls.clear()
    lower = BOB._replace(access_level="ro")
    assert update_access(array, share, [lower, ALICE]) == {lower: ACTIVE, ALICE: ACTIVE}
    (change,) = changes(emulator)
    assert change.startswith("PATCH ")
    assert listed(array) == {"EXAMPLE\\bob": "read", "EXAMPLE\\alice": "read"}


def test_the_same_again_changes_nothing(array: Array, emulator: Emulator, share: SmbShare) -> None:
    """A repair looks once."""
    update_access(array, share, [BOB])
    emulator.calls.clear()
    update_access(array, share, [BOB])
    assert changes(emulator) == []
    assert len(emulator.calls) == 1


def test_what_somebody_added_goes(array: Array, share: SmbShare) -> None:
    """Everyone too."""
    update_access(array, share, [BOB])
    (found,) = array.records(SHARES, query={"name": "office"}, fields=SHARE_FIELDS)
    body = {"user_or_group": "Everyone", "permission": "full_control"}
    array.post((SHARES, found["svm"]["uuid"], "office", "acls"), body, svm="vs1")
    update_access(array, share, [BOB])
    assert listed(array) == {"EXAMPLE\\bob": "full_control"}


def test_without_rules_it_is_not_exported(array: Array, share: SmbShare) -> None:
    """A list without entries would be Everyone's; and what is not there needs no end."""
    assert update_access(array, share, []) == {}
    assert listed(array) is None
    update_access(array, share, [BOB])
    update_access(array, share, [])
    assert listed(array) is None
    assert update_access(array, share, []) == {}


def test_an_account_that_nobody_knows_is_an_error_of_its_rule(array: Array, share: SmbShare) -> None:
    """When the share is made and afterwards; the others hold."""
    nobody = AccessRule("user", "EXAMPLE\\nobody-here", "rw")
    for _ in range(2):
        statuses = update_access(array, share, [nobody, BOB])
        assert statuses[BOB] == ACTIVE
        assert statuses[nobody].status == "error"
        assert "nobody-here" in statuses[nobody].reason
        assert listed(array) == {"EXAMPLE\\bob": "full_control"}
    assert update_access(array, share, [nobody])[nobody].status == "error"
    assert listed(array) is None


def test_who_cannot_be_kept_out_keeps_all_out(array: Array, share: SmbShare) -> None:
    """A wider rule would let them in."""
    update_access(array, share, [BOB])
    nobody = AccessRule("user", "EXAMPLE\\nobody-here", "none")
    statuses = update_access(array, share, [nobody, BOB])
    assert {status.status for status in statuses.values()} == {"error"}
    assert listed(array) is None


def test_a_name_in_another_case_is_told(array: Array, share: SmbShare) -> None:
    """What is listed has to be what the manifest says, or each plan would show a difference."""
    other = AccessRule("user", "example\\BOB", "rw")
    statuses = update_access(array, share, [other, ALICE])
    assert statuses[ALICE] == ACTIVE
    assert "'EXAMPLE\\bob'" in statuses[other].reason
    assert listed(array) == {"EXAMPLE\\alice": "read"}


def test_a_share_of_somebody_else_under_the_name_is_not_touched(array: Array, share: SmbShare) -> None:
    """Whoever may reach it goes on to."""
    body = {
        "svm": {"name": "vs1"},
        "name": "office",
        "path": "/",
        "acls": [{"user_or_group": "EXAMPLE\\alice", "permission": "read"}],
    }
    array.post(SHARES, body, svm="vs1")
    for rules in ([BOB], []):
        with pytest.raises(ConflictError, match="office"):
            update_access(array, share, rules)
    assert listed(array) == {"EXAMPLE\\alice": "read"}


@pytest.mark.parametrize("done", [True, False])
def test_an_answer_that_is_lost_lets_nobody_in(
    array: Array, emulator: Emulator, share: SmbShare, *, done: bool
) -> None:
    """And is finished by the next call."""
    emulator.faults.add("cut", method="POST", path="/protocols/cifs/shares", times=1, done=done)
    try:
        update_access(array, share, [BOB, ALICE])
    except DriverError:
        update_access(array, share, [BOB, ALICE])
    assert listed(array) == {"EXAMPLE\\bob": "full_control", "EXAMPLE\\alice": "read"}
