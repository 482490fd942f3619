"""Windows shares and shares of both protocols, as the driver makes them, watched by the array's oracle at every step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import ConflictError, DriverError
from sharectl.drivers.ontap import FACTORY
from sharectl.drivers.testing import new_id, ref
from sharectl.drivers.testing.access import AccessTests
from sharectl.drivers.testing.protocols import ProtocolTests
from sharectl.model.access import AccessRule
from sharectl.model.checks import WantedShare
from sharectl.model.quantities import GIB
from sharectl.model.requests import ShareRequest
from tests.emulators.ontap.access_records import CifsShare
from tests.emulators.ontap.client import Client
from tests.emulators.ontap.oracle import Oracle

from .array_fixtures import backend_on, driver_on, opened_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from sharectl.drivers.base import Driver
    from sharectl.drivers.ontap.driver import OntapDriver
    from sharectl.model.observed import ObservedShare
    from tests.emulators.ontap.server import Emulator

ALICE = AccessRule("user", "EXAMPLE\\alice", "rw")
BOB = AccessRule("user", "EXAMPLE\\bob", "ro")
TEAM = AccessRule("user", "EXAMPLE\\Domain Users", "ro")
HOSTS = AccessRule("ip", "10.0.0.0/24", "rw")


def made(driver: OntapDriver, name: str = "office", protocol: str = "CIFS") -> ObservedShare:
    """Make a share."""
    return driver.create_share(ShareRequest(new_id(), name, GIB, protocol, "aggr1", {"thin_provisioning": "<is> True"}))


def listed(driver: OntapDriver) -> ObservedShare:
    """Return the only share of sharectl's as it is listed with all."""
    (found,) = [share for share in driver.list_shares() if share.resource_id is not None]
    return found


def test_from_first_to_last_nobody_else_gets_in(driver: OntapDriver, emulator: Emulator) -> None:
    """The share comes with its list, levels change in place, and with the last rule it is exported no more; nothing is left."""
    before = emulator.dump()
    share = made(driver)
    assert share.export_locations
    assert all(location.startswith("\\\\") for location in share.export_locations)
    oracle = Oracle(emulator.world)
    held: dict[str, str] = {}
    for rules in ([ALICE, BOB], [replace_level(ALICE, "ro"), BOB, TEAM], [TEAM, replace_level(BOB, "rw")], [TEAM], []):
        since = oracle.now()
        statuses = driver.update_access(ref(share), rules, rules, [])
        assert {status.status for status in statuses.values()} <= {"active"}
        wanted = {rule.access_to: {"rw": "full_control", "ro": "read"}[rule.access_level] for rule in rules}
        assert oracle.check_cifs_between(("vs1", "office"), held, wanted, since) == []
        assert set(listed(driver).access) == set(rules)
        held = wanted
    driver.delete_share(ref(share))
    after = emulator.dump()
    assert {kind for kind in after if after[kind] != before.get(kind)} <= {"Volume", "Job"}


def replace_level(rule: AccessRule, level: str) -> AccessRule:
    """Return the rule with another level."""
    return rule._replace(access_level=level)


def test_a_new_share_is_not_exported(driver: OntapDriver, emulator: Emulator) -> None:
    """Neither over SMB nor, by an open policy, over NFS."""
    since = Oracle(emulator.world).now()
    made(driver)
    assert not [each for each in emulator.calls.all() if each.method == "POST" and "cifs" in each.path]
    assert Oracle(emulator.world).reached("office", since) == []


