"""Scenario 30: many small shares that are qtrees of one volume, each with a quota and access of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import BackendUnavailableError, ConflictError, DriverError, PoolError, ShareInUseError
from sharectl.drivers.ontap.qtrees.quotas import Scans
from sharectl.drivers.testing import ref
from sharectl.model.quantities import GIB
from tests.emulators.ontap.access_records import CifsShare, Qtree
from tests.emulators.ontap.quota_records import QuotaRule
from tests.emulators.ontap.server import serving
from tests.emulators.ontap.volume_records import Volume as ArrayVolume

from ..arrays import open_driver  # noqa: TID252 - the folder above is of the same tests
from .ground import CLOSED, Ground, request, rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sharectl.drivers.ontap.driver import OntapDriver
    from sharectl.model.access import AccessRule
    from sharectl.model.requests import ShareRef, ShareRequest
    from tests.emulators.ontap.gateway import Request
    from tests.emulators.ontap.server import Emulator
    from tests.emulators.ontap.volume_records import Volume

POOL = {"small": {"aggregate": "aggr1", "volumeSize": "8GiB"}}
MIB = 1 << 20
CLIENT, OTHER = rule("10.0.0.0/24"), rule("10.0.1.9", "ro")
SHARES = 200
LANES = 10
PASSAGE = "sharectl_qtrees"


def wanted_small(name: str = "projects", size_bytes: int = 64 * MIB) -> ShareRequest:
    """Return a request for a share in the pool of qtrees."""
    return request(name, "small", size_bytes)


class Small(Ground):
    """An array with a backend that has a pool of qtrees."""

    def fresh(self, login: str = "admin", **config: Any) -> OntapDriver:  # noqa: ANN401 - any setting
        """Return a driver as the next process has it."""
        return super().fresh(login, **{"qtrees": POOL, **config})

    def small(self, *rules: AccessRule, name: str = "projects") -> ShareRef:
        """Make a share that these may reach."""
        share = ref(self.driver.create_share(wanted_small(name)))
        if rules:
            statuses = self.driver.update_access(share, rules, rules, [])
            assert {status.status for status in statuses.values()} == {"active"}
        return share

    def qtrees(self) -> list[Qtree]:
        """Return the qtrees that there are."""
        return [each for each in self.emulator.world[Qtree] if each.id]

    def container(self) -> Volume:
        """Return the one volume that holds qtrees."""
        (found,) = [each for each in self.volumes().values() if each.comment.startswith("sharectl-qtrees:")]
        return found

    def settled(self) -> None:
        """Let the array finish what it is at."""
        self.emulator.world.pass_time(600)

    def is_whole(self, *, shares: int, with_access: int) -> None:
        """Assert that each share has one qtree and one limit that holds, those with access one policy, and that nothing else is there."""
        world = self.emulator.world
        self.settled()
        rules = list(world[QuotaRule])
        assert (len(self.qtrees()), len(rules)) == (shares, shares)
        assert {(each.volume, each.qtree) for each in rules} == {each.key for each in self.qtrees()}
        assert all(each.enforced for each in rules)
        assert {each.quota for each in self.volumes().values() if each.comment.startswith("sharectl-qtrees:")} <= {"on"}
        own = {name: each for name, each in self.policies().items() if name not in {CLOSED, PASSAGE}}
        assert len(own) == with_access, sorted(own)
        assert {each.policy for each in self.qtrees()} >= {each.id for each in own.values()}
        assert not self.policies()[CLOSED].rules
        listed = self.driver.list_shares()
        assert len(listed) == shares
        assert all(not rule.is_remark for share in listed for rule in share.access)


@pytest.fixture
def small(emulator: Emulator) -> Iterator[Small]:
    """Give a prepared backend on the SVM `vs1`, with a pool of qtrees in which is nothing yet."""
    found = Small(emulator, open_driver(emulator, qtrees=POOL))
    found.driver.prepare()
    emulator.calls.clear()
    yield found
    found.driver.close()


def test_two_hundred_shares_in_one_volume(emulator: Emulator, small: Small) -> None:
    """Each is a qtree with a rule, and with a policy once it has access; all limits hold, and a listing takes few calls."""
    small.fresh(qtrees={"small": {"aggregate": "aggr1", "volumeSize": "64GiB"}})

    wanted = [wanted_small(f"user{number}") for number in range(SHARES)]

    def live(request: ShareRequest) -> None:
        share = ref(small.driver.create_share(request))
        small.driver.update_access(share, [CLIENT], [CLIENT], [])

    with ThreadPoolExecutor(LANES) as lanes:
        list(lanes.map(live, wanted))
    calls = sum(small.calls().values())
    small.is_whole(shares=SHARES, with_access=SHARES)
    assert small.container().name == "qtrees_small_1"
    assert calls <= SHARES * 11
    small.forget_calls()
    listed = small.driver.list_shares()
    assert {share.resource_id for share in listed} == {each.resource_id for each in wanted}
    assert {(share.pool, share.size_bytes, share.access) for share in listed} == {("small", 64 * MIB, (CLIENT,))}
    assert sum(small.calls().values()) <= 12
    since = small.oracle.now()
    with ThreadPoolExecutor(LANES) as lanes:
        list(lanes.map(lambda share: small.driver.update_access(ref(share), [OTHER], [OTHER], [CLIENT]), listed[:20]))
    (some,) = [each for each in small.qtrees() if listed[7].backend_id.endswith(each.name)]
    place = f"{small.container().uuid}/{some.name}"
    assert small.oracle.check_between(place, {"10.0.0.0/24": "rw"}, {"10.0.1.9": "ro"}, since) == []
    small.is_whole(shares=SHARES, with_access=SHARES)


def test_the_volume_is_no_share_and_cannot_be_taken_over(small: Small) -> None:
    """Neither is it listed as one that sharectl did not make."""
    share = small.small(CLIENT)
    assert [each.backend_id for each in small.driver.list_shares()] == [share.backend_id]
    with pytest.raises(ConflictError, match="pool of qtrees"):
        small.driver.adopt_share("qtrees_small_1", request().resource_id, None)
    assert small.container().comment == "sharectl-qtrees:small"


def test_volumes_and_qtrees_of_one_backend_are_beside_each_other(small: Small) -> None:
    """Each is found by its id, and by no other's."""
    volume, qtree = small.share(CLIENT, name="big"), small.small(CLIENT)
    assert {each.backend_id for each in small.driver.list_shares()} == {volume.backend_id, qtree.backend_id}
    for share in (volume, qtree):
        assert [each.backend_id for each in small.driver.list_shares([share.resource_id])] == [share.backend_id]
    small.driver.delete_share(volume)
    assert [each.resource_id for each in small.driver.list_shares()] == [qtree.resource_id]


