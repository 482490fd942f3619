"""The directory driver keeps to its root, notices what people do by hand, and survives being cut short."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sharectl.drivers.base import (
    BackendUnavailableError,
    ConflictError,
    DriverError,
    FencedError,
    NotFoundError,
    PoolError,
    ShareInUseError,
    TransientError,
)
from sharectl.drivers.directory import access, files, trees
from sharectl.drivers.directory.records import RecordFolder, ShareRecord
from sharectl.drivers.testing import new_id, ref, snapshot_ref
from sharectl.model.access import AccessRule
from tests.media import fill_up, medium

from .opening import FullDriver, names_in, new_request, open_driver

RULES = (AccessRule("ip", "10.0.0.0/8", "rw"), AccessRule("ip", "192.0.2.1", "ro"))
USERS = (AccessRule("user", "CORP\\alice", "rw"),)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return where the backend is."""
    return tmp_path / "root"


@pytest.fixture
def driver(tmp_path: Path, root: Path) -> FullDriver:
    """Give a prepared driver with one pool."""
    driver = open_driver("directory", {"root": str(root), "exportHost": "nas", "exportPath": "/shares"}, tmp_path)
    driver.prepare()
    return driver


@pytest.fixture
def two_pools(tmp_path: Path) -> FullDriver:
    """Give a prepared driver with two pools, one of them outside the root."""
    config = {"root": "root", "pools": {"fast": "fast", "slow": str(tmp_path / "slow")}, "exportHost": "2001:db8::1"}
    driver = open_driver("directory", config, tmp_path)
    driver.prepare()
    return driver


def leftovers(root: Path) -> list[str]:
    """Return what is in the workspaces."""
    return names_in(root / ".sharectl" / "work")