def test_what_was_changed_by_hand_is_shown_and_mended(driver: OntapDriver, emulator: Emulator) -> None:
    """Everyone in the list, and a second export of the volume."""
    share = made(driver)
    driver.update_access(ref(share), [ALICE], [ALICE], [])
    client = Client(emulator)
    entry = {"user_or_group": "Everyone", "permission": "full_control"}
    uuid = client.get("/svm/svms?name=vs1").records[0]["uuid"]
    assert client.post(f"/protocols/cifs/shares/{uuid}/office/acls", entry).status == 201
    other = {"svm": {"name": "vs1"}, "name": "secret-door", "path": "/office"}
    assert client.post("/protocols/cifs/shares", other).status == 201
    remarks = [rule for rule in listed(driver).access if rule.is_remark]
    assert [rule.access_to for rule in remarks] == [
        "somebody: Everyone",
        "somebody: users of another SMB share, secret-door",
    ]
    driver.update_access(ref(share), [ALICE], [], [])
    assert listed(driver).access == (ALICE,)
    assert client.get("/protocols/cifs/shares?name=secret-door").records == []


def test_both_protocols_have_their_own_rules(driver: OntapDriver) -> None:
    """Addresses over NFS, accounts over SMB, an export location for each."""
    share = made(driver, protocol="NFS_CIFS")
    statuses = driver.update_access(ref(share), [HOSTS, ALICE], [HOSTS, ALICE], [])
    assert {status.status for status in statuses.values()} == {"active"}
    found = listed(driver)
    assert set(found.access) == {HOSTS, ALICE}
    assert {location.startswith("\\\\") for location in found.export_locations} == {True, False}


def test_people_beside_addresses_are_refused_unless_they_may_come_from_anywhere(emulator: Emulator) -> None:
    """An address rule says from where users of SMB come, which ONTAP does not look at; the check says so before."""
    driver = driver_on(emulator, smb={})
    share = made(driver, protocol="NFS_CIFS")
    statuses = driver.update_access(ref(share), [HOSTS, ALICE], [HOSTS, ALICE], [])
    assert (statuses[HOSTS].status, statuses[ALICE].status) == ("active", "error")
    assert listed(driver).access == (HOSTS,)
    wanted = WantedShare("office", GIB, "NFS_CIFS", (HOSTS, ALICE))
    (problem,) = FACTORY.share_check(backend_on(emulator, smb={}))(wanted)  # type: ignore[attr-defined] # this one has it
    assert problem.path == ("access", ALICE.key)
    assert "fromAnywhere" in problem.summary
    assert driver.update_access(ref(share), [ALICE], [ALICE], [HOSTS])[ALICE].status == "active"
    driver.close()


def test_a_backend_without_smb_makes_no_such_share(emulator: Emulator) -> None:
    """And the check says so."""
    driver = driver_on(emulator)
    with pytest.raises(DriverError, match="smb"):
        made(driver)
    wanted = WantedShare("office", GIB, "CIFS", (ALICE,))
    (problem,) = FACTORY.share_check(backend_on(emulator))(wanted)  # type: ignore[attr-defined] # this one has it
    assert problem.path == ("protocol",)
    driver.close()


def test_the_trash_takes_a_windows_share_from_its_users(driver: OntapDriver) -> None:
    """It comes back without rules, and gets them again."""
    share = made(driver)
    driver.update_access(ref(share), [ALICE], [ALICE], [])
    driver.trash_share(ref(share))
    trashed = listed(driver)
    assert (trashed.access, trashed.export_locations) == ((), ())
    back = driver.restore_share(str(share.resource_id))
    assert back.access == ()
    driver.update_access(ref(back), [ALICE], [ALICE], [])
    assert listed(driver).access == (ALICE,)


def test_a_windows_share_is_taken_over_as_it_is(driver: OntapDriver, emulator: Emulator) -> None:
    """Under the name that its users know, with their rules, and without a change of it."""
    client = Client(emulator)
    body = {
        "svm": {"name": "vs1"},
        "name": "legacy",
        "aggregates": [{"name": "aggr1"}],
        "size": GIB,
        "nas": {"path": "/legacy", "export_policy": {"name": "sharectl_none"}},
    }
    assert client.send("POST", "/storage/volumes?return_timeout=15", body).status == 201
    acls = [{"user_or_group": "EXAMPLE\\alice", "permission": "change"}]
    share = {"svm": {"name": "vs1"}, "name": "Old Files", "path": "/legacy", "acls": acls}
    assert client.post("/protocols/cifs/shares", share).status == 201
    (found,) = [each for each in driver.list_shares() if each.name == "legacy"]
    assert (found.protocol, found.not_adoptable) == ("CIFS", "")
    adopted = driver.adopt_share(found.backend_id, new_id(), None)
    assert (adopted.protocol, adopted.access) == ("CIFS", (ALICE,))
    assert all(location.endswith("\\Old Files") for location in adopted.export_locations)
    emulator.calls.clear()
    driver.update_access(ref(adopted), [ALICE], [], [])
    assert [each.method for each in emulator.calls.all() if each.method != "GET"] == []