def test_removal_is_not_waited_for_and_the_share_is_gone(small: Small) -> None:
    """The array takes minutes for the files; meanwhile nobody gets in, nothing is listed, and a new share may have the name."""
    share, kept = small.small(CLIENT), small.small(CLIENT, name="kept")
    small.emulator.world.clock.slow_down()
    since = small.oracle.now()
    small.driver.delete_share(share)
    small.driver.delete_share(share)
    small.fresh()
    assert [each.deleting for each in small.qtrees()] == [True, False]
    assert [each.resource_id for each in small.driver.list_shares()] == [kept.resource_id]
    assert small.driver.list_shares([share.resource_id]) == []
    assert small.oracle.reached(f"{small.container().uuid}/{small.qtrees()[0].name}", since + 1) == []
    again = small.small(CLIENT)
    assert again.name == "projects"
    small.is_whole(shares=2, with_access=2)


def test_a_removal_that_fails_on_the_array_is_seen(small: Small) -> None:
    """The share is listed again, with nobody who may reach it, and the next removal finishes."""
    share = small.small(CLIENT)
    small.emulator.fault("job_fails", "DELETE", "/storage/qtrees/*", times=1, code=460770)
    small.driver.delete_share(share)
    small.settled()
    (left,) = small.driver.list_shares()
    assert (left.resource_id, left.access) == (share.resource_id, ())
    small.fresh().delete_share(share)
    small.is_whole(shares=0, with_access=0)