# Configuration


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "does not meet the schema"),
        ({"root": 3}, "does not meet the schema"),
        ({"root": "a\0b"}, "NUL"),
        ({"root": "a", "exportPath": "/a\nb"}, "line break"),
        ({"root": "r", "shareMode": "9"}, "shareMode|invalid literal"),
        ({"root": "r", "pools": {"a": ".", "b": "b"}}, "inside the pool"),
        ({"root": "r", "pools": {"a": "x", "b": "x"}}, "inside the pool"),
        ({"root": "r", "pools": {"../a": "x"}}, "not a name for a pool"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    """Before anything is touched."""
    with pytest.raises(DriverError, match=reason):
        open_driver("directory", config, tmp_path)
    assert names_in(tmp_path) == []


def test_export_locations_are_as_clients_see_them(driver: FullDriver) -> None:
    """With the configured host and path."""
    assert driver.create_share(new_request("a")).export_locations == ("nas:/shares/a",)
    assert driver.create_share(new_request("b", protocol="CIFS")).export_locations == ("\\\\nas\\b",)


def test_an_export_location_has_its_ipv6_host_in_brackets(two_pools: FullDriver, tmp_path: Path) -> None:
    """A pool outside the root is exported under its own path."""
    (location,) = two_pools.create_share(new_request("a", "slow")).export_locations
    assert location == f"[2001:db8::1]:{tmp_path}/slow/a"


def test_a_new_share_has_the_configured_mode(tmp_path: Path) -> None:
    """Whatever the umask is."""
    driver = open_driver("directory", {"root": "r", "shareMode": "2775"}, tmp_path)
    driver.prepare()
    driver.create_share(new_request("a"))
    assert (tmp_path / "r" / "a").stat().st_mode & 0o7777 == 0o2775


def test_another_protocol_is_refused(driver: FullDriver) -> None:
    """Nothing is made."""
    with pytest.raises(DriverError, match="NFS and CIFS"):
        driver.create_share(new_request("a", protocol="HDFS"))
    assert driver.list_shares() == []


def test_a_hostile_resource_id_names_no_file(driver: FullDriver, root: Path) -> None:
    """It is refused by every call."""
    with pytest.raises(DriverError, match="resource id"):
        driver.create_share(new_request("a", resource_id="../../x"))
    with pytest.raises(DriverError, match="resource id"):
        driver.list_shares(["a/b"])
    assert driver.list_shares() == []


# Preparation, markers and mounts


def test_nothing_is_made_before_prepare(tmp_path: Path) -> None:
    """Reports, pools and lists work; what changes something is refused."""
    driver = open_driver("directory", {"root": "a/b"}, tmp_path)
    assert driver.report().identity is None
    assert driver.list_shares() == []
    assert driver.list_shares([new_id()]) == []
    assert driver.list_snapshots() == []
    (pool,) = driver.pools()
    assert pool.total_bytes > 0
    with pytest.raises(BackendUnavailableError, match="mounted"):
        driver.create_share(new_request("a"))
    assert names_in(tmp_path) == []


def test_a_folder_that_is_there_already_lists_what_can_be_imported(tmp_path: Path) -> None:
    """Before it is prepared, and afterwards; hidden folders, files and links are no shares."""
    (tmp_path / "r" / "legacy").mkdir(parents=True)
    (tmp_path / "r" / ".hidden").mkdir()
    (tmp_path / "r" / "lost+found").mkdir()
    (tmp_path / "r" / "file").touch()
    (tmp_path / "r" / "link").symlink_to("/etc")
    (tmp_path / "r" / os.fsdecode(b"bad\xff")).mkdir()
    driver = open_driver("directory", {"root": "r"}, tmp_path)
    before = {share.name for share in driver.list_shares()}
    driver.prepare()
    assert before == {share.name for share in driver.list_shares()} == {"legacy", "bad\\xff"}
    with pytest.raises(NotFoundError):
        driver.adopt_share("bad\\xff", new_id(), 1)


def test_an_unmounted_pool_makes_the_backend_unavailable_and_its_capacity_zero(
    two_pools: FullDriver, tmp_path: Path
) -> None:
    """Its shares are unknown, not gone, and nothing is placed or made there."""
    share = two_pools.create_share(new_request("a", "slow"))
    (tmp_path / "slow").rename(tmp_path / "away")
    (tmp_path / "slow").mkdir()
    with pytest.raises(BackendUnavailableError, match="mounted"):
        two_pools.list_shares()
    assert {pool.name: pool.total_bytes > 0 for pool in two_pools.pools()} == {"fast": True, "slow": False}
    with pytest.raises(BackendUnavailableError):
        two_pools.create_share(new_request("b", "slow"))
    with pytest.raises(BackendUnavailableError):
        two_pools.delete_share(ref(share))
    assert names_in(tmp_path / "slow") == []


def test_a_closed_folder_above_a_pool_is_reported_where_samba_serves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samba enters as each user; the folder is named, with what opens it. An NFS server enters as root."""
    monkeypatch.setattr(access, "SMB_CONF", tmp_path / "smb.conf")
    (tmp_path / "smb.conf").write_text(f"include = {tmp_path}/above/root/.sharectl/smb.conf", encoding="utf-8")
    driver = open_driver("directory", {"root": "above/root"}, tmp_path)
    driver.prepare()
    nfs, smb = (driver.create_share(new_request(name, protocol=name)) for name in ("NFS", "CIFS"))
    rule, user = AccessRule("ip", "10.0.0.0/8", "rw"), AccessRule("user", "alice", "rw")
    driver.update_access(ref(nfs), [rule], [rule], [])
    assert driver.report().hindrances == ()
    driver.update_access(ref(smb), [user], [user], [])
    (tmp_path / "above").chmod(0o700)
    closed = {folder for folder in (tmp_path / "above", *tmp_path.parents) if not folder.stat().st_mode & 0o001}
    (found,) = driver.report().hindrances
    named = min(closed, key=lambda folder: len(folder.parts))
    assert f"the folder {named} is closed to all but its owner and group" in found.summary
    assert f"chmod o+x {named}" in found.remedy


def test_a_pool_added_to_the_configuration_is_prepared_by_its_first_share(tmp_path: Path) -> None:
    """And one taken away that has been in use makes the backend unavailable."""
    one = {"root": "r", "pools": {"a": "a"}}
    two = {"root": "r", "pools": {"a": "a", "b": "b"}}
    open_driver("directory", one, tmp_path).prepare()
    driver = open_driver("directory", two, tmp_path)
    assert [pool.total_bytes > 0 for pool in driver.pools()] == [True, True]
    share = driver.create_share(new_request("x", "b"))
    assert driver.list_shares() == [share]
    with pytest.raises(BackendUnavailableError, match="not in its configuration"):
        open_driver("directory", one, tmp_path).list_shares()


def test_the_pool_of_another_backend_is_not_taken(tmp_path: Path) -> None:
    """Two backends cannot own one folder."""
    open_driver("directory", {"root": "r1", "pools": {"a": str(tmp_path / "x")}}, tmp_path).prepare()
    with pytest.raises(PoolError, match="another backend"):
        open_driver("directory", {"root": "r2", "pools": {"a": str(tmp_path / "x")}}, tmp_path).prepare()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ('{"identity": 1}', "damaged"),
        ("{", "damaged"),
        ('{"identity": "x", "format": 2}', "newer"),
    ],
)
def test_a_damaged_marker_stops_everything(driver: FullDriver, root: Path, content: str, reason: str) -> None:
    """Nothing is taken for gone, and nothing is written."""
    (root / ".sharectl" / "backend.json").write_text(content)
    for call in (driver.report, driver.list_shares, driver.prepare, driver.pools):
        with pytest.raises(BackendUnavailableError, match=reason):
            call()


def test_a_damaged_record_makes_the_listing_fail(driver: FullDriver, root: Path) -> None:
    """It is named."""
    share = driver.create_share(new_request("a"))
    record = root / ".sharectl" / "shares" / f"{share.resource_id}.json"
    for content in ("{", '{"colour": "red"}', "[]"):
        record.write_text(content)
        with pytest.raises(BackendUnavailableError, match=record.name):
            driver.list_shares()
    record.write_bytes(bytes(1 << 20))
    with pytest.raises(BackendUnavailableError, match="too large"):
        driver.list_shares()


def test_metadata_behind_a_link_is_refused(driver: FullDriver, root: Path, tmp_path: Path) -> None:
    """The driver's own folder is never reached through a link."""
    (root / ".sharectl").rename(tmp_path / "elsewhere")
    (root / ".sharectl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BackendUnavailableError):
        driver.list_shares()
    with pytest.raises(DriverError):
        driver.create_share(new_request("a"))


# Names


def test_names_are_unique_without_regard_to_case(driver: FullDriver) -> None:
    """Windows clients could not tell them apart."""
    one, other = new_request("Data"), new_request("data")
    assert driver.create_share(one).backend_id == "Data"
    assert driver.create_share(other).backend_id == f"data-{other.resource_id[:8]}"


def test_a_name_that_is_taken_twice_over_is_a_conflict(driver: FullDriver) -> None:
    """Ids that start alike are not the engine's."""
    for number in range(2):
        driver.create_share(new_request("a", resource_id=f"same-start-{number}"))
    with pytest.raises(ConflictError, match="both"):
        driver.create_share(new_request("a", resource_id="same-start-2"))


def test_the_name_of_a_share_removed_by_hand_is_free(driver: FullDriver, root: Path) -> None:
    """A new share gets it, and the old one does not come back with it."""
    old = driver.create_share(new_request("a", protocol="CIFS"))
    driver.update_access(ref(old), USERS, USERS, [])
    (root / "a").rmdir()
    assert driver.list_shares() == []
    new = driver.create_share(new_request("a"))
    assert new.backend_id == "a"
    assert driver.list_shares() == [new]


def test_a_name_whose_holder_left_no_record_is_free(driver: FullDriver, root: Path) -> None:
    """The index of names only speeds up what the records say."""
    share = driver.create_share(new_request("a"))
    (root / "a").rmdir()
    (root / ".sharectl" / "shares" / f"{share.resource_id}.json").unlink()
    assert driver.create_share(new_request("a")).backend_id == "a"


def test_a_name_is_not_taken_while_its_share_is_being_made(driver: FullDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its name and its directory a share holds its workspace."""
    write = RecordFolder.write
    others: list[str] = []

    def meanwhile(folder: RecordFolder[ShareRecord], record: ShareRecord, *, guard: files.Guard = nullcontext) -> None:
        write(folder, record, guard=guard)
        if not others:
            others.append("being made")
            others.append(driver.create_share(new_request("a")).backend_id)

    monkeypatch.setattr(RecordFolder, "write", meanwhile)
    assert driver.create_share(new_request("a")).backend_id == "a"
    assert others[1].startswith("a-")


def test_the_name_of_a_share_in_a_pool_that_is_not_configured_is_kept(tmp_path: Path) -> None:
    """It may come back."""
    both = open_driver("directory", {"root": "r", "pools": {"a": "a", "b": "b"}}, tmp_path)
    both.prepare()
    both.create_share(new_request("x", "b"))
    one = open_driver("directory", {"root": "r", "pools": {"a": "a"}}, tmp_path)
    assert one.create_share(new_request("x", "a")).name == "x"
    assert {share.backend_id.partition("-")[0] for share in both.list_shares()} == {"a/x", "b/x"}


def test_a_share_goes_to_the_next_pool_after_a_failure(
    two_pools: FullDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first pool has of it is given up."""
    request = new_request("a", "fast")
    with monkeypatch.context() as patched:
        patched.setattr(files, "rename_to_free", raise_no_space)
        with pytest.raises(PoolError, match="No space"):
            two_pools.create_share(request)
    share = two_pools.create_share(replace(request, pool="slow"))
    assert (share.pool, share.backend_id) == ("slow", "slow/a")
    assert two_pools.list_shares() == [share]
    assert two_pools.create_share(new_request("a", "fast")).pool == "fast"


def raise_no_space(*_: object, **__: object) -> None:
    """Fail as a full file system does."""
    raise OSError(28, os.strerror(28))


@pytest.mark.parametrize(
    ("code", "error"), [(5, BackendUnavailableError), (11, TransientError), (28, PoolError), (13, DriverError)]
)
def test_errors_of_the_system_are_errors_of_the_contract(code: int, error: type[DriverError]) -> None:
    """By what they mean for the caller."""
    assert type(files.error_from(OSError(code, os.strerror(code), "x"), "it failed")) is error


# Access


@pytest.mark.parametrize("protocol", ["NFS", "CIFS"])
def test_on_a_full_disk_who_is_to_go_is_out(driver: FullDriver, protocol: str) -> None:
    """A fragment that lets in more than it is to is removed, which needs no space; one that lets in no more stays."""
    kind, names = ("ip", ("10.0.0.1", "10.0.0.2")) if protocol == "NFS" else ("user", ("alice", "bob"))
    rules = [AccessRule(kind, name, "rw") for name in names]
    share = driver.create_share(new_request("n", protocol=protocol))
    driver.update_access(ref(share), rules[:1], rules[:1], [])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files, "write_durably", raise_no_space)
        with pytest.raises(DriverError, match="No space"):
            driver.update_access(ref(share), rules, rules[1:], [])
        assert set(driver.list_shares()[0].access) == set(rules[:1])
        with pytest.raises(DriverError, match="No space"):
            driver.update_access(ref(share), rules[1:], rules[1:], rules[:1])
    assert driver.list_shares()[0].access == ()


def test_a_run_that_begins_on_a_full_disk_closes_and_deletes(tmp_path: Path) -> None:
    """The fence of the run needs no space where an earlier run has raised one; a deletion makes room."""
    with medium(tmp_path / "full", 512) as root:
        first = open_driver("directory", {"root": str(root), "exportHost": "nas"}, tmp_path)
        first.prepare()
        first.raise_fence("state", 99)
        shares = [first.create_share(new_request(name)) for name in ("a", "b")]
        rules = [AccessRule("ip", "10.0.0.1", "rw"), AccessRule("ip", "10.0.0.2", "rw")]
        first.update_access(ref(shares[0]), rules, rules, [])
        fill_up(root / "a" / "fills")
        later = open_driver("directory", {"root": str(root), "exportHost": "nas"}, tmp_path)
        later.raise_fence("state", 1000)
        with pytest.raises(DriverError, match="No space"):
            later.update_access(ref(shares[0]), rules[1:], [], rules[:1])
        assert {share.name: share.access for share in later.list_shares()} == {"a": (), "b": ()}
        with pytest.raises(FencedError):
            first.update_access(ref(shares[0]), rules, rules, [])
        later.delete_share(ref(shares[0]))
        assert [share.name for share in later.list_shares()] == ["b"]


def test_fragments_of_other_protocols_than_the_share_s_are_never_there(driver: FullDriver, root: Path) -> None:
    """NFS shares have exports, Windows shares sections, included from one file."""
    nfs, cifs = driver.create_share(new_request("n")), driver.create_share(new_request("w", protocol="CIFS"))
    driver.update_access(ref(nfs), RULES, RULES, [])
    driver.update_access(ref(cifs), USERS, USERS, [])
    private = root / ".sharectl"
    assert names_in(private / "exports.d") == [f"{nfs.resource_id}.exports"]
    assert names_in(private / "smb.d") == [f"{cifs.resource_id}.conf"]
    assert f"include = {private}/smb.d/{cifs.resource_id}.conf\n" in (private / "smb.conf").read_text()
    driver.update_access(ref(cifs), [], [], USERS)
    assert "include" not in (private / "smb.conf").read_text().replace("included", "")
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("change", ["remove", "edit", "binary", "uninclude"])
@pytest.mark.parametrize("protocol", ["NFS", "CIFS"])
def test_access_changed_by_hand_is_seen_and_repaired(
    driver: FullDriver, root: Path, protocol: str, change: str
) -> None:
    """The fragment is what counts, not what the driver remembers."""
    rules = RULES if protocol == "NFS" else USERS
    share = driver.create_share(new_request("a", protocol=protocol))
    driver.update_access(ref(share), rules, rules, [])
    folder = "exports.d" if protocol == "NFS" else "smb.d"
    (fragment,) = (root / ".sharectl" / folder).iterdir()
    if change == "remove":
        fragment.unlink()
    elif change == "edit":
        fragment.write_text(fragment.read_text().replace("rw,", "ro,").replace("guest ok = no", "guest ok = yes"))
    elif change == "binary":
        fragment.write_bytes(b"\xff\xfe\n")
    elif protocol == "CIFS":
        (root / ".sharectl" / "smb.conf").unlink()
    else:
        pytest.skip("the NFS server needs no include")
    assert set(driver.list_shares()[0].access) != set(rules)
    driver.update_access(ref(share), rules, [], [])
    assert set(driver.list_shares()[0].access) == set(rules)


def test_a_rule_that_the_grammar_cannot_say_is_an_error_and_not_written(driver: FullDriver, root: Path) -> None:
    """The others are in force."""
    share = driver.create_share(new_request("a"))
    statuses = driver.update_access(ref(share), (*RULES, *USERS), RULES, [])
    assert [statuses[rule].status for rule in (*RULES, *USERS)] == ["active", "active", "error"]
    assert set(driver.list_shares()[0].access) == set(RULES)


def test_an_adopted_share_gets_the_protocol_of_its_first_rules(driver: FullDriver, root: Path) -> None:
    """One whose name Samba cannot say keeps its data, and its rules are errors."""
    (root / "100%").mkdir()
    adopted = driver.adopt_share("100%", new_id(), 5)
    assert adopted.protocol is None
    assert adopted.export_locations == ()
    statuses = driver.update_access(replace(ref(adopted), protocol="CIFS"), USERS, USERS, [])
    assert statuses[USERS[0]].status == "error"
    assert driver.list_shares()[0].protocol == "CIFS"
    assert driver.list_shares()[0].access == ()


# Size


def test_a_share_is_not_shrunk_below_its_use(driver: FullDriver, root: Path) -> None:
    """Nothing is ever cut off."""
    share = driver.create_share(new_request("a"))
    (root / "a" / "data").write_bytes(os.urandom(3 << 20))
    os.sync()
    assert driver.used_bytes(ref(share)) >= 3 << 20
    with pytest.raises(ShareInUseError, match="MiB"):
        driver.shrink_share(ref(share), 1 << 20)
    driver.shrink_share(ref(share), 16 << 20)
    (pool,) = driver.pools()
    assert pool.allocated_bytes == 16 << 20


# Adoption


def test_adoption_keeps_samba_names_apart(two_pools: FullDriver, tmp_path: Path) -> None:
    """Directories of one name in two pools are two shares for Windows clients too."""
    ids = [new_id(), new_id()]
    for pool, resource_id in zip(("root/fast", "slow"), ids, strict=True):
        (tmp_path / pool / "home").mkdir()
        two_pools.adopt_share(f"{Path(pool).name}/home", resource_id, 5)
    with pytest.raises(ConflictError):
        two_pools.adopt_share("slow/home", ids[0], 5)
    for share in two_pools.list_shares():
        two_pools.update_access(replace(ref(share), protocol="CIFS"), USERS, USERS, [])
    locations = {share.export_locations[0].rpartition("\\")[2] for share in two_pools.list_shares()}
    assert locations == {"home", f"home-{ids[1][:8]}"}


# Confinement


def test_a_share_replaced_by_a_link_is_gone_and_its_deletion_touches_nothing(
    driver: FullDriver, root: Path, tmp_path: Path
) -> None:
    """What the link points to stays, and a new share of the name is a conflict."""
    canary = tmp_path / "outside" / "canary"
    canary.parent.mkdir()
    canary.touch()
    share = driver.create_share(new_request("a"))
    (root / "a").rmdir()
    (root / "a").symlink_to(canary.parent)
    assert driver.list_shares() == []
    with pytest.raises(NotFoundError):
        driver.used_bytes(ref(share))
    with pytest.raises(ConflictError):
        driver.create_share(new_request("a"))
    driver.delete_share(ref(share))
    assert canary.exists()
    assert (root / "a").is_symlink()


def test_swapping_links_while_deleting_never_reaches_outside(driver: FullDriver, root: Path, tmp_path: Path) -> None:
    """A user who swaps directories for links as fast as possible gains nothing."""
    outside = tmp_path / "outside"
    outside.mkdir()
    canaries = [outside / f"canary-{number}" for number in range(50)]
    for canary in canaries:
        canary.touch()
    done = threading.Event()
    swapper = threading.Thread(target=swap_for_links, args=(root, outside, done))
    swapper.start()
    try:
        for _ in range(30):
            # The swapper may hinder, it may not harm.
            with suppress(DriverError, OSError):
                share = driver.create_share(new_request("a"))
                for number in range(20):
                    (root / "a" / "victim" / str(number)).mkdir(parents=True, exist_ok=True)
                driver.delete_share(ref(share))
            for path in root.glob("a*"):
                path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)
    finally:
        done.set()
        swapper.join()
    assert all(canary.exists() for canary in canaries)


def swap_for_links(root: Path, outside: Path, done: threading.Event) -> None:
    """Replace the share and what is in it by links to the outside, wherever they are, again and again."""
    while not done.is_set():
        tops = [root / "a"]
        with suppress(OSError):  # work ends while it is listed
            tops += (root / ".sharectl" / "work").glob("*/*")
        for top in tops:
            for target in (top / "victim", top):
                with suppress(OSError):
                    target.rename(f"{target}.swapped")
                    target.symlink_to(outside)


def test_something_that_appears_at_the_last_instant_is_a_conflict(
    driver: FullDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not replaced, even if it is an empty directory."""
    rename = files.rename_to_free

    def late(name: str, from_fd: int, new_name: str, to_fd: int) -> None:
        (root / new_name).mkdir()
        rename(name, from_fd, new_name, to_fd)

    request = new_request("a")
    with monkeypatch.context() as patched:
        patched.setattr(files, "rename_to_free", late)
        with pytest.raises(ConflictError, match="appeared"):
            driver.create_share(request)
    assert [share.resource_id for share in driver.list_shares()] == [None]
    (root / "a").rmdir()
    assert driver.create_share(request).backend_id == "a"


# File systems without renameat2


@pytest.fixture
def old_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse the flags of renameat2, as NFS does."""
    monkeypatch.setattr(files, "_rename_with", lambda *_: 22)


def test_a_file_system_without_exclusive_rename_still_refuses_what_is_in_the_way(
    old_file_system: None,
    driver: FullDriver,
    root: Path,
) -> None:
    """By looking first."""
    assert driver.create_share(new_request("a")).backend_id == "a"
    with opened(root) as descriptor:
        (root / "b").mkdir()
        with pytest.raises(FileExistsError):
            files.rename_to_free("a", descriptor, "b", descriptor)


def opened(path: Path) -> Any:  # noqa: ANN401 - a context manager
    """Open a directory."""
    return files.opened_directory(str(path))


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_revert_in_two_steps_loses_nothing_when_cut_short(
    old_file_system: None,
    driver: FullDriver,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    cut: int,
) -> None:
    """After each of its renames the share is there: with the newer data, or with the old."""
    share = driver.create_share(new_request("a"))
    (root / "a" / "file").write_text("old")
    snapshot = driver.create_snapshot(ref(share), new_id(), "s")
    (root / "a" / "file").write_text("new")
    renames = iter(range(1, 10))
    real = os.rename

    def rename(*arguments: Any, **others: Any) -> None:  # noqa: ANN401 - those of os.rename
        if next(renames) == cut:
            raise OSError(5, os.strerror(5))
        real(*arguments, **others)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", rename)
        with pytest.raises(BackendUnavailableError):
            driver.revert_share(ref(share), snapshot_ref(snapshot, share))
    assert [entry.resource_id for entry in driver.list_shares()] == [share.resource_id]
    driver.used_bytes(ref(share))
    assert (root / "a" / "file").read_text() == ("old" if cut == 3 else "new")
    driver.revert_share(ref(share), snapshot_ref(snapshot, share))
    assert (root / "a" / "file").read_text() == "old"
    assert names_in(root / ".sharectl" / "displaced") == []
    driver.delete_share(ref(share))
    assert driver.list_shares() == []


# Cut short at any point: every durable change is a rename, a link, a removal or a new folder


def life(driver: FullDriver, root: Path, ids: list[str]) -> None:
    """Go through everything that a share can meet; each call may be a repetition."""
    if any(share.trashed_at for share in driver.list_shares()):
        driver.restore_share(ids[2])
    share = driver.create_share(new_request("a", resource_id=ids[0]))
    (root / "a" / "d").mkdir(exist_ok=True)
    (root / "a" / "d" / "file").write_text("x")
    driver.update_access(ref(share), RULES, RULES, [])
    snapshot = driver.create_snapshot(ref(share), ids[1], "s")
    clone = driver.create_share(new_request("clone", resource_id=ids[2], snapshot=snapshot_ref(snapshot, share)))
    driver.revert_share(ref(share), snapshot_ref(snapshot, share))
    driver.delete_snapshot(snapshot_ref(snapshot, share))
    driver.trash_share(ref(clone))
    driver.restore_share(ids[2])
    driver.delete_share(ref(clone))


CHANGES = ("rename", "unlink", "mkdir", "rmdir", "symlink")


class Cut(BaseException):
    """Ends a call as the death of its process would, as far as the disk is concerned."""


def test_a_call_cut_short_at_any_change_is_finished_by_its_repetition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the end there is one share with its access and data, and nothing left over."""
    point = 0
    while True:
        point += 1
        base = tmp_path / str(point)
        root = base / "root"
        ids = [f"{name}-{point}" for name in ("share", "snapshot", "clone")]
        finished = cut_at(point, base, root, ids, monkeypatch)
        again = open_driver("directory", {"root": "root"}, base)
        again.prepare()
        for share in again.list_shares():
            assert share.resource_id in ids
        life(again, root, ids)
        (share,) = again.list_shares()
        assert (share.resource_id, share.backend_id, set(share.access)) == (ids[0], "a", set(RULES))
        assert (root / "a" / "d" / "file").read_text() == "x"
        assert again.list_snapshots() == []
        assert leftovers(root) == []
        if finished:
            break
    assert point > 60


def cut_at(point: int, base: Path, root: Path, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Live until the change with this number; return whether life was over before."""
    left = iter(range(point, -1, -1))
    dead = []

    def wrap(real: Any) -> Any:  # noqa: ANN401 - a function of os
        def change(*arguments: Any, **others: Any) -> Any:  # noqa: ANN401 - whatever it takes
            if dead or next(left) == 0:
                dead.append(True)
                raise Cut
            return real(*arguments, **others)

        return change

    with monkeypatch.context() as patched:
        for name in CHANGES:
            patched.setattr(os, name, wrap(getattr(os, name)))
        patched.setattr(files, "_rename_with", wrap(files._rename_with))
        patched.setattr(os, "fsync", lambda _: None)
        driver = open_driver("directory", {"root": "root"}, base)
        try:
            driver.prepare()
            patched.setattr(Path, "mkdir", lambda path, **_: path.is_dir() or _mkdir(path))
            life(driver, root, ids)
        except Cut:
            return False
    return True


_MKDIR = os.mkdir


def _mkdir(path: Path) -> None:
    _MKDIR(path)


# Killed processes

COPIER = """
import signal, sys
from pathlib import Path
from sharectl.drivers.testing import ref, snapshot_ref
from tests.drivers.opening import new_request, open_driver
base, call = Path(sys.argv[1]), sys.argv[2]
driver = open_driver("directory", {"root": "root"}, base)
(share,) = driver.list_shares(["share"])
left = 500

def halt(event, _):
    global left
    if event in ("open", "os.remove"):
        left -= 1
        if not left:
            print("halfway", flush=True)
            signal.pause()

sys.addaudithook(halt)
if call == "snapshot":
    driver.create_snapshot(ref(share), "snapshot", "s")
else:
    driver.delete_share(ref(share))
"""
"""Halts where it has opened or removed some of the two thousand files that it is about."""


@pytest.mark.parametrize("call", ["snapshot", "delete"])
def test_a_process_killed_in_the_middle_leaves_nothing_half(tmp_path: Path, call: str) -> None:
    """The call again ends as if nothing had happened."""
    driver = open_driver("directory", {"root": "root"}, tmp_path)
    driver.prepare()
    root = tmp_path / "root"
    share = driver.create_share(new_request("a", resource_id="share"))
    for folder in range(40):
        (root / "a" / str(folder)).mkdir()
        for number in range(50):
            (root / "a" / str(folder) / str(number)).write_bytes(bytes(100))
    process = subprocess.Popen(
        [sys.executable, "-c", COPIER, str(tmp_path), call],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "halfway\n"
        work = root / ".sharectl" / "work" / ("snapshot" if call == "snapshot" else "share")
        assert any(work.iterdir())
        process.send_signal(signal.SIGKILL)
    assert driver.list_snapshots() == []
    assert [entry.resource_id for entry in driver.list_shares()] == (["share"] if call == "snapshot" else [])
    if call == "snapshot":
        driver.create_snapshot(ref(share), "snapshot", "s")
        copied = list((root / ".sharectl" / "copies" / "snapshot").glob("*/*"))
        assert len(copied) == 2000
    else:
        driver.delete_share(ref(share))
        assert names_in(root / ".sharectl" / "shares") == []
    assert leftovers(root) == []


def test_what_a_killed_process_left_is_swept_by_the_next_deletion(
    tmp_path: Path, driver: FullDriver, root: Path
) -> None:
    """Even if its own call is never repeated."""
    lost = driver.create_share(new_request("lost"))
    (root / "lost").rename(root / ".sharectl" / "work" / "x")
    (root / ".sharectl" / "work" / "x").rename(root / ".sharectl" / "work" / str(lost.resource_id))
    kept = driver.create_share(new_request("kept"))
    driver.delete_share(ref(driver.create_share(new_request("other"))))
    assert leftovers(root) == []
    assert names_in(root / ".sharectl" / "shares") == [f"{kept.resource_id}.json"]


def test_a_workspace_in_use_is_transient_for_others_and_not_swept(
    driver: FullDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that works on the same share is not disturbed."""
    share = driver.create_share(new_request("a"))
    snapshot_id = new_id()
    copy_tree = trees.copy_tree

    def interrupted(source_fd: int, target_fd: int) -> None:
        with pytest.raises(TransientError):
            driver.delete_snapshot(snapshot_ref(snapshot, share))
        driver.delete_share(ref(driver.create_share(new_request("b"))))
        copy_tree(source_fd, target_fd)

    snapshot = driver.create_snapshot(ref(share), snapshot_id, "s")
    shutil.rmtree(root / ".sharectl" / "copies" / snapshot_id)
    monkeypatch.setattr(trees, "copy_tree", interrupted)
    driver.create_snapshot(ref(share), snapshot_id, "s")
    assert len(driver.list_snapshots()) == 1


# Trash


def test_a_trashed_share_whose_name_was_taken_comes_back_under_another(driver: FullDriver, root: Path) -> None:
    """Both are there, and each is what it was."""
    old = driver.create_share(new_request("a"))
    (root / "a" / "old").touch()
    driver.trash_share(ref(old))
    new = driver.create_share(new_request("a"))
    assert new.backend_id == "a"
    restored = driver.restore_share(old.resource_id)
    assert restored.backend_id == f"a-{old.resource_id[:8]}"
    assert (root / restored.backend_id / "old").exists()
    assert len(driver.list_shares()) == 2


def test_a_share_in_the_trash_is_not_made_again(driver: FullDriver) -> None:
    """The engine is told to restore it; other calls do not find it."""
    request = new_request("a")
    share = driver.create_share(request)
    driver.trash_share(ref(share))
    with pytest.raises(DriverError, match="restore"):
        driver.create_share(request)
    with pytest.raises(NotFoundError):
        driver.used_bytes(ref(share))


def test_a_trashed_share_removed_by_hand_is_gone_even_if_its_name_lives_on(driver: FullDriver, root: Path) -> None:
    """The new owner of the name is not touched by its deletion."""
    old = driver.create_share(new_request("a"))
    driver.trash_share(ref(old))
    shutil.rmtree(root / ".sharectl" / "trash" / old.resource_id)
    new = driver.create_share(new_request("a"))
    assert driver.list_shares() == [new]
    with pytest.raises(NotFoundError, match="not in the trash"):
        driver.restore_share(old.resource_id)
    driver.delete_share(ref(old))
    assert driver.list_shares() == [new]


def test_records_hold_no_rules_and_no_secrets(driver: FullDriver, root: Path) -> None:
    """The fragment is the one place that says who may reach a share."""
    share = driver.create_share(new_request("a"))
    driver.update_access(ref(share), RULES, RULES, [])
    record = json.loads((root / ".sharectl" / "shares" / f"{share.resource_id}.json").read_text())
    assert "access" not in record


def test_two_processes_never_give_one_directory_to_two_shares(tmp_path: Path) -> None:
    """Names are given out once, whichever process asks."""
    driver = open_driver("directory", {"root": "root"}, tmp_path)
    driver.prepare()
    code = (
        "import sys; from pathlib import Path; from tests.drivers.opening import new_request, open_driver;"
        "d = open_driver('directory', {'root': 'root'}, Path(sys.argv[1]));"
        "[d.create_share(new_request(f'n{i % 5}')) for i in range(50)]"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    processes = [subprocess.Popen(command, cwd=Path(__file__).parents[2]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    shares = driver.list_shares()
    assert len({share.backend_id for share in shares}) == len(shares) == 100
    assert all(share.resource_id for share in shares)


def test_listing_costs_less_than_half_a_millisecond_a_share_even_while_it_is_traced(
    driver: FullDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh reads two small files per share."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for number in range(1000):
        share = driver.create_share(new_request(f"share-{number}"))
        driver.update_access(ref(share), RULES, RULES, [])
    seconds = []
    for _ in range(3):  # the best of three: the processor may be busy with other tests
        started = time.process_time()
        assert len(driver.list_shares()) == 1000
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.5