def test_a_name_of_somebody_elses_share_is_a_conflict(driver: OntapDriver, emulator: Emulator) -> None:
    """Whose users go on."""
    client = Client(emulator)
    other = {
        "svm": {"name": "vs1"},
        "name": "Office",
        "path": "/",
        "acls": [{"user_or_group": "BUILTIN\\Administrators", "permission": "read"}],
    }
    assert client.post("/protocols/cifs/shares", other).status == 201
    share = made(driver)
    with pytest.raises(ConflictError):
        driver.update_access(ref(share), [ALICE], [ALICE], [])
    assert len(client.get("/protocols/cifs/shares?name=Office").records) == 1


class TestOverSmb(AccessTests):
    """What every driver is held to of access, for a Windows share."""

    protocol = "CIFS"
    rules = (ALICE, BOB, TEAM)

    @pytest.fixture
    def make_driver(self, emulator: Emulator) -> Callable[[], Driver]:
        """Open a backend on the array, which is new."""
        return lambda: driver_on(emulator, smb={})


class TestOverBoth(ProtocolTests):
    """And of both protocols."""

    rules_of_both = (HOSTS, AccessRule("ip", "192.0.2.7", "ro"), ALICE)

    @pytest.fixture
    def make_driver(self, emulator: Emulator) -> Callable[[], Driver]:
        """Open a backend on the array, which is new."""
        return lambda: driver_on(emulator, smb={"fromAnywhere": True})


def test_the_request_of_a_windows_share_has_windows_rights(driver: OntapDriver, emulator: Emulator) -> None:
    """As Manila's driver makes it."""
    made(driver)
    (request,) = [each for each in emulator.calls.all() if each.method == "POST" and each.path == "/storage/volumes"]
    assert json.loads(request.body)["nas"]["security_style"] == "ntfs"


def test_without_smb_in_the_settings_windows_shares_stay_in_hand(driver: OntapDriver, emulator: Emulator) -> None:
    """A setting that somebody removed hides nobody who may come, and whose rule goes does not come any more."""
    share = made(driver)
    driver.update_access(ref(share), [ALICE, BOB], [ALICE, BOB], [])
    later = driver_on(emulator)
    assert set(listed(later).access) == {ALICE, BOB}
    (one,) = later.list_shares([str(share.resource_id)])
    assert set(one.access) == {ALICE, BOB}
    later.update_access(ref(share), [BOB], [], [ALICE])
    assert set(listed(driver).access) == {BOB}
    later.update_access(ref(share), [], [], [BOB])
    assert not listed(driver).access
    assert "office" not in {each.name for each in emulator.world[CifsShare]}
    later.close()


@pytest.mark.parametrize("end", ["trash", "delete"])
def test_without_smb_in_the_settings_a_windows_share_ends_with_its_volume(
    driver: OntapDriver, emulator: Emulator, end: str
) -> None:
    """Nobody reaches what is in the trash, and no export is left of what is gone."""
    share = made(driver)
    driver.update_access(ref(share), [ALICE], [ALICE], [])
    later = driver_on(emulator)
    (later.trash_share if end == "trash" else later.delete_share)(ref(share))
    assert "office" not in {each.name for each in emulator.world[CifsShare]}
    later.close()