def test_a_share_is_not_made_while_its_qtree_is_being_removed(small: Small) -> None:
    """An id is used once."""
    wanted = wanted_small()
    small.emulator.world.clock.slow_down()
    small.driver.delete_share(ref(small.driver.create_share(wanted)))
    with pytest.raises(ConflictError, match="being removed"):
        small.driver.create_share(wanted)


def test_a_limit_is_not_lowered_below_what_is_used(small: Small) -> None:
    """The array would take it; the driver looks at the report, and refuses while there is none."""
    share = small.small(CLIENT)
    small.settled()
    with small.emulator.world.lock:
        (qtree,) = small.qtrees()
        small.emulator.world[Qtree].change(qtree.key, data=48 * MIB)
    assert small.driver.used_bytes(share) == 48 * MIB
    with pytest.raises(ShareInUseError, match="48"):
        small.driver.shrink_share(share, 32 * MIB)
    small.driver.extend_share(share, 128 * MIB)
    small.driver.shrink_share(share, 48 * MIB)
    assert small.listed().size_bytes == 48 * MIB
    small.send("PATCH", f"/storage/volumes/{small.container().uuid}", {"quota": {"enabled": False}})
    with pytest.raises(DriverError, match="nobody knows"):
        small.driver.shrink_share(share, 32 * MIB)
    assert small.listed().size_bytes == 48 * MIB


def test_a_volume_grows_with_a_share_that_it_has_no_room_for(small: Small) -> None:
    """And one more is made for a share that fits into none."""
    share = ref(small.driver.create_share(wanted_small(size_bytes=6 * GIB)))
    other = ref(small.driver.create_share(wanted_small("other", 4 * GIB)))
    assert (share.backend_id.partition("/")[0], other.backend_id.partition("/")[0]) == (
        "qtrees_small_1",
        "qtrees_small_2",
    )
    small.driver.extend_share(share, 12 * GIB)
    assert small.volumes()["qtrees_small_1"].size == 12 * GIB
    small.is_whole(shares=2, with_access=0)


def test_a_volume_grows_with_shares_that_grow_at_once(small: Small) -> None:
    """It has room for what all of them are promised, whichever is the last."""
    shares = [small.small(name=f"user{number}") for number in range(LANES)]
    with ThreadPoolExecutor(LANES) as lanes:
        list(lanes.map(lambda share: small.driver.extend_share(share, 2 * GIB), shares))
    assert small.container().size >= LANES * 2 * GIB
    small.is_whole(shares=LANES, with_access=0)


def test_a_scan_that_the_array_refused_has_seen_no_rule() -> None:
    """Who waits for another's scan begins one of its own where that failed."""
    scans = Scans()
    before = scans.begun
    with suppress(OSError), scans.one_more():
        raise OSError
    assert not scans.is_done_since(before)
    with scans.one_more():
        meanwhile = scans.begun
    assert (scans.is_done_since(before), scans.is_done_since(meanwhile)) == (True, False)


def test_an_aggregate_without_room_is_a_full_pool(small: Small) -> None:
    """Nothing is left over."""
    small.emulator.fault("refuse", "POST", "/storage/volumes", code=13107341)
    with pytest.raises(PoolError):
        small.driver.create_share(wanted_small())
    assert small.driver.list_shares() == []


def test_capacity_counts_quotas_and_not_the_volumes(small: Small) -> None:
    """A thin volume of 8 GiB with one small share promises what the share was promised."""
    small.small()
    pools = {pool.name: pool for pool in small.driver.pools()}
    assert (pools["small"].allocated_bytes, pools["aggr1"].allocated_bytes) == (64 * MIB, 64 * MIB)
    capabilities = pools["small"].capabilities
    assert (capabilities["ontap_qtree"], capabilities["snapshot_support"]) == (True, False)
    assert pools["aggr1"].capabilities["ontap_qtree"] is False


