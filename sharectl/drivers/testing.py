"""The conformance suite that every driver must pass; point it at yours as docs/drivers.md shows.

A test of an optional capability that the driver's type does not have is skipped, and says so.
"""

# `needs` takes the Protocol of a capability, which mypy reports for any argument that is a type:
# mypy: disable-error-code="type-abstract"

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import pytest

from sharectl.drivers.base import (
    AdoptsShares,
    BackendUnavailableError,
    ClonesSnapshots,
    ConflictError,
    Driver,
    DriverError,
    ExtendsShares,
    FencedError,
    MeasuresUsage,
    NotFoundError,
    PoolError,
    RefusesOldFences,
    RevertsShares,
    ShrinksShares,
    SnapshotsShares,
    TransientError,
    TrashesShares,
)
from sharectl.model.access import AccessRule
from sharectl.model.checks import ShareProblem, WantedShare
from sharectl.model.observed import BackendReport, ObservedShare, ObservedSnapshot, PoolReport
from sharectl.model.quantities import GIB
from sharectl.model.requests import RuleStatus, ShareRef, ShareRequest, SnapshotRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    DriverMaker = Callable[[], Driver]

Wanted = TypeVar("Wanted")

HOSTILE_NAMES = (
    "..",
    ".",
    "",
    "a/b",
    "../outside",
    "/absolute",
    "quote'double\"",
    "new\nline",
    "nul\0byte",
    "per%cent%s",
    "brace}{",
    "dollar$(id)`id`",
    "back\\slash",
    "space and # hash",
    "[global]",
    "-rf",
    "snowman-☃",
    "\u202egnp.exe",
    "x" * 300,
)

NOBODYS_ADDRESSES = ("0.0.0.0", "::", "::ffff:10.1.2.3", "::ffff:0:0/96", "224.0.0.1", "255.255.255.255", "ff02::1")  # noqa: S104 - nothing is bound to it
"""What no client has: some servers open an export to everybody for it, others refuse all that stands beside it."""


ODD_RULES = (
    AccessRule("ip", "10.0.0.0/8", "rw"),
    AccessRule("ip", "10.0.0.0/8", "ro"),
    AccessRule("ip", "192.0.2.7/24", "rw"),
    AccessRule("ip", "2001:db8::/128", "ro"),
    AccessRule("ip", "fe80::1%eth0", "rw"),
    AccessRule("ip", "host.example.org", "rw"),
    AccessRule("ip", "0.0.0.0", "rw"),  # noqa: S104 - a client that is nobody, not an address to bind
    AccessRule("ip", "0.0.0.0/0", "rw"),
    AccessRule("ip", "10.0.0.9", "owner"),
    AccessRule("user", "alice", "rw"),
    AccessRule("user", "ALICE", "ro"),
    AccessRule("user", "nobody-knows-me", "rw"),
    AccessRule("user", "CORP\\bob", "rw"),
    AccessRule("user", "bob@corp.example", "ro"),
    AccessRule("user", "@staff", "rw"),
    AccessRule("user", 'quote"', "rw"),
    AccessRule("cert", "client.example.org", "rw"),
)
ODD_SIZES = (1, 1 << 20, (1 << 20) + 1, GIB - 512, GIB + 1)
_NOT_NOW = (BackendUnavailableError, ConflictError, NotFoundError, PoolError, TransientError)