@pytest.mark.parametrize("config", [{}, {"smb": {}}], ids=["NFS alone", "with SMB"])
def test_no_share_is_made_where_an_smb_share_of_others_leads(emulator: Emulator, config: dict[str, object]) -> None:
    """The array keeps it when its volume goes, with Everyone in its list: nothing may be mounted there, new or from the trash."""
    driver = driver_on(emulator, **config)
    client = Client(emulator)
    trashed = made(driver, "old", "NFS")
    exported = {"svm": {"name": "vs1"}, "name": "legacy", "path": "/old"}
    assert client.post("/protocols/cifs/shares", exported).status == 201
    since = Oracle(emulator.world).now()
    if config:  # without SMB, what others export is theirs to remove
        driver.trash_share(ref(trashed))
        assert client.get("/protocols/cifs/shares?name=legacy").records == []
    else:
        driver.trash_share(ref(trashed))
        with pytest.raises(ConflictError, match="'legacy' that leads to /old"):
            made(driver, "old", "NFS")
        with pytest.raises(ConflictError, match="'legacy' that leads to /old"):
            driver.restore_share(trashed.resource_id or "")
        surplus = {each.event for each in Oracle(emulator.world).check_cifs_between(("vs1", "legacy"), None, {}, since)}
        assert max(surplus, default=since) <= since + 1
        uuid = client.get("/svm/svms?name=vs1").records[0]["uuid"]
        assert client.delete(f"/protocols/cifs/shares/{uuid}/legacy").status == 200
    assert driver.restore_share(trashed.resource_id or "").resource_id == trashed.resource_id
    driver.close()


def test_nobody_of_a_deleted_share_is_in_the_next_of_its_name(driver: OntapDriver, emulator: Emulator) -> None:
    """Though somebody had unmounted its volume, so that its SMB share led nowhere when it was deleted."""
    first = made(driver)
    driver.update_access(ref(first), [ALICE], [ALICE], [])
    client = Client(emulator)
    uuid = client.get("/storage/volumes?name=office").records[0]["uuid"]
    assert client.patch(f"/storage/volumes/{uuid}?return_timeout=15", {"nas": {"path": ""}}).status == 200
    since = Oracle(emulator.world).now()
    driver.delete_share(ref(first))
    second = made(driver)
    driver.update_access(ref(second), [BOB], [BOB], [])
    bob = {BOB.access_to: "read"}
    assert Oracle(emulator.world).check_cifs_between(("vs1", "office"), {}, bob, since) == []


def test_an_account_is_told_as_a_manifest_has_it(driver: OntapDriver) -> None:
    """With one backslash, so that it can be copied."""
    nobody, shouted = AccessRule("user", "EXAMPLE\\nobody", "rw"), AccessRule("user", "EXAMPLE\\ALICE", "rw")
    share = made(driver)
    statuses = driver.update_access(ref(share), [nobody, shouted], [nobody, shouted], [])
    assert "'EXAMPLE\\nobody'" in statuses[nobody].reason
    assert "'EXAMPLE\\alice'" in statuses[shouted].reason


def test_what_is_wrong_with_a_rule_of_a_windows_share_is_fixed_by_an_account(emulator: Emulator) -> None:
    """And not by an address, which its protocol does not know."""
    everyone = AccessRule("user", "Everyone", "rw")
    check = FACTORY.share_check(backend_on(emulator, smb={}))
    (problem,) = check(WantedShare("office", GIB, "CIFS", (everyone,)))
    assert "account" in problem.remedy


def test_a_windows_share_is_closed_over_nfs_whatever_somebody_put_into_the_closed_policy(
    driver: OntapDriver, emulator: Emulator
) -> None:
    """It gets an empty policy of its own, with which a plan finds nothing to repair."""
    share = made(driver)
    driver.update_access(ref(share), [ALICE], [ALICE], [])
    client = Client(emulator)
    policy = client.get("/protocols/nfs/export-policies?name=sharectl_none").records[0]["id"]
    opened = {"clients": [{"match": "0.0.0.0/0"}], "ro_rule": ["any"], "rw_rule": ["any"], "superuser": ["any"]}
    assert client.post(f"/protocols/nfs/export-policies/{policy}/rules", opened).status == 201
    assert Oracle(emulator.world).may("192.0.2.77", "office")
    later = opened_on(emulator, smb={})
    later.update_access(ref(share), [ALICE], [], [])
    assert not Oracle(emulator.world).may("192.0.2.77", "office")
    assert listed(later).access == (ALICE,)
    later.close()