def test_the_trash_closes_a_share_and_gives_it_back(small: Small) -> None:
    """It stays where it is, with its limit; by another process too."""
    share = small.small(CLIENT)
    since = small.oracle.now()
    small.driver.trash_share(share)
    small.fresh().trash_share(share)
    (trashed,) = small.driver.list_shares()
    assert (trashed.trashed_at is not None, trashed.access, trashed.export_locations) == (True, (), ())
    place = f"{small.container().uuid}/{small.qtrees()[0].name}"
    assert small.oracle.check_between(place, {"10.0.0.0/24": "rw"}, {"10.0.0.0/24": "none"}, since) == []
    back = small.driver.restore_share(share.resource_id)
    assert (back.trashed_at, back.backend_id, back.access) == (None, share.backend_id, ())
    small.repair(share, [CLIENT])
    small.is_whole(shares=1, with_access=1)


def test_the_trash_gives_a_share_back_when_its_pool_is_no_more_in_the_configuration(small: Small) -> None:
    """It is listed there as before."""
    share = small.small(CLIENT)
    small.driver.trash_share(share)
    small.driver = small.fresh(qtrees={})
    (trashed,) = small.driver.list_shares()
    assert trashed.trashed_at is not None
    assert small.driver.restore_share(share.resource_id).trashed_at is None


DRIFTS = (
    "limit gone",
    "quotas off",
    "policy switched",
    "rule added",
    "policy of the volume",
    "rules of the passage",
    "root rule",
)


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_somebody_changed_is_seen_and_repaired(small: Small, drift: str) -> None:
    """By the next plan, which asks for the whole access again."""
    share, world = small.small(CLIENT), small.emulator.world
    small.settled()
    (own,) = [each for name, each in small.policies().items() if name not in {CLOSED, PASSAGE}]
    (qtree,) = small.qtrees()
    path, theirs = (
        f"/storage/qtrees/{qtree.uuid}/{qtree.id}",
        {"clients": [{"match": "10.9.0.0/16"}], "ro_rule": ["sys"], "rw_rule": ["sys"]},
    )
    if drift == "limit gone":
        small.send("DELETE", f"/storage/quota/rules/{next(iter(world[QuotaRule])).uuid}")
    elif drift == "quotas off":
        small.send("PATCH", f"/storage/volumes/{qtree.uuid}", {"quota": {"enabled": False}})
    elif drift == "policy switched":
        small.send("PATCH", path, {"export_policy": {"name": "default"}})
    elif drift == "rule added":
        small.send("POST", f"/protocols/nfs/export-policies/{own.id}/rules", theirs)
    elif drift == "policy of the volume":
        small.send("PATCH", f"/storage/volumes/{qtree.uuid}", {"nas": {"export_policy": {"name": "default"}}})
    else:
        passage = small.policies()[PASSAGE]
        small.send(
            "PATCH",
            f"/protocols/nfs/export-policies/{passage.id}/rules/1",
            {"rw_rule": ["any"]} if drift == "root rule" else {"ro_rule": ["never"]},
        )
    seen = small.listed()
    assert (seen.access, seen.size_bytes) != ((CLIENT,), 64 * MIB)
    small.fresh()
    small.repair(share, [CLIENT])
    small.settled()
    seen = small.listed()
    assert (seen.resource_id, seen.access, seen.size_bytes) == (share.resource_id, (CLIENT,), 64 * MIB)
    assert small.oracle.may("10.0.0.5", f"{qtree.uuid}/{qtree.name}", "write")
    small.is_whole(shares=1, with_access=1)


def test_a_share_whose_qtree_was_renamed_is_known_by_its_policy(small: Small) -> None:
    """It is never made a second time."""
    wanted = wanted_small()
    share = ref(small.driver.create_share(wanted))
    small.driver.update_access(share, [CLIENT], [CLIENT], [])
    (qtree,) = small.qtrees()
    small.send("PATCH", f"/storage/qtrees/{qtree.uuid}/{qtree.id}", {"name": "renamed"})
    small.fresh()
    assert small.listed().resource_id == share.resource_id
    assert small.driver.create_share(wanted).resource_id == share.resource_id
    assert len(small.qtrees()) == 1


