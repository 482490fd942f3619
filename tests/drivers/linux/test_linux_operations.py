"""What the agent's operations promise of shares and snapshots: names, what is in the way, what others changed, what a killed call left."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import (
    BackendUnavailableError,
    ConflictError,
    DriverError,
    NotFoundError,
    PoolError,
    ShareInUseError,
)
from sharectl.drivers.linux.agent.access import Access
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.creation import Creation
from sharectl.drivers.linux.agent.rows import ShareServerRow
from sharectl.drivers.linux.agent.volumes.btrfs.place import Place
from sharectl.drivers.linux.agent.volumes.btrfs.pool import BtrfsPool
from sharectl.model.requests import ShareRef, ShareServerRef
from tests.drivers.linux.lab import mounts_under, run
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, MIB, new_id, ref, snapshot_ref
from tests.drivers.linux.test_linux_share_servers import request as server_request

if TYPE_CHECKING:
    from sharectl.drivers.linux.agent.rows import ShareRow
    from tests.drivers.linux.operations_lab import OperationsLab
    from tests.drivers.linux.tenants import Switch

HOSTILE_NAMES = ("", "..", "a/b", "new\nline", 'quote"', "per%cent", "brace}", "-rf", ".hidden", "x" * 71, "ünicode")
HOSTILE_IDS = ("", "..", "../../etc", "A" * 36, "0" * 65, "id with space", "-0")


# Names


def test_a_request_that_the_agent_does_not_know_is_refused(backend: OperationsLab) -> None:
    """As from a client of another version."""
    with pytest.raises(DriverError, match="knows no request 'format_disk'; is it of another version"):
        backend.driver._agent.call("format_disk", {})


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
def test_a_name_that_is_none_leaves_nothing(backend: OperationsLab, name: str) -> None:
    """It is refused before anything is made."""
    request = backend.request(name)
    with pytest.raises(DriverError, match="cannot be the name of a share here"):
        backend.driver.create_share(request)
    assert list(backend.driver.list_shares([request.resource_id])) == []


@pytest.mark.parametrize("resource_id", HOSTILE_IDS, ids=repr)
def test_an_id_that_is_none_is_refused(backend: OperationsLab, resource_id: str) -> None:
    """It would become the name of a folder."""
    with pytest.raises(DriverError, match="is not a resource id"):
        backend.driver.create_share(backend.request("victim", resource_id=resource_id))
    with pytest.raises(DriverError, match="is not a resource id"):
        backend.driver.delete_share(ShareRef(resource_id, "x", "x", "fast", "NFS", MIB))


def test_a_name_that_is_taken_gets_the_start_of_the_id(backend: OperationsLab) -> None:
    """Twice is enough: a third share whose id starts alike is a conflict."""
    first = backend.share("taken")
    second = backend.share("taken")
    start = str(second.resource_id)[:8]
    assert (first.name, first.backend_id) == ("taken", "fast/taken")
    assert (second.name, second.backend_id) == (f"taken-{start}", f"fast/taken-{start}")
    with pytest.raises(ConflictError, match="taken in the pool 'fast'"):
        backend.share("taken", resource_id=f"{start}{new_id()[8:]}")


def test_names_that_windows_sees_no_difference_between_are_exported_apart(backend: OperationsLab) -> None:
    """The volumes keep their names, for the file system sees one."""
    backend.share("Reports")
    other = backend.share("reports")
    assert other.backend_id == "fast/reports"
    assert other.name == f"reports-{str(other.resource_id)[:8]}"
    with pytest.raises(ConflictError, match="are exported already"):
        backend.share("REPORTS", resource_id=f"{str(other.resource_id)[:8]}{new_id()[8:]}")


@pytest.mark.parametrize("name", ["global", "Homes", "printers"])
def test_a_name_with_a_meaning_in_smb_conf_is_not_exported_as_such(backend: OperationsLab, name: str) -> None:
    """Over SMB; to NFS it means nothing."""
    share = backend.share(name, protocol="CIFS")
    assert share.name == f"{name}-{str(share.resource_id)[:8]}"
    assert backend.share(name).name == name


def test_a_volume_that_sharectl_did_not_make_is_in_the_way(backend: OperationsLab) -> None:
    """It is never taken for the new share, and what was begun is forgotten."""
    run("btrfs", "subvolume", "create", str(backend.folder / "pool/legacy"))
    request = backend.request("legacy")
    with pytest.raises(ConflictError, match=r"already is in the pool 'fast', and sharectl did not make it; import it"):
        backend.driver.create_share(request)
    assert [share.backend_id for share in backend.driver.list_shares() if share.resource_id is None] == ["fast/legacy"]
    shutil.rmtree(backend.folder / "pool/legacy")
    assert backend.driver.create_share(request).backend_id == "fast/legacy"


def test_the_names_of_a_share_whose_volume_somebody_removed_are_free(backend: OperationsLab) -> None:
    """Another share gets both, the folder and the export, and the old one is forgotten."""
    old = backend.share("vanished", ANYBODY)
    backend.driver._agent.call("used_bytes", {"resource_id": old.resource_id})
    remove_by_hand(backend, old.backend_id)
    new = backend.share("vanished")
    assert (new.name, new.backend_id) == ("vanished", "fast/vanished")
    assert list(backend.driver.list_shares([str(old.resource_id)])) == []
    assert not backend.mount_point(old).exists()


def test_a_share_whose_volume_somebody_removed_is_gone_and_made_anew_under_its_id(backend: OperationsLab) -> None:
    """Without the access that the removed one had, which would lead to nothing."""
    request = backend.request("remade")
    share = backend.driver.create_share(request)
    backend.allow(share, ANYBODY)
    remove_by_hand(backend, share.backend_id)
    assert list(backend.driver.list_shares([request.resource_id])) == []
    for call in (backend.driver.used_bytes, backend.driver.trash_share):
        with pytest.raises(NotFoundError, match="the volume fast/remade of the share 'remade' is gone"):
            call(ref(share))
    again = backend.driver.create_share(request)
    assert again == share
    backend.allow(again, ANYBODY)
    assert backend.access_of(again) == {ANYBODY}


def test_while_a_lost_share_is_withdrawn_others_read_and_write(
    backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server takes long for holds up neither another thread nor another agent."""
    old = backend.share("lost", ANYBODY)
    remove_by_hand(backend, old.backend_id)
    withdraw, names = Access.withdraw, []

    def watched(access: Access, row: ShareRow) -> None:
        with ThreadPoolExecutor(1) as threads:
            names.append(threads.submit(backend.listed, share).result(timeout=300).name)
        backend.open().create_snapshot(ref(share), new_id(), "meanwhile")
        withdraw(access, row)

    share = backend.share("kept")
    monkeypatch.setattr(Access, "withdraw", watched)
    assert backend.share("lost").backend_id == "fast/lost"
    assert names == ["kept"]