def smb_share(emulator: Emulator, path: str, account: str, permission: str = "full_control", name: str = "all") -> None:
    """Let an administrator export a folder of the SVM."""
    acls = [{"user_or_group": account, "type": "windows", "permission": permission}]
    body = {"svm": {"name": "vs1"}, "name": name, "path": path, "acls": acls}
    assert Client(emulator).post("/protocols/cifs/shares", body).status == 201


@pytest.mark.parametrize("protocol", ["NFS", "CIFS"])
def test_an_smb_share_of_a_folder_above_shows_and_is_told_of(
    driver: OntapDriver, emulator: Emulator, protocol: str
) -> None:
    """It opens the data: a repair puts in force what it can, and says what is left to an administrator, whose share it is."""
    share = made(driver, protocol=protocol)
    rules = [ALICE] if protocol == "CIFS" else [HOSTS]
    driver.update_access(ref(share), rules, rules, [])
    smb_share(emulator, "/", "EXAMPLE\\bob")
    (remark,) = [rule for rule in listed(driver).access if rule.is_remark]
    assert "somebody: users of an SMB share of a folder above, all" in remark.access_to
    (alone,) = driver.list_shares([str(share.resource_id)])
    assert remark in alone.access
    with pytest.raises(DriverError, match=r"'all' \(/\) of the SVM vs1 leads to a folder above /office"):
        driver.update_access(ref(share), rules, [], [])
    driver.update_access(ref(share), [], [], rules)
    assert [rule for rule in listed(driver).access if not rule.is_remark] == []
    next_process = driver_on(emulator, smb={})
    with pytest.raises(ConflictError, match="leads to /, above /next"):
        made(next_process, "next", protocol)
    next_process.close()


@pytest.mark.parametrize(
    ("account", "permission"), [("BUILTIN\\Administrators", "full_control"), ("EXAMPLE\\bob", "no_access")]
)
def test_an_smb_share_of_the_root_for_administrators_alone_opens_nothing(
    driver: OntapDriver, emulator: Emulator, account: str, permission: str
) -> None:
    """They reach everything by the server's own c$."""
    smb_share(emulator, "/", account, permission)
    share = made(driver)
    assert listed(driver).access == ()
    driver.update_access(ref(share), [], [], [])


def test_users_of_a_workgroup_are_let_in_by_the_name_of_their_server(emulator: Emulator) -> None:
    """Where an administrator has put the CIFS server of the SVM into one: its local users are accounts like others."""
    admin = Client(emulator)
    uuid = admin.get("/svm/svms?name=vs1").records[0]["uuid"]
    assert admin.delete(f"/protocols/cifs/services/{uuid}?force=true&return_timeout=15").status == 200
    body = {"svm": {"name": "vs1"}, "name": "OFFICE1", "workgroup": "OFFICE", "enabled": True}
    assert admin.post("/protocols/cifs/services?return_timeout=15", body).status == 201
    user = {"svm": {"name": "vs1"}, "name": "worker", "password": "Emulated-worker-1"}
    assert admin.post("/protocols/cifs/local-users", user).status == 201
    opened = driver_on(emulator, smb={})
    share, rule = made(opened), AccessRule("user", "OFFICE1\\worker", "rw")
    statuses = opened.update_access(ref(share), [rule, ALICE], [rule, ALICE], [])
    assert (statuses[rule].status, statuses[ALICE].status) == ("active", "error")
    assert listed(opened).access == (rule,)
    opened.close()