STEPS = 12
ATTEMPTS = 5


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("skip", range(STEPS))
def test_whichever_change_is_the_last_of_a_process(emulator: Emulator, skip: int, done: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """The next one ends where it would have ended: one qtree, one limit, one policy, and in the end nothing."""
    small, wanted = Small(emulator, open_driver(emulator, qtrees=POOL)), wanted_small()
    for method, first in (("POST", skip // 2), ("PATCH", skip), ("DELETE", skip // 3)):
        emulator.fault("cut", method, "*", where="before", done=done, times=1, skip=first)

    def known() -> ShareRef:
        return ref(small.driver.list_shares([wanted.resource_id])[0])

    steps = [
        lambda: small.driver.prepare(),  # noqa: PLW0108 - of the driver that is there by then
        lambda: small.driver.create_share(wanted),
        lambda: small.driver.update_access(known(), [CLIENT], [CLIENT], []),
        lambda: small.driver.update_access(known(), [OTHER], [OTHER], [CLIENT]),
        lambda: small.driver.extend_share(known(), 128 * MIB),
        lambda: small.driver.trash_share(known()),
        lambda: small.driver.restore_share(wanted.resource_id),
        lambda: small.driver.update_access(known(), [CLIENT], [], []),
    ]
    for step in steps:
        _again(small, step)
    if small.listed().access != (CLIENT,):  # as the next plan would see
        small.repair(known(), [CLIENT])
    small.is_whole(shares=1, with_access=1)
    assert (small.listed().access, small.listed().size_bytes) == ((CLIENT,), 128 * MIB)
    share = known()
    _again(small, lambda: small.driver.delete_share(share))
    small.is_whole(shares=0, with_access=0)
    small.driver.close()


def _again(small: Small, step: Any) -> None:  # noqa: ANN401 - a call
    """Take a step; after each failure the next process asks for the same."""
    for attempt in range(ATTEMPTS):
        try:
            step()
        except DriverError:
            assert attempt < ATTEMPTS - 1
            small.fresh()
        else:
            return


FAULTS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("unavailable", "GET", "/storage/qtrees", {"status": 503}),
    ("unavailable", "GET", "/storage/quota/rules", {"status": 503}),
    ("cut", "GET", "/storage/quota/reports", {"where": "middle", "times": 9}),
    ("refuse", "GET", "/storage/qtrees", {"code": 6}),
)


@pytest.mark.parametrize(("kind", "method", "path", "values"), FAULTS)
def test_a_listing_that_is_cut_short_is_never_taken_for_whole(
    small: Small, kind: str, method: str, path: str, values: dict[str, Any]
) -> None:
    """It is an error, and not a backend without shares."""
    small.small(CLIENT)
    small.small(CLIENT, name="other")
    small.emulator.fault(kind, method, path, **values)
    with pytest.raises(DriverError):
        small.driver.list_shares()


def test_a_page_that_ends_early_is_gone_on_with(small: Small) -> None:
    """An empty one too."""
    for number in range(3):
        small.small(CLIENT, name=f"user{number}")
    for path in ("/storage/qtrees", "/storage/quota/rules", "/storage/quota/reports"):
        small.emulator.fault("page_short", "GET", path, times=1, records=0)
    assert len(small.driver.list_shares()) == 3


def test_users_over_smb_reach_a_qtree_by_a_share_of_its_own(small: Small) -> None:
    """Made with its list, and gone with the share."""
    driver = small.fresh(smb={"fromAnywhere": True})
    bob = replace_user("EXAMPLE\\bob")
    share = ref(driver.create_share(replace(wanted_small(), protocol="CIFS")))
    driver.update_access(share, [bob], [bob], [])
    (listed,) = driver.list_shares()
    assert (listed.protocol, listed.access) == ("CIFS", (bob,))
    (exported,) = [each for each in small.emulator.world[CifsShare] if not each.administrative]
    assert (exported.name, exported.path) == ("projects", f"/{share.backend_id}")
    assert [entry.account for entry in exported.entries] == ["EXAMPLE\\bob"]
    driver.delete_share(share)
    assert [each for each in small.emulator.world[CifsShare] if not each.administrative] == []
    small.is_whole(shares=0, with_access=0)


def replace_user(account: str) -> AccessRule:
    """Return a rule for an account."""
    return CLIENT._replace(access_type="user", access_to=account)


@pytest.mark.parametrize(("kind", "words"), [("luns", "LUNs"), ("namespaces", "NVMe namespaces")])
def test_a_qtree_is_not_removed_while_somebody_has_blocks_in_its_volume(small: Small, kind: str, words: str) -> None:
    """A LUN may be in the qtree itself, and would go with it; its clients keep the share."""
    share = small.small(CLIENT)
    (uuid,) = {each.uuid for each in small.qtrees()}
    with small.emulator.world.lock:
        small.emulator.world[ArrayVolume].change(uuid, **{kind: 1})
    with pytest.raises(ShareInUseError, match=f"{words} are in the volume"):
        small.driver.delete_share(share)
    assert small.listed().access == (CLIENT,)
    with small.emulator.world.lock:
        small.emulator.world[ArrayVolume].change(uuid, **{kind: 0})
    small.driver.delete_share(share)


@pytest.mark.parametrize("login", ["sharectl", "sharectl-svm"])
def test_an_account_of_the_least_privilege_is_enough(small: Small, login: str) -> None:
    """Of the cluster, or of the SVM; no call of its life is forbidden to it, but those that only pools have more words from."""
    driver = small.fresh(login, smb={"fromAnywhere": True})
    small.forget_calls()
    assert "small" in {pool.name for pool in driver.pools()}
    share = ref(driver.create_share(wanted_small()))
    driver.update_access(share, [CLIENT], [CLIENT], [])
    small.repair(share, [CLIENT])
    driver.extend_share(share, 128 * MIB)
    small.settled()
    driver.shrink_share(share, 64 * MIB)
    driver.trash_share(share)
    driver.restore_share(share.resource_id)
    driver.delete_share(share)
    assert driver.list_shares() == []
    forbidden = {f"{each.method} {each.path}" for each in small.emulator.calls.all() if each.status in {401, 403}}
    assert forbidden <= {"GET /storage/aggregates", "GET /storage/disks", "GET /security/key-managers"}
    small.is_whole(shares=0, with_access=0)


def test_no_share_is_made_where_users_of_an_smb_share_above_would_reach_it(small: Small) -> None:
    """One that is there already shows in a plan."""
    share = small.small(CLIENT)
    acls = [{"user_or_group": "EXAMPLE\\bob", "type": "windows", "permission": "read"}]
    small.send(
        "POST",
        "/protocols/cifs/shares",
        {"svm": {"name": "vs1"}, "name": "all", "path": "/qtrees_small_1", "acls": acls},
    )
    driver = small.fresh(smb={"fromAnywhere": True})
    with pytest.raises(ConflictError, match="all"):
        driver.create_share(wanted_small("other"))
    (seen,) = driver.list_shares()
    assert any("folder above, all" in each.access_to for each in seen.access)
    with pytest.raises(DriverError, match="folder above"):
        small.repair(share, [CLIENT])


@pytest.mark.parametrize("version", ["9.12.1", "9.19.1"])
def test_the_oldest_and_the_newest_array_are_asked_for_what_they_know(tmp_path: Path, version: str) -> None:
    """No call of a share's life has a field or a value that this release does not take."""
    with serving(tmp_path, version=version) as emulator:
        small = Small(emulator, open_driver(emulator, qtrees=POOL))
        small.driver.prepare()
        share = small.small(CLIENT)
        small.repair(share, [CLIENT])
        small.driver.extend_share(share, 128 * MIB)
        small.is_whole(shares=1, with_access=1)
        small.driver.trash_share(share)
        small.driver.restore_share(share.resource_id)
        small.driver.delete_share(share)
        assert 400 not in {each.status for each in emulator.calls.all()}
        small.driver.close()


def taken_offline(small: Small) -> str:
    """Take the volume that holds the qtrees offline, as an administrator would; return where it is."""
    place = f"/storage/volumes/{small.container().uuid}"
    small.send("PATCH", place, {"nas": {"path": ""}})
    small.send("PATCH", place, {"state": "offline"})
    return place


def test_shares_in_a_volume_that_is_offline_are_neither_there_nor_gone(small: Small) -> None:
    """The array shows no qtrees of it: nothing is listed as if they were gone, made a second time, forgotten, or taken for removed."""
    share = small.small(CLIENT)
    again = replace(wanted_small(), resource_id=share.resource_id)
    place = taken_offline(small)
    words = "qtrees_small_1 is offline, and nobody knows which qtrees are in it"
    driver = small.fresh()
    with pytest.raises(BackendUnavailableError, match=words):
        driver.list_shares()
    with pytest.raises(BackendUnavailableError, match=words):
        driver.list_shares([share.resource_id])
    with pytest.raises(BackendUnavailableError, match=words):
        driver.create_share(again)
    for refused in (driver.delete_share, driver.trash_share, driver.used_bytes):
        with pytest.raises(BackendUnavailableError, match=words):
            refused(share)
    with pytest.raises(BackendUnavailableError, match=words):
        driver.restore_share(share.resource_id)
    assert len(small.qtrees()) == 1
    assert set(small.volumes()) == {"qtrees_small_1"}
    small.send("PATCH", place, {"state": "online"})
    small.send("PATCH", place, {"nas": {"path": "/qtrees_small_1"}})
    small.is_whole(shares=1, with_access=1)


def test_a_volume_that_goes_offline_while_shares_are_listed_is_noticed(small: Small) -> None:
    """It was online when volumes were read, and showed none when qtrees were."""
    small.small(CLIENT)
    driver, hidden = small.fresh(), []

    def meets(asked: Request) -> bool:
        if asked.method == "GET" and asked.raw_path.startswith("/api/storage/qtrees") and not hidden:
            hidden.append(small.container())
            small.emulator.world[ArrayVolume].change(hidden[0].uuid, state="offline")
        return True

    small.emulator.calls.meets = meets
    with pytest.raises(BackendUnavailableError, match="qtrees_small_1 is offline"):
        driver.list_shares()


def test_shares_that_are_volumes_are_shown_while_a_volume_of_qtrees_is_offline(small: Small) -> None:
    """Whoever asks for them alone is answered."""
    small.small(CLIENT)
    volume = small.share(CLIENT, name="plain")
    taken_offline(small)
    assert [each.name for each in small.fresh().list_shares([volume.resource_id])] == ["plain"]


def test_a_share_in_the_trash_that_somebody_opened_is_still_in_it(small: Small) -> None:
    """The policy that says so is no longer the one that it has, and is there still."""
    share = small.small(CLIENT)
    small.driver.trash_share(share)
    (qtree,) = small.qtrees()
    small.send("PATCH", f"/storage/qtrees/{qtree.uuid}/{qtree.id}", {"export_policy": {"name": "default"}})
    small.fresh()
    for listed in (small.listed(), *small.driver.list_shares([share.resource_id])):
        assert (listed.resource_id, listed.trashed_at is None) == (share.resource_id, False)
    small.driver.restore_share(share.resource_id)
    assert small.listed().trashed_at is None
    assert small.listed().access == ()
    small.is_whole(shares=1, with_access=0)


def test_a_clone_of_the_volume_leaves_its_shares_what_they_are(small: Small) -> None:
    """Its qtrees have the same names and policies. It is the copy, whatever its UUID: the share stays where it is, and can be changed and removed."""
    share = small.small(CLIENT)
    container = small.container()
    for number in range(4):
        clone = {"is_flexclone": True, "parent_volume": {"name": container.name}}
        body = {"svm": {"name": "vs1"}, "name": f"copy_{number}", "clone": clone}
        small.send("POST", "/storage/volumes", {**body, "nas": {"path": f"/copy_{number}"}})
    driver = small.fresh()
    found = driver.list_shares()
    (mine,) = [each for each in found if each.resource_id is not None]
    assert (mine.backend_id, mine.access) == (share.backend_id, (CLIENT,))
    copies = [each for each in found if each.resource_id is None]
    assert {each.backend_id.partition("/")[0] for each in copies} == {f"copy_{number}" for number in range(4)}
    assert [each.not_adoptable for each in copies if f"a clone of {container.name}" not in each.not_adoptable] == []
    driver.update_access(share, [OTHER], [OTHER], [CLIENT])
    (mine,) = [each for each in driver.list_shares([share.resource_id]) if each.resource_id is not None]
    assert (mine.backend_id, mine.access) == (share.backend_id, (OTHER,))