class DriverConformance:
    """Derive from it, name the class Test..., and override the fixture `make_driver`; the rest is optional."""

    protocol = "NFS"
    """The protocol of the shares that the suite makes."""

    rules: tuple[AccessRule, ...] = (
        AccessRule("ip", "10.0.0.0/8", "rw"),
        AccessRule("ip", "192.0.2.7", "ro"),
        AccessRule("ip", "2001:db8::/32", "rw"),
    )
    """Three rules that the backend can put in force on a share of that protocol."""

    other_export_settings: Mapping[str, str] = MappingProxyType({})
    """Export settings that a share can have in place of those that it gets without being asked; none where there are no others."""

    threads = 64
    """How many threads call at once."""

    @pytest.fixture
    def make_driver(self) -> DriverMaker:
        """Return what opens the same, at first empty, backend anew each time that it is called."""
        pytest.fail("override the fixture make_driver")

    def write_content(self, driver: Driver, share: ObservedShare, text: str) -> None:
        """Put `text` into the share as a client would; without this the tests of data are skipped."""
        del driver, share, text
        pytest.skip("write_content is not overridden")

    def read_content(self, driver: Driver, share: ObservedShare) -> str:
        """Return the text that `write_content` put there."""
        del driver, share
        pytest.skip("read_content is not overridden")

    def make_unmanaged(self, driver: Driver) -> str:
        """Make a share as an administrator would, without sharectl, and return its `backend_id`."""
        del driver
        pytest.skip("make_unmanaged is not overridden")

    def share_problems(self, driver: Driver, share: WantedShare) -> Sequence[ShareProblem]:
        """Return what the factory's check says of a share on this backend; without this its tests are skipped."""
        del driver, share
        pytest.skip("share_problems is not overridden")

    @pytest.fixture
    def driver(self, make_driver: DriverMaker) -> Iterator[Driver]:
        """Give a prepared driver."""
        driver = make_driver()
        driver.prepare()
        yield driver
        driver.close()

    # What the backend says of itself

    def test_it_meets_the_protocol(self, driver: Driver) -> None:
        """The object is a Driver."""
        assert isinstance(driver, Driver)

    def test_the_identity_is_none_until_prepared_and_then_stays(self, make_driver: DriverMaker) -> None:
        """`prepare` gives the backend its identity once, for all drivers that open it later."""
        first = make_driver()
        assert first.report().identity is None
        identity = first.prepare()
        assert identity
        assert first.prepare() == identity
        first.close()
        second = make_driver()
        assert second.report().identity == identity
        assert second.prepare() == identity
        second.close()

    def test_reports_have_the_types_of_the_contract(self, driver: Driver) -> None:
        """A report names protocols; pools have unique names and capacities in bytes."""
        report = driver.report()
        assert isinstance(report, BackendReport)
        assert self.protocol in report.protocols
        pools = driver.pools()
        assert pools
        assert all(isinstance(pool, PoolReport) for pool in pools)
        assert len({pool.name for pool in pools}) == len(pools)
        for pool in pools:
            for capacity in (pool.total_bytes, pool.free_bytes):
                assert capacity in {"unknown", "infinite"} or (isinstance(capacity, int) and capacity >= 0)

    def test_an_empty_backend_lists_nothing(self, driver: Driver) -> None:
        """No share, managed or not, is on an empty backend."""
        assert list(driver.list_shares()) == []

    def test_listing_before_prepare_is_empty(self, make_driver: DriverMaker) -> None:
        """A backend that was never prepared holds nothing of sharectl's."""
        driver = make_driver()
        assert [share for share in driver.list_shares() if share.resource_id is not None] == []
        driver.close()

    # Shares

    def test_a_new_share_is_listed_as_create_returned_it(self, driver: Driver) -> None:
        """Creation and listing agree, and nobody may reach the share yet."""
        share = self.create(driver, "projects")
        assert isinstance(share, ObservedShare)
        assert (share.name, share.size_bytes, share.protocol) == ("projects", GIB, self.protocol)
        assert share.access == ()
        assert list(driver.list_shares()) == [share]

    def test_create_twice_makes_one_share(self, driver: Driver) -> None:
        """The second call returns what the first did."""
        request = self.request(driver, "projects")
        assert driver.create_share(request) == driver.create_share(request)
        assert len(driver.list_shares()) == 1

    def test_create_is_idempotent_after_reopening(self, make_driver: DriverMaker) -> None:
        """Another process that repeats a creation finds the share."""
        first = make_driver()
        first.prepare()
        request = self.request(first, "projects")
        made = first.create_share(request)
        first.close()
        second = make_driver()
        assert second.create_share(request) == made
        assert list(second.list_shares()) == [made]
        second.close()

    def test_repeated_creation_leaves_data_and_access(self, driver: Driver) -> None:
        """A share that is in use already is only reported."""
        request = self.request(driver, "projects")
        share = driver.create_share(request)
        self.set_access(driver, share, self.rules)
        again = driver.create_share(request)
        assert set(again.access) == set(self.rules)

    def test_two_shares_of_one_name_are_two(self, driver: Driver) -> None:
        """A name that another managed share has is no obstacle."""
        one, other = self.create(driver, "projects"), self.create(driver, "projects")
        assert one.backend_id != other.backend_id
        assert {share.resource_id for share in driver.list_shares()} == {one.resource_id, other.resource_id}

    def test_listing_by_id_returns_just_those(self, driver: Driver) -> None:
        """Ids that are not there are left out."""
        share = self.create(driver, "one")
        self.create(driver, "two")
        assert list(driver.list_shares([str(share.resource_id), new_id()])) == [share]
        assert list(driver.list_shares([])) == []

    def test_delete_removes_the_share_and_twice_is_no_error(self, driver: Driver) -> None:
        """Deletion ends with the share gone, however often it is asked for."""
        share = self.create(driver, "projects")
        other = self.create(driver, "other")
        self.set_access(driver, share, self.rules)
        driver.delete_share(ref(share))
        driver.delete_share(ref(share))
        assert list(driver.list_shares()) == [other]

    def test_delete_of_a_share_that_never_was_is_no_error(self, driver: Driver) -> None:
        """What is not there needs no removal."""
        driver.delete_share(ShareRef(new_id(), "nowhere", "nowhere", driver.pools()[0].name, self.protocol, GIB))

    def test_a_name_is_free_again_after_deletion(self, driver: Driver) -> None:
        """A new share of the same name gets the same name on the backend."""
        first = self.create(driver, "projects")
        driver.delete_share(ref(first))
        assert self.create(driver, "projects").backend_id == first.backend_id

    @pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
    def test_a_hostile_name_is_refused_or_kept_whole(self, driver: Driver, name: str) -> None:
        """Either nothing is made, or exactly one share of exactly this name, with access that reads back."""
        neighbour = self.create(driver, "neighbour")
        request = self.request(driver, name)
        try:
            share = driver.create_share(request)
        except DriverError:
            assert list(driver.list_shares()) == [neighbour]
            return
        assert share.name == name
        self.set_access(driver, share, self.rules)
        listed = {entry.resource_id: entry for entry in driver.list_shares()}
        assert set(listed) == {neighbour.resource_id, share.resource_id}
        assert set(listed[share.resource_id].access) == set(self.rules)
        driver.delete_share(ref(share))
        assert list(driver.list_shares()) == [neighbour]

    def test_an_unknown_pool_is_refused(self, driver: Driver) -> None:
        """A pool that is not there takes nothing."""
        request = ShareRequest(new_id(), "projects", GIB, self.protocol, "no-such-pool")
        with pytest.raises(DriverError):
            driver.create_share(request)
        assert list(driver.list_shares()) == []

    # What the factory's check says before anything is called

    def test_the_check_finds_nothing_wrong_with_what_the_suite_makes(self, driver: Driver) -> None:
        """Neither with the share nor with the rules."""
        assert list(self.share_problems(driver, WantedShare("projects", GIB, self.protocol, self.rules))) == []

    @pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
    def test_a_name_is_refused_if_the_check_says_so(self, driver: Driver, name: str) -> None:
        """And by no other names."""
        wanted = WantedShare(name, GIB, self.protocol)
        self.agrees(driver, wanted, replace(self.request(driver, "x"), name=name))

    @pytest.mark.parametrize("protocol", ["NFS", "CIFS", "AFP"])
    def test_a_protocol_is_refused_if_the_check_says_so(self, driver: Driver, protocol: str) -> None:
        """And no other."""
        request = replace(self.request(driver, "projects"), protocol=protocol)
        self.agrees(driver, WantedShare("projects", GIB, protocol), request)

    @pytest.mark.parametrize("size_bytes", ODD_SIZES)
    def test_a_size_is_refused_if_the_check_says_so(self, driver: Driver, size_bytes: int) -> None:
        """Too small, or not the multiple that the backend needs."""
        request = replace(self.request(driver, "projects"), size_bytes=size_bytes)
        self.agrees(driver, WantedShare("projects", size_bytes, self.protocol), request)

    def test_each_rule_is_refused_if_the_check_says_so(self, driver: Driver) -> None:
        """Alone on a share, every rule that the check leaves gets in force, and every one that it names does not."""
        share = self.create(driver, "projects")
        for rule in ODD_RULES:
            wanted = WantedShare("projects", GIB, self.protocol, (rule,))
            named = any(problem.path[:1] == ("access",) for problem in self.share_problems(driver, wanted))
            statuses = driver.update_access(ref(share), [rule], [], [])
            assert (statuses[rule].status != "active") is named, (rule, statuses[rule])

    def test_rules_that_are_refused_for_others_are_named_by_the_check(self, driver: Driver) -> None:
        """Two levels for one address, users that differ in case alone: named for the whole set, and the others are in force."""
        share = self.create(driver, "projects")
        problems = self.share_problems(driver, WantedShare("projects", GIB, self.protocol, ODD_RULES))
        named = {problem.path[1] for problem in problems if problem.path[:1] == ("access",)}
        statuses = driver.update_access(ref(share), ODD_RULES, [], [])
        assert {rule.key for rule, status in statuses.items() if status.status != "active"} == named

    def agrees(self, driver: Driver, wanted: WantedShare, request: ShareRequest) -> None:
        """Compare what the check says of a share with what the call does."""
        problems = list(self.share_problems(driver, wanted))
        said = ""
        try:
            driver.create_share(request)
        except _NOT_NOW:
            return
        except DriverError as error:
            said = str(error)
        assert bool(problems) is bool(said), (problems, said)

    # Access

    def test_access_is_the_full_set(self, driver: Driver) -> None:
        """After each call exactly the wanted rules are in force, and each has its status."""
        share = self.create(driver, "projects")
        statuses = driver.update_access(ref(share), self.rules, self.rules, [])
        assert dict(statuses) == dict.fromkeys(self.rules, RuleStatus("active"))
        assert self.access_of(driver, share) == set(self.rules)
        fewer = self.rules[1:]
        driver.update_access(ref(share), fewer, [], self.rules[:1])
        assert self.access_of(driver, share) == set(fewer)
        driver.update_access(ref(share), [], [], fewer)
        assert self.access_of(driver, share) == set()

    def test_a_rule_can_be_added_to_others(self, driver: Driver) -> None:
        """A change that adds leaves the rest."""
        share = self.create(driver, "projects")
        driver.update_access(ref(share), self.rules[:1], self.rules[:1], [])
        driver.update_access(ref(share), self.rules, self.rules[1:], [])
        assert self.access_of(driver, share) == set(self.rules)

    def test_an_empty_change_repairs(self, driver: Driver) -> None:
        """With nothing to add or delete, the rules are made so whatever is found."""
        share = self.create(driver, "projects")
        driver.update_access(ref(share), self.rules[:2], self.rules[:2], [])
        driver.update_access(ref(share), self.rules[1:], [], [])
        assert self.access_of(driver, share) == set(self.rules[1:])

    def test_deleting_a_rule_that_is_not_there_succeeds(self, driver: Driver) -> None:
        """What is not there needs no removal."""
        share = self.create(driver, "projects")
        driver.update_access(ref(share), self.rules[:1], self.rules[:1], [])
        statuses = driver.update_access(ref(share), self.rules[:1], [], self.rules[1:])
        assert set(statuses) == set(self.rules[:1])
        assert self.access_of(driver, share) == set(self.rules[:1])

    @pytest.mark.parametrize("address", NOBODYS_ADDRESSES)
    def test_an_address_of_nobody_is_refused_and_lets_nobody_in(self, driver: Driver, address: str) -> None:
        """Some servers take it for everybody; the rules beside it are put in force all the same."""
        share = self.create(driver, "projects")
        nobody = AccessRule("ip", address, "rw")
        statuses = driver.update_access(ref(share), [nobody], [nobody], [])
        assert statuses[nobody].status == "error"
        assert statuses[nobody].reason
        assert self.access_of(driver, share) == set()
        statuses = driver.update_access(ref(share), [nobody, *self.rules], self.rules, [])
        assert {rule for rule, status in statuses.items() if status.status == "active"} == set(self.rules)
        assert self.access_of(driver, share) == set(self.rules)

    @pytest.mark.parametrize("address", NOBODYS_ADDRESSES)
    def test_a_rule_that_fails_keeps_no_other_from_being_revoked(self, driver: Driver, address: str) -> None:
        """Whether the change is told, or found by a repair: who is to be out is out."""
        share = self.create(driver, "projects")
        bad = AccessRule("ip", address, "rw")
        wanted = [bad, *self.rules[1:]]
        for add, delete in (((bad,), self.rules[:1]), ((), ())):
            self.set_access(driver, share, self.rules)
            statuses = driver.update_access(ref(share), wanted, add, delete)
            assert statuses[bad].status == "error"
            assert self.access_of(driver, share) == set(self.rules[1:])

    def test_export_settings_are_put_in_force_with_the_rules_and_listed(self, driver: Driver) -> None:
        """Where the driver lists any: those of the share are kept while nobody asks for others, and follow whoever does."""
        share = self.create(driver, "projects")
        assert not share.export_settings
        self.set_access(driver, share, self.rules)
        before = self.listed(driver, share).export_settings
        if before is None:
            pytest.skip("the driver lists no export settings")
        wanted = {**dict(before), **self.other_export_settings}
        changed = replace(ref(share), export_settings=wanted)
        driver.update_access(changed, self.rules, [], [])
        driver.update_access(ref(share), self.rules[1:], [], self.rules[:1])
        listed = self.listed(driver, share)
        assert (set(listed.access), dict(listed.export_settings or ())) == (set(self.rules[1:]), wanted)

    def test_the_same_access_twice_is_the_same(self, driver: Driver) -> None:
        """A repeated change changes nothing more."""
        share = self.create(driver, "projects")
        for _ in range(2):
            driver.update_access(ref(share), self.rules, self.rules, [])
        assert self.access_of(driver, share) == set(self.rules)

    def test_access_survives_reopening(self, make_driver: DriverMaker) -> None:
        """Another process sees the rules that are in force."""
        first = make_driver()
        first.prepare()
        share = self.create(first, "projects")
        self.set_access(first, share, self.rules)
        first.close()
        second = make_driver()
        assert self.access_of(second, share) == set(self.rules)
        second.close()

    def test_access_to_a_share_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """The engine must learn that the share is gone."""
        gone = ShareRef(new_id(), "nowhere", "nowhere", driver.pools()[0].name, self.protocol, GIB)
        with pytest.raises(NotFoundError):
            driver.update_access(gone, self.rules, self.rules, [])

    # Size

    def test_extend_records_the_size(self, driver: Driver) -> None:
        """The new size is listed; asking for it again is no error."""
        able = self.needs(driver, ExtendsShares)
        share = self.create(driver, "projects")
        for _ in range(2):
            able.extend_share(ref(share), 2 * GIB)
        assert self.listed(driver, share).size_bytes == 2 * GIB

    def test_extend_never_makes_smaller(self, driver: Driver) -> None:
        """A share that has more room than is asked for keeps it, whatever its reference says, and the answer is its size."""
        able = self.needs(driver, ExtendsShares)
        share = self.create(driver, "projects")
        assert able.extend_share(ref(share), 4 * GIB) is None
        assert able.extend_share(ref(share), 2 * GIB) == 4 * GIB
        assert self.listed(driver, share).size_bytes == 4 * GIB

    def test_shrink_never_makes_larger(self, driver: Driver) -> None:
        """A share that is smaller than is asked for stays so, and the answer is its size."""
        able = self.needs(driver, ShrinksShares)
        share = self.create(driver, "projects")
        assert able.shrink_share(ref(share), GIB // 2) is None
        assert able.shrink_share(ref(share), GIB) == GIB // 2
        assert self.listed(driver, share).size_bytes == GIB // 2

    def test_extends_that_race_leave_the_largest_size(self, driver: Driver) -> None:
        """Whichever comes last, none takes back the room that another has made."""
        able = self.needs(driver, ExtendsShares)
        share = self.create(driver, "projects")
        sizes = [number * GIB for number in range(2, 8)]
        with ThreadPoolExecutor(len(sizes)) as threads:
            for done in [threads.submit(able.extend_share, ref(share), size) for size in sizes]:
                done.result()
        assert self.listed(driver, share).size_bytes == max(sizes)

    def test_shrink_records_the_size_and_keeps_what_is_used(self, driver: Driver) -> None:
        """An empty share can be made smaller; asking for it again is no error."""
        able = self.needs(driver, ShrinksShares)
        share = self.create(driver, "projects")
        for _ in range(2):
            able.shrink_share(ref(share), GIB // 2)
        assert self.listed(driver, share).size_bytes == GIB // 2

    def test_resizing_a_share_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """The engine must learn that the share is gone."""
        able = self.needs(driver, ExtendsShares)
        with pytest.raises(NotFoundError):
            able.extend_share(ShareRef(new_id(), "x", "x", driver.pools()[0].name, self.protocol, GIB), 2 * GIB)

    def test_usage_of_a_share_is_measured(self, driver: Driver) -> None:
        """It is a number of bytes; for a share that is not there, not found."""
        able = self.needs(driver, MeasuresUsage)
        share = self.create(driver, "projects")
        assert able.used_bytes(ref(share)) >= 0
        driver.delete_share(ref(share))
        with pytest.raises(NotFoundError):
            able.used_bytes(ref(share))

    # Snapshots

    def test_a_snapshot_is_listed_as_create_returned_it(self, driver: Driver) -> None:
        """Taken twice under one id it is one snapshot."""
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        resource_id = new_id()
        snapshot = able.create_snapshot(ref(share), resource_id, "monday")
        assert isinstance(snapshot, ObservedSnapshot)
        assert (snapshot.resource_id, snapshot.name) == (resource_id, "monday")
        assert snapshot.share_backend_id == share.backend_id
        assert able.create_snapshot(ref(share), resource_id, "monday") == snapshot
        assert list(able.list_snapshots()) == [snapshot]
        assert list(able.list_snapshots([resource_id])) == [snapshot]
        assert list(able.list_snapshots([new_id()])) == []

    def test_a_snapshot_is_no_share(self, driver: Driver) -> None:
        """Listing shares does not show it."""
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        able.create_snapshot(ref(share), new_id(), "monday")
        assert list(driver.list_shares()) == [share]

    def test_a_deleted_snapshot_is_gone_and_twice_is_no_error(self, driver: Driver) -> None:
        """Deletion ends with the snapshot gone, however often it is asked for."""
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        snapshot = able.create_snapshot(ref(share), new_id(), "monday")
        for _ in range(2):
            able.delete_snapshot(snapshot_ref(snapshot, share))
        assert list(able.list_snapshots()) == []

    def test_a_snapshot_of_a_share_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """The engine must learn that the share is gone."""
        able = self.needs(driver, SnapshotsShares)
        gone = ShareRef(new_id(), "x", "x", driver.pools()[0].name, self.protocol, GIB)
        with pytest.raises(NotFoundError):
            able.create_snapshot(gone, new_id(), "monday")

    def test_a_clone_has_the_content_of_its_snapshot_and_diverges(self, driver: Driver) -> None:
        """What is written afterwards to one is not seen in the other."""
        self.needs(driver, ClonesSnapshots)
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        self.write_content(driver, share, "old")
        snapshot = able.create_snapshot(ref(share), new_id(), "monday")
        self.write_content(driver, share, "new")
        request = self.request(driver, "clone", snapshot_ref(snapshot, share))
        clone = driver.create_share(request)
        assert driver.create_share(request) == clone
        assert self.read_content(driver, clone) == "old"
        self.write_content(driver, clone, "own")
        assert self.read_content(driver, share) == "new"
        assert self.read_content(driver, clone) == "own"

    def test_a_clone_is_not_smaller_than_the_share_that_its_snapshot_is_of(self, driver: Driver) -> None:
        """It is refused, and nothing is made."""
        self.needs(driver, ClonesSnapshots)
        able = self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        snapshot = able.create_snapshot(ref(share), new_id(), "monday")
        request = self.request(driver, "clone", snapshot_ref(snapshot, share))
        with pytest.raises(DriverError, match="monday"):
            driver.create_share(replace(request, size_bytes=GIB // 2))
        assert list(driver.list_shares()) == [share]

    def test_a_clone_of_a_snapshot_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """And nothing is made."""
        self.needs(driver, ClonesSnapshots)
        gone = SnapshotRef(new_id(), "x", "x", new_id(), "x")
        with pytest.raises(NotFoundError):
            driver.create_share(self.request(driver, "clone", gone))
        assert list(driver.list_shares()) == []

    def test_clones_say_how_far_they_reach(self, driver: Driver) -> None:
        """Within the pool or within the backend."""
        assert self.needs(driver, ClonesSnapshots).clones_within in {"pool", "backend"}

    def test_revert_brings_the_content_back_and_keeps_access(self, driver: Driver) -> None:
        """As often as it is asked for."""
        able, snapshots = self.needs(driver, RevertsShares), self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        self.set_access(driver, share, self.rules)
        self.write_content(driver, share, "old")
        snapshot = snapshots.create_snapshot(ref(share), new_id(), "monday")
        self.write_content(driver, share, "new")
        for _ in range(2):
            able.revert_share(ref(share), snapshot_ref(snapshot, share))
            assert self.read_content(driver, share) == "old"
        assert self.access_of(driver, share) == set(self.rules)

    def test_revert_keeps_the_size(self, driver: Driver) -> None:
        """That of the snapshot is older."""
        able, snapshots = self.needs(driver, RevertsShares), self.needs(driver, SnapshotsShares)
        share = self.create(driver, "projects")
        snapshot = snapshots.create_snapshot(ref(share), new_id(), "monday")
        self.needs(driver, ExtendsShares).extend_share(ref(share), 2 * GIB)
        extended = self.listed(driver, share)
        able.revert_share(ref(extended), snapshot_ref(snapshot, share))
        assert self.listed(driver, share) == extended

    def test_revert_to_a_snapshot_that_is_not_there_is_not_found(self, driver: Driver) -> None:
        """And the share stays as it is."""
        able = self.needs(driver, RevertsShares)
        share = self.create(driver, "projects")
        with pytest.raises(NotFoundError):
            able.revert_share(ref(share), SnapshotRef(new_id(), "x", "x", str(share.resource_id), share.backend_id))
        assert list(driver.list_shares()) == [share]

    # Trash and adoption

    def test_trash_withdraws_access_and_restore_brings_the_content_back(self, driver: Driver) -> None:
        """In the trash a share is listed with the time and without access; each call may be repeated."""
        able = self.needs(driver, TrashesShares)
        share = self.create(driver, "projects")
        self.set_access(driver, share, self.rules)
        for _ in range(2):
            able.trash_share(ref(share))
        trashed = self.listed(driver, share)
        assert trashed.trashed_at is not None
        assert trashed.access == ()
        for _ in range(2):
            restored = able.restore_share(str(share.resource_id))
        assert restored.trashed_at is None
        assert restored.access == ()
        assert list(driver.list_shares()) == [restored]

    def test_the_content_survives_the_trash(self, driver: Driver) -> None:
        """Nothing is lost on the way."""
        able = self.needs(driver, TrashesShares)
        share = self.create(driver, "projects")
        self.write_content(driver, share, "kept")
        able.trash_share(ref(share))
        assert self.read_content(driver, able.restore_share(str(share.resource_id))) == "kept"

    def test_a_share_in_the_trash_can_be_deleted(self, driver: Driver) -> None:
        """Then it is gone for good."""
        able = self.needs(driver, TrashesShares)
        share = self.create(driver, "projects")
        able.trash_share(ref(share))
        driver.delete_share(ref(share))
        assert list(driver.list_shares()) == []
        with pytest.raises(NotFoundError):
            able.restore_share(str(share.resource_id))

    def test_what_is_not_there_cannot_be_trashed_or_restored(self, driver: Driver) -> None:
        """The engine must learn that the share is gone."""
        able = self.needs(driver, TrashesShares)
        with pytest.raises(NotFoundError):
            able.restore_share(new_id())
        with pytest.raises(NotFoundError):
            able.trash_share(ShareRef(new_id(), "x", "x", driver.pools()[0].name, self.protocol, GIB))

    def test_a_share_that_sharectl_did_not_make_is_listed_and_adopted(self, driver: Driver) -> None:
        """Adoption puts it under an id; adopting again under the same id is no error."""
        able = self.needs(driver, AdoptsShares)
        backend_id = self.make_unmanaged(driver)
        (found,) = driver.list_shares()
        assert (found.resource_id, found.backend_id, found.not_adoptable) == (None, backend_id, "")
        assert f"{found.backend_id}{found.name}".isprintable(), "names that cannot be written down are listed escaped"
        resource_id = new_id()
        for _ in range(2):
            adopted = able.adopt_share(backend_id, resource_id, 3 * GIB)
        assert (adopted.resource_id, adopted.backend_id, adopted.size_bytes) == (resource_id, backend_id, 3 * GIB)
        assert list(driver.list_shares()) == [adopted]

    def test_adoption_under_another_id_is_a_conflict(self, driver: Driver) -> None:
        """A share has one owner."""
        able = self.needs(driver, AdoptsShares)
        backend_id = self.make_unmanaged(driver)
        adopted = able.adopt_share(backend_id, new_id(), GIB)
        with pytest.raises(ConflictError):
            able.adopt_share(backend_id, new_id(), GIB)
        assert list(driver.list_shares()) == [adopted]

    def test_adopting_what_is_not_there_is_not_found(self, driver: Driver) -> None:
        """Nothing is made."""
        able = self.needs(driver, AdoptsShares)
        with pytest.raises(NotFoundError):
            able.adopt_share("no-such-share", new_id(), GIB)
        assert list(driver.list_shares()) == []

    def test_an_unmanaged_share_in_the_way_is_a_conflict(self, driver: Driver) -> None:
        """It is never taken for the new one, and nothing of it is touched."""
        self.needs(driver, AdoptsShares)
        self.make_unmanaged(driver)
        (found,) = driver.list_shares()
        request = replace(self.request(driver, found.name), pool=found.pool)
        with pytest.raises(ConflictError):
            driver.create_share(request)
        assert list(driver.list_shares()) == [found]

    def test_a_name_taken_since_the_plan_is_a_conflict(self, driver: Driver) -> None:
        """Where the request says which shares may have its name: that of another is in the way, and no other name is chosen."""
        other = self.create(driver, "projects")
        request = replace(self.request(driver, "projects"), beside=())
        with pytest.raises(ConflictError):
            driver.create_share(request)
        assert list(driver.list_shares()) == [other]
        made = driver.create_share(replace(request, beside=(other.resource_id or "",)))
        assert driver.create_share(request) == made, "a creation that is repeated finds itself"
        assert {share.resource_id for share in driver.list_shares()} == {other.resource_id, request.resource_id}

    # Many at once

    def test_many_threads_at_once(self, driver: Driver) -> None:
        """Each thread's share comes out as if it had been alone, even where all want one name."""
        barrier = threading.Barrier(self.threads)

        def life(number: int) -> ObservedShare:
            barrier.wait()
            share = self.create(driver, "wanted-by-all" if number % 2 else f"own-{number}")
            self.set_access(driver, share, self.rules)
            if number % 4 == 0:
                driver.delete_share(ref(share))
            return share

        with ThreadPoolExecutor(self.threads) as pool:
            made = list(pool.map(life, range(self.threads)))
        kept = {share.resource_id for number, share in enumerate(made) if number % 4}
        listed = driver.list_shares()
        assert {share.resource_id for share in listed} == kept
        assert len({share.backend_id for share in listed}) == len(kept)
        assert all(set(share.access) == set(self.rules) for share in listed)

    # Fences

    def test_a_driver_under_an_old_fence_changes_nothing(self, driver: Driver, make_driver: DriverMaker) -> None:
        """Once another run of the same state has raised a higher one, through whatever process; reading goes on."""
        other = make_driver()
        late, newer = self.needs(driver, RefusesOldFences), self.needs(other, RefusesOldFences)
        late.raise_fence("one state", 1)
        share = self.create(driver, "kept")
        calls = list(self._changes(driver, share))
        newer.raise_fence("one state", 2)
        newer.raise_fence("one state", 2)
        for call in calls:
            with pytest.raises(FencedError):
                call()
        assert list(driver.list_shares()) == [share]
        other.delete_share(ref(share))
        assert list(driver.list_shares()) == []
        other.close()

    def _changes(self, driver: Driver, share: ObservedShare) -> Iterator[Callable[[], object]]:
        """Yield calls that would change something."""
        request, known, rules = self.request(driver, "fresh"), ref(share), self.rules[:1]
        yield lambda: driver.create_share(request)
        yield lambda: driver.update_access(known, rules, rules, [])
        yield lambda: driver.update_access(known, rules, [], [])
        if isinstance(driver, ExtendsShares):
            yield lambda: driver.extend_share(known, 2 * GIB)
        if isinstance(driver, SnapshotsShares):
            yield lambda: driver.create_snapshot(known, new_id(), "late")
        if isinstance(driver, TrashesShares):
            yield lambda: driver.trash_share(known)
        yield lambda: driver.delete_share(known)

    def test_an_old_fence_cannot_be_raised_any_more(self, driver: Driver, make_driver: DriverMaker) -> None:
        """A run that opens the backend late is told so at once."""
        other = make_driver()
        self.needs(other, RefusesOldFences).raise_fence("one state", 2)
        with pytest.raises(FencedError):
            self.needs(driver, RefusesOldFences).raise_fence("one state", 1)
        other.close()

    def test_a_fence_is_remembered_from_before_the_backend_was_prepared(self, make_driver: DriverMaker) -> None:
        """Preparing is a change as any other."""
        first, late = make_driver(), make_driver()
        self.needs(late, RefusesOldFences).raise_fence("one state", 1)
        self.needs(first, RefusesOldFences).raise_fence("one state", 2)
        first.prepare()
        with pytest.raises(FencedError):
            late.prepare()
        first.close()
        late.close()

    def test_fences_of_other_states_do_not_matter(self, driver: Driver, make_driver: DriverMaker) -> None:
        """Two states may share a backend."""
        other = make_driver()
        self.needs(driver, RefusesOldFences).raise_fence("one state", 7)
        self.needs(other, RefusesOldFences).raise_fence("another state", 1)
        share = self.create(other, "mine")
        driver.delete_share(ref(share))
        assert list(other.list_shares()) == []
        other.close()

    # What the tests are made of

    def needs(self, driver: Driver, capability: type[Wanted]) -> Wanted:
        """Return the driver as one that has the capability, or skip the test."""
        if not isinstance(driver, capability):
            pytest.skip(f"the driver does not have {capability.__name__}")
        return driver

    def request(self, driver: Driver, name: str, snapshot: SnapshotRef | None = None) -> ShareRequest:
        """Return a request for a share of one GiB with a new id in the first pool."""
        return ShareRequest(new_id(), name, GIB, self.protocol, driver.pools()[0].name, snapshot=snapshot)

    def create(self, driver: Driver, name: str) -> ObservedShare:
        """Make a share."""
        return driver.create_share(self.request(driver, name))

    def set_access(self, driver: Driver, share: ObservedShare, rules: tuple[AccessRule, ...]) -> None:
        """Put the rules in force on a share that has none."""
        statuses = driver.update_access(ref(share), rules, rules, [])
        assert all(status.status == "active" for status in statuses.values())

    def listed(self, driver: Driver, share: ObservedShare) -> ObservedShare:
        """Return the share as the backend lists it now."""
        (found,) = driver.list_shares([str(share.resource_id)])
        return found

    def access_of(self, driver: Driver, share: ObservedShare) -> set[AccessRule]:
        """Return the rules in force on the share."""
        return set(self.listed(driver, share).access)


def new_id() -> str:
    """Return a resource id such as the engine makes."""
    return str(uuid.uuid4())


def ref(share: ObservedShare) -> ShareRef:
    """Return the share as the state would know it."""
    return ShareRef(
        str(share.resource_id),
        share.backend_id,
        share.name,
        share.pool,
        share.protocol or "NFS",
        share.size_bytes or GIB,
        share.share_server_id,
    )


def snapshot_ref(snapshot: ObservedSnapshot, share: ObservedShare) -> SnapshotRef:
    """Return the snapshot as the state would know it."""
    return SnapshotRef(
        str(snapshot.resource_id), snapshot.backend_id, snapshot.name, str(share.resource_id), share.backend_id
    )