def test_a_lost_share_that_is_made_anew_keeps_its_name(backend: OperationsLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another share was about to take it."""
    request = backend.request("contested")
    old = backend.driver.create_share(request)
    remove_by_hand(backend, old.backend_id)
    withdraw = Access.withdraw

    def overtaken(access: Access, row: ShareRow) -> None:
        monkeypatch.undo()
        withdraw(access, row)
        backend.open().create_share(request)

    monkeypatch.setattr(Access, "withdraw", overtaken)
    new = backend.share("contested")
    assert new.name == f"contested-{str(new.resource_id)[:8]}"
    assert backend.listed(old) == old


def test_two_shares_of_one_name_at_once_get_two(backend: OperationsLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower of two calls, which found the name free, looks for another."""
    check = Creation._free_volume
    quicker: list[str] = []

    def overtaken(shares: Creation, *args: Any) -> str:  # noqa: ANN401 - handed on
        found = check(shares, *args)
        if not quicker:
            quicker.append("")
            quicker[0] = backend.share("race").backend_id
        return found

    monkeypatch.setattr(Creation, "_free_volume", overtaken)
    slower = backend.share("race")
    assert quicker == ["fast/race"]
    assert slower.backend_id == f"fast/race-{str(slower.resource_id)[:8]}"


def test_a_lost_share_whose_remaking_was_killed_does_not_count_as_whole(
    backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is finished by the same call."""
    request = backend.request("remaking")
    share = backend.driver.create_share(request)
    remove_by_hand(backend, share.backend_id)

    class KilledError(BaseException):
        """What nobody handles."""

    create = BtrfsPool.create

    def killed(*args: Any) -> None:  # noqa: ANN401 - handed on
        create(*args)
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(BtrfsPool, "create", killed)
        with pytest.raises(KilledError):
            backend.driver.create_share(request)
    assert list(backend.driver.list_shares([request.resource_id])) == []
    assert backend.driver.create_share(request) == share


def remove_by_hand(backend: OperationsLab, backend_id: str) -> None:
    """Remove a share's volume as an administrator might."""
    run("btrfs", "subvolume", "delete", str(backend.folder / "pool" / backend_id.partition("/")[2]))


# Making


def test_two_calls_at_once_for_one_id_make_one_share(backend: OperationsLab) -> None:
    """From two agents: one of them was given up by its driver."""
    request = backend.request("once")
    drivers = [backend.driver, backend.open()]
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda driver: driver.create_share(request), drivers)
    assert first == second
    assert [share.name for share in backend.driver.list_shares() if share.name.startswith("once")] == ["once"]


def test_a_share_on_a_share_server_that_is_not_there(backend: OperationsLab) -> None:
    """Nothing is made, whether the driver sees it or the agent."""
    request = backend.request("homeless", share_server_id=new_id())
    with pytest.raises(DriverError, match="share server"):
        backend.driver.create_share(request)
    params = {**asdict(request), "snapshot_id": None, "options": {}}
    with pytest.raises(NotFoundError, match="no share server with the id"):
        backend.driver._agent.call("create_share", params)
    assert not (backend.folder / "pool/homeless").exists()


def test_shares_on_a_share_server(own_backend: OperationsLab, switch: Switch) -> None:
    """Are exported by it, on its address; it goes after them alone."""
    driver = own_backend.open(
        share_servers=True,
        namespace=switch.path,
        addresses=None,
        tenantNetworks={"flat": {"bridge": "br-flat"}, "vxlan": {"local": "192.0.2.10"}},
    )
    driver.prepare()
    server = driver.create_share_server(server_request())
    server_id = str(server.resource_id)
    nfs = driver.create_share(own_backend.request("data", share_server_id=server_id))
    smb = driver.create_share(own_backend.request("data", "CIFS", share_server_id=server_id))
    assert nfs.export_locations == ("10.20.0.10:/shares/data",)
    assert smb.export_locations == (f"\\\\10.20.0.10\\{smb.name}",)
    for share, rule in ((nfs, ANYBODY), (smb, ALICE)):
        assert driver.update_access(ref(share), [rule], [rule], [])[rule].status == "active"
        assert [listed.access for listed in driver.list_shares([str(share.resource_id)])] == [(rule,)]
    assert [found.healthy for found in driver.list_share_servers()] == [True]
    reference = ShareServerRef(server_id, server.backend_id, server.name)
    with pytest.raises(ShareInUseError, match="2 shares are on the share server"):
        driver.delete_share_server(reference)
    for share in (nfs, smb):
        driver.delete_share(ref(share))
    driver.delete_share_server(reference)
    assert list(driver.list_share_servers([server_id])) == []
    with pytest.raises(NotFoundError, match="no share server with the id"):
        driver.create_share(own_backend.request("late", share_server_id=server_id))


def test_a_share_whose_share_server_is_lost_is_listed_and_deleted(own_backend: OperationsLab) -> None:
    """It has no access and no locations; the others are listed as ever."""
    driver = own_backend.driver
    share, other = own_backend.share("homeless", ANYBODY), own_backend.share("other", ANYBODY)
    records = driver._agent.backend._records  # type: ignore[attr-defined]
    gone = new_id()
    records.update_share(share.resource_id, instance=gone)
    listed = own_backend.listed(share)
    assert (listed.share_server_id, listed.access, listed.export_locations) == (gone, (), ())
    assert own_backend.access_of(other) == {ANYBODY}
    with pytest.raises(NotFoundError, match=f"no share server with the id {gone}"):
        own_backend.allow(share, ANYBODY)
    own_backend.allow(share)
    driver.trash_share(ref(share))
    driver.delete_share(ref(share))
    assert [found.name for found in driver.list_shares()] == ["other"]


def test_a_share_server_that_is_being_removed_takes_no_share(own_backend: OperationsLab) -> None:
    """As one that is half made; nothing is left of the attempt."""
    driver = own_backend.driver
    records = driver._agent.backend._records  # type: ignore[attr-defined]
    server_id = new_id()
    records.put_share_server(ShareServerRow(server_id, "tenant", "net", (), is_made=True))
    assert records.close_share_server(server_id) == []
    params = {**asdict(own_backend.request("late", share_server_id=server_id)), "snapshot_id": None, "options": {}}
    with pytest.raises(ConflictError, match="the share server 'tenant' is half made or being removed"):
        driver._agent.call("create_share", params)
    assert list(driver.list_shares()) == []


def test_a_volume_that_cannot_be_made_leaves_nothing(own_backend: OperationsLab) -> None:
    """The name is free again."""
    driver = own_backend.open(pools={"fast": own_backend.pool, "slow": own_backend.loop_pool("slow", "256 MiB")})
    driver.prepare()
    share = driver.create_share(own_backend.request("origin"))
    snapshot = driver.create_snapshot(ref(share), new_id(), "monday")
    with pytest.raises(PoolError, match="a clone has to be in the pool of its snapshot, 'fast'"):
        driver.create_share(own_backend.request("clone", pool="slow", snapshot=snapshot_ref(snapshot)))
    assert driver.create_share(own_backend.request("clone", pool="slow")).backend_id == "slow/clone"


def test_a_volume_that_could_not_be_made_whole_has_no_name_and_is_made_by_the_same_call(
    backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is left or listed before."""
    share = backend.share("whole")
    snapshot = backend.snapshot(share)
    request = backend.request("half", snapshot=snapshot_ref(snapshot))

    def no_limit(*_: object) -> None:
        raise Problem(ProblemKind.TRANSIENT, "no limit today")

    with monkeypatch.context() as patched:
        patched.setattr(Place, "limit", no_limit)
        with pytest.raises(DriverError, match="no limit today"):
            backend.driver.create_share(request)
    assert not (backend.folder / "pool/half").exists()
    assert list((backend.folder / "pool/.sharectl/staging").iterdir()) == []
    assert "fast/half" not in {share.backend_id for share in backend.driver.list_shares()}
    assert backend.driver.create_share(request).size_bytes == 16 * MIB


def test_a_limit_that_somebody_took_away_shows_as_the_size_of_the_pool(backend: OperationsLab) -> None:
    """And is put back by a change of size."""
    share = backend.share("unlimited")
    run("btrfs", "qgroup", "limit", "none", str(backend.volume(share)))
    (pool,) = backend.driver.pools()
    assert backend.listed(share).size_bytes == pool.total_bytes
    backend.driver.shrink_share(ref(share), 16 * MIB)
    assert backend.listed(share).size_bytes == 16 * MIB


def test_a_mounted_image_is_unmounted_to_be_resized_where_nobody_has_access(own_backend: OperationsLab) -> None:
    """Where somebody has, the change is refused."""
    folder = own_backend.folder / "images"
    folder.mkdir()
    driver = own_backend.open(pools={"fast": {"type": "image", "path": str(folder), "fileSystem": "ext4"}})
    driver.prepare()
    share = driver.create_share(own_backend.request("disk", size_bytes=32 * MIB))
    assert mounts_under(str(folder)) == [f"{folder}/disk"]
    driver.shrink_share(ref(share), 24 * MIB)
    (listed,) = driver.list_shares()
    assert listed.size_bytes == 24 * MIB
    driver.update_access(ref(share), [ANYBODY], [ANYBODY], [])
    with pytest.raises(ShareInUseError):
        driver.shrink_share(ref(share), 16 * MIB)
    (listed,) = driver.list_shares()
    assert (listed.size_bytes, listed.access) == (24 * MIB, (ANYBODY,))


def test_what_was_never_there_is_deleted_already(backend: OperationsLab) -> None:
    """Snapshots too."""
    gone = backend.share("gone")
    snapshot = backend.snapshot(gone)
    for _ in range(2):
        backend.driver.delete_snapshot(snapshot_ref(snapshot))
        backend.driver.delete_share(ref(gone))
    assert list(backend.driver.list_snapshots([str(snapshot.resource_id)])) == []


# Snapshots


def test_a_snapshot_that_somebody_removed_is_not_listed(backend: OperationsLab) -> None:
    """And is taken anew by the same call."""
    share = backend.share("kept")
    snapshot = backend.snapshot(share)
    place = backend.folder / "pool/.sharectl/snapshots" / str(snapshot.resource_id)
    run("btrfs", "subvolume", "delete", str(place))
    assert list(backend.driver.list_snapshots([str(snapshot.resource_id)])) == []
    again = backend.driver.create_snapshot(ref(share), str(snapshot.resource_id), "monday")
    assert again == snapshot
    assert list(backend.driver.list_snapshots([str(snapshot.resource_id)])) == [snapshot]


def test_the_snapshot_of_another_share_is_no_way_back(backend: OperationsLab) -> None:
    """Nothing of the share is touched, nor of its access."""
    share, other = backend.share("mine", ANYBODY), backend.share("theirs")
    snapshot = backend.snapshot(other)
    with pytest.raises(DriverError, match="the snapshot 'monday' was not taken of the share 'mine'"):
        backend.driver.revert_share(ref(share), snapshot_ref(snapshot))
    assert backend.access_of(share) == {ANYBODY}


@pytest.mark.parametrize(("protocol", "rules"), [("NFS", {ANYBODY}), ("CIFS", {ANYBODY, ALICE})])
def test_a_revert_that_the_pool_refuses_leaves_the_access(
    backend: OperationsLab, protocol: str, rules: set[object]
) -> None:
    """Clients go on with what they had."""
    share = backend.share(f"refusing-{protocol}", *rules, protocol=protocol)
    snapshot = backend.snapshot(share)
    run("btrfs", "subvolume", "create", str(backend.volume(share) / "inner"))
    with pytest.raises(ShareInUseError, match="inner"):
        backend.driver.revert_share(ref(share), snapshot_ref(snapshot))
    assert backend.access_of(share) == rules
    shutil.rmtree(backend.volume(share) / "inner")
    backend.driver.revert_share(ref(share), snapshot_ref(snapshot))
    assert backend.access_of(share) == rules


def test_a_volume_that_holds_subvolumes_is_not_taken_over(backend: OperationsLab) -> None:
    """NFS clients could mount it and not list it. It is listed with the reason, and taken over once they are gone."""
    driver = backend.driver
    volume = backend.folder / "pool" / "brought"
    for path in (volume, volume / "inner"):
        run("btrfs", "subvolume", "create", str(path))
    with pytest.raises(DriverError, match="fast/brought cannot be taken over: it holds the subvolume 'inner'"):
        driver.adopt_share("fast/brought", new_id(), None)
    (listed,) = [share for share in driver.list_shares() if share.backend_id == "fast/brought"]
    assert "it holds the subvolume 'inner'" in listed.not_adoptable
    run("btrfs", "subvolume", "delete", str(volume / "inner"))
    share = driver.adopt_share("fast/brought", new_id(), None)
    backend.allow(share, ANYBODY)
    assert backend.access_of(share) == {ANYBODY}


def test_access_that_is_given_after_a_revert_was_cut_short_is_what_holds(
    backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules that were withdrawn for the revert do not come back with the next one."""
    share = backend.share("turned", ANYBODY)
    snapshot = backend.snapshot(share)
    cut_short_revert(backend, share, snapshot, monkeypatch)
    assert backend.access_of(share) == set()
    wanted = ANYBODY._replace(access_level="ro")
    backend.allow(share, wanted)
    backend.driver.revert_share(ref(share), snapshot_ref(snapshot))
    assert backend.access_of(share) == {wanted}


def test_access_that_is_cut_short_after_a_revert_that_was_leaves_nothing_to_come_back(
    backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next revert puts nothing in force that was not in force before it."""
    share = backend.share("twice-cut", ANYBODY)
    snapshot = backend.snapshot(share)
    cut_short_revert(backend, share, snapshot, monkeypatch)

    def refused(*_: object) -> None:
        raise Problem(ProblemKind.TRANSIENT, "no access today")

    with monkeypatch.context() as patched:
        patched.setattr(Access, "apply", refused)
        with pytest.raises(DriverError, match="no access today"):
            backend.allow(share, ANYBODY._replace(access_level="ro"))
    backend.driver.revert_share(ref(share), snapshot_ref(snapshot))
    assert backend.access_of(share) == set()


def test_a_revert_that_was_cut_short_is_finished_by_the_same_call(
    backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the access that the share had before the first."""
    share = backend.share("turning", ANYBODY)
    snapshot = backend.snapshot(share)
    cut_short_revert(backend, share, snapshot, monkeypatch)
    backend.driver.revert_share(ref(share), snapshot_ref(snapshot))
    assert backend.access_of(share) == {ANYBODY}


def cut_short_revert(backend: OperationsLab, share: object, snapshot: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what an agent leaves that is killed between withdrawing the share and turning it back."""
    shares = backend.driver._agent.backend._shares

    class KilledError(BaseException):
        """What nobody handles."""

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(type(shares._pools.get("fast")), "revert", killed)
        patched.setattr(shares._access, "resume", killed)
        with pytest.raises(KilledError):
            backend.driver.revert_share(ref(share), snapshot_ref(snapshot))


# Trash


def test_a_share_in_the_trash_gives_its_name_up_and_takes_no_access(backend: OperationsLab) -> None:
    """Another is exported under the name; coming back it gets a longer one."""
    share = backend.share("bin", ANYBODY)
    backend.driver.trash_share(ref(share))
    with pytest.raises(ConflictError, match="the share 'bin' is in the trash; restore it first"):
        backend.allow(share, ANYBODY)
    other = backend.share("bin")
    assert other.name == "bin"
    restored = backend.driver.restore_share(str(share.resource_id))
    assert restored.name == f"bin-{str(share.resource_id)[:8]}"
    assert restored.backend_id == share.backend_id
    backend.allow(restored, ANYBODY)
    assert backend.access_of(restored) == {ANYBODY}


# Adoption


@pytest.mark.parametrize(
    ("volume", "name"),
    [
        ("plain", "plain"),
        ("My Data (old)", "My Data (old)"),
        ("日本", "日本"),
        ("größe[1]", "gr-e-1-{id}"),
        ("[]", "share-{id}"),
    ],
)
def test_a_volume_with_any_name_can_be_taken_over(backend: OperationsLab, volume: str, name: str) -> None:
    """The folder keeps it, and the export gets it too, or one like it that servers can take."""
    run("btrfs", "subvolume", "create", str(backend.folder / "pool" / volume))
    resource_id = new_id()
    adopted = backend.driver.adopt_share(f"fast/{volume}", resource_id, 32 * MIB)
    assert (adopted.backend_id, adopted.name) == (f"fast/{volume}", name.format(id=resource_id[:8]))
    assert (adopted.protocol, adopted.export_locations, adopted.size_bytes) == (None, (), 32 * MIB)
    assert backend.allow(adopted, ANYBODY)[ANYBODY].status == "active"
    listed = backend.listed(adopted)
    assert (listed.protocol, listed.access) == ("NFS", (ANYBODY,))
    assert listed.export_locations[0] == f"{backend.network.server.ipv4}:/shares/{adopted.name}"


def test_a_limit_that_a_volume_has_stays_when_it_is_taken_over(backend: OperationsLab) -> None:
    """One without any keeps none where none is given."""
    for name in ("limited", "free"):
        run("btrfs", "subvolume", "create", str(backend.folder / "pool" / name))
    run("btrfs", "qgroup", "limit", "64M", str(backend.folder / "pool/limited"))
    assert backend.driver.adopt_share("fast/limited", new_id(), 32 * MIB).size_bytes == 64 * MIB
    (pool,) = backend.driver.pools()
    assert backend.driver.adopt_share("fast/free", new_id(), None).size_bytes == pool.total_bytes


@pytest.mark.parametrize(
    "backend_id", ["fast/.sharectl", "fast/..", "fast/nothing", "none/legacy", "fast", "", "fast/a/b"]
)
def test_what_is_no_volume_cannot_be_taken_over(backend: OperationsLab, backend_id: str) -> None:
    """Least of all the pool's own folder."""
    with pytest.raises(NotFoundError, match="write POOL/VOLUME"):
        backend.driver.adopt_share(backend_id, new_id(), None)


def test_a_folder_of_an_administrator_is_not_a_share(backend: OperationsLab) -> None:
    """It is not listed, and in the way of its name all the same."""
    Path(backend.folder, "pool/notes").mkdir()
    assert "fast/notes" not in {share.backend_id for share in backend.driver.list_shares()}
    with pytest.raises(ConflictError):
        backend.share("notes")


def test_an_agent_that_lost_the_disk_of_its_records_does_nothing(own_backend: OperationsLab) -> None:
    """What is exported and kept is not to be made a second time."""
    share = own_backend.share("projects")
    (own_backend.folder / "root/records.sqlite").rename(own_backend.folder / "elsewhere")
    with pytest.raises(BackendUnavailableError, match="never prepared, or its disk is not mounted"):
        own_backend.driver.delete_share(ref(share))
