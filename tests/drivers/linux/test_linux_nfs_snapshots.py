"""Snapshots that NFS clients see in `.snapshots`: who sees them, that nobody changes them, and that nothing of the share suffers by them."""

from __future__ import annotations

import itertools
import os
import re
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import TransientError
from sharectl.drivers.linux.agent import snapshot_views
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.nfs.ganesha.bus import GaneshaBus
from sharectl.drivers.linux.agent.nfs.ganesha.snapshots import SnapshotExports
from sharectl.model.access import AccessRule
from sharectl.model.specs import HourlySnapshots, SnapshotPolicy
from tests.drivers.linux.lab import mounts_under, need
from tests.drivers.linux.nfs_client import V3, held, nfs
from tests.drivers.linux.operations_lab import MIB, STRANGE, OperationsLab, ref, snapshot_ref
from tests.drivers.linux.pools import make_host_folder
from tests.drivers.linux.test_linux_restoring import backend_of, restart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.linux.driver import LinuxDriver
    from tests.drivers.linux.lab import Host, Network
    from tests.drivers.linux.nfs_client import Answer

SHOWN = {"squash": "none", "insecure": "false", "security": "sys", "anonymous": "65534:65534", "snapshots": "true"}
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")
NFS = {"versions": ["4.0", "4.1", "4.2"]}
WITH_V3 = {"versions": ["3", *NFS["versions"]]}


class House:
    """A backend, and its clients."""

    def __init__(self, lab: OperationsLab, nfs: dict[str, list[str]]) -> None:
        """Open it."""
        self.lab = lab
        self.driver = lab.open(nfs=nfs)
        lab._prepared = self.driver
        self.driver.prepare()

    @property
    def rw(self) -> AccessRule:
        """A rule for the client."""
        return AccessRule("ip", self.lab.network.client.ipv4, "rw")

    def rule(self, level: str) -> AccessRule:
        """Return a rule for another client."""
        return AccessRule("ip", self.lab.network.stranger.ipv4, level)


class Share:
    """A share whose clients see its snapshots."""

    def __init__(self, house: House, name: str, *rules: AccessRule) -> None:
        """Make it; the client may write."""
        self.house, self.lab, self.name = house, house.lab, name
        self.share = self.lab.share(name)
        self.folder = self.lab.volume(self.share)
        self.allow(house.rw, *rules)

    def allow(self, *rules: AccessRule, **settings: str) -> None:
        """Make the rules the access of the share, and these its settings: with snapshots, unless told otherwise."""
        reference = replace(ref(self.share), export_settings={**SHOWN, **settings})
        statuses = self.house.driver.update_access(reference, rules, rules, ())
        assert {status.status for status in statuses.values()} <= {"active"}, statuses

    def nfs(self, *words: str, host: Host | None = None, port: int = 2049, below: str = "") -> Answer:
        """Let a client do something in the share."""
        client = host or self.lab.network.client
        return nfs(client, self.lab.host.ipv4, f"/shares/{self.name}{below}", *words, port=port)

    def names(self, host: Host | None = None) -> list[str]:
        """Return the snapshots that a client is listed, the oldest first."""
        answer = self.nfs("ls", host=host, below="/.snapshots")
        assert answer.is_done, answer.text
        return answer.text.split()

    def put(self, name: str, text: str) -> None:
        """Write a file on the host."""
        (self.folder / name).write_text(text, encoding="ascii")

    @property
    def mounted(self) -> list[str]:
        """Return what is mounted for its snapshots."""
        point = f"{self.lab.mount_point(self.share)}.snapshots"
        return [each for each in mounts_under(str(self.lab.folder)) if each.startswith(point)]


@pytest.fixture(scope="module")
def house(module_directory: str, network: Network) -> Iterator[House]:
    """Give the backend, which speaks NFSv3 too, to all tests of the module, which make shares of different names."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "rpcbind", "smbd", "pdbedit", file_system="btrfs")
    lab = OperationsLab(module_directory, network, network.server)
    yield House(lab, WITH_V3)
    lab.close()


@pytest.fixture
def own_house(lab_directory: str, network: Network) -> Iterator[House]:
    """Give a backend to one test, on another host."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", file_system="btrfs")
    lab = OperationsLab(lab_directory, network, network.other_client)
    yield House(lab, NFS)
    lab.close()


def test_clients_see_and_fetch_what_was(house: House) -> None:
    """Of the snapshots of manifests and of those by a policy, by the times at which they were taken, over each version."""
    share = Share(house, "office")
    share.put("a", "older")
    house.driver.schedule_snapshots(ref(share.share), SnapshotPolicy(HourlySnapshots(2)))
    assert backend_of(house.driver).keep_snapshots(datetime(2100, 1, 1, tzinfo=UTC)) == []
    share.put("a", "old")
    house.lab.snapshot(share.share)
    share.put("a", "new")
    first, second = share.names()
    assert all(map(NAME.fullmatch, (first, second)))
    at = datetime.strptime(second, "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(tz=UTC) - at).total_seconds()) < 600
    for port in (2049, V3):
        assert share.nfs("cat", f".snapshots/{first}/a", port=port).text == "older"
        assert share.nfs("cat", f".snapshots/{second}/a", port=port).text == "old"
        assert share.nfs("cat", f"{second}/a", port=port, below="/.snapshots").text == "old"
        assert share.nfs("cat", "a", port=port).text == "new"
    assert share.nfs("ls").text.split() == [".snapshots", "a"]


def test_nobody_changes_them(house: House) -> None:
    """Neither who may write to the share, as root; nor the folder that they are in, before and while it shows them."""
    share = Share(house, "kept")
    share.put("a", "old")
    house.lab.snapshot(share.share)
    (name,) = share.names()
    for port in (2049, V3):
        for words in (
            ("put", f".snapshots/{name}/a", "new"),
            ("put", f".snapshots/{name}/b", "new"),
            ("rm", f".snapshots/{name}/a"),
            ("mkdir", f".snapshots/{name}/b"),
            ("mkdir", ".snapshots/b"),
            ("rm", ".snapshots"),
            ("rmdir", f".snapshots/{name}"),
            ("rmdir", ".snapshots"),
            ("mv", ".snapshots", "gone"),
            ("mv", f".snapshots/{name}/a", "stolen"),
            ("mv", "a", f".snapshots/{name}/a"),
            ("link", f".snapshots/{name}/a", "linked"),
            ("truncate", f".snapshots/{name}/a", "0"),
            ("chmod", f".snapshots/{name}/a", "0777"),
        ):
            assert not share.nfs(*words, port=port).is_done, words
    assert share.nfs("cat", f".snapshots/{name}/a").text == "old"
    assert sorted(path.name for path in share.folder.iterdir()) == [".snapshots", "a"]
    with pytest.raises(PermissionError):
        (share.folder / ".snapshots").rmdir()  # as a user of SMB would, or root of the host by mistake


def test_whoever_reads_the_share_reads_them_and_nobody_else(house: House) -> None:
    """From the moment on when a right is given or taken away; who is kept out is told of no snapshots."""
    stranger = house.lab.network.stranger
    share = Share(house, "board", house.rule("ro"))
    share.put("a", "old")
    share.put("private", "secret")
    (share.folder / "private").chmod(0o600)
    house.lab.snapshot(share.share)
    (name,) = share.names(stranger)
    for port in (2049, V3):
        assert share.nfs("cat", f".snapshots/{name}/a", host=stranger, port=port).text == "old"
    wide = AccessRule("ip", "10.77.1.0/24", "rw")
    for rules in ((house.rw,), (wide, house.rule("none"))):
        share.allow(*rules)
        assert share.names() == [name]
        for port in (2049, V3):
            for below, path in (
                ("", f".snapshots/{name}/a"),
                ("/.snapshots", f"{name}/a"),
                (f"/.snapshots/{name}", "a"),
            ):
                assert not share.nfs("cat", path, host=stranger, port=port, below=below).is_done, (rules, port, below)
            assert not share.nfs("ls", host=stranger, port=port, below="/.snapshots").is_done
    share.allow(house.rw, squash="root")
    assert not share.nfs("cat", f".snapshots/{name}/private").is_done
    assert share.nfs("cat", f".snapshots/{name}/a").text == "old"
    share.allow(house.rw)
    assert share.nfs("cat", f".snapshots/{name}/private").text == "secret"
    share.allow()
    assert not share.nfs("ls", below="/.snapshots").is_done
    assert share.mounted == []
    assert not (share.folder / ".snapshots").exists()


def test_a_client_goes_on_while_snapshots_come_and_go(house: House) -> None:
    """What it has open in the share stays open; one that goes is no longer listed, and lets go of its space."""
    share = Share(house, "counted")
    snapshots = []
    with held(house.lab.network.client, house.lab.host.ipv4, "/shares/counted", "open") as file:
        for number in range(3):
            share.put("a", str(number))
            snapshots.append(house.lab.snapshot(share.share, f"s{number}"))
            assert file.write().is_done
        names = share.names()
        assert [share.nfs("cat", f".snapshots/{name}/a").text for name in names] == ["0", "1", "2"]
        house.driver.delete_snapshot(snapshot_ref(snapshots[1]))
        assert [share.nfs("cat", f".snapshots/{name}/a").text for name in share.names()] == ["0", "2"]
        house.driver.schedule_snapshots(ref(share.share), SnapshotPolicy(HourlySnapshots(1)))
        for hour in range(2):
            share.put("a", f"hour {hour}")
            assert backend_of(house.driver).keep_snapshots(datetime(2100, 1, 1, hour, tzinfo=UTC)) == []
        assert [share.nfs("cat", f".snapshots/{name}/a").text for name in share.names()] == ["0", "2", "hour 1"]
        assert file.write().is_done
    assert len(share.mounted) == 4
    house.driver.revert_share(ref(share.share), snapshot_ref(snapshots[0]))
    assert share.nfs("cat", "a").text == "0"
    assert [share.nfs("cat", f".snapshots/{name}/a").text for name in share.names()] == ["0", "2", "hour 1"]
    for snapshot in (snapshots[0], snapshots[2]):
        house.driver.delete_snapshot(snapshot_ref(snapshot))
    house.driver.delete_share(ref(share.share))
    assert share.mounted == []


def test_the_setting_reaches_a_share_that_exists_and_is_taken_back(house: House) -> None:
    """It is listed as it is in force; without it, nothing of it is left, in the share neither."""
    share = Share(house, "changing")
    share.put("a", "old")
    house.lab.snapshot(share.share)
    assert dict(house.lab.listed(share.share).export_settings or ())["snapshots"] == "true"
    share.allow(house.rw, snapshots="false")
    assert "snapshots" not in dict(house.lab.listed(share.share).export_settings or ())
    assert house.lab.access_of(share.share) == {house.rw}
    assert share.nfs("ls").text.split() == ["a"]
    assert share.mounted == []
    share.allow(house.rw)
    assert len(share.names()) == 1


def test_what_is_still_seen_though_it_was_turned_off_is_told_and_ended(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change fails, each plan shows it, and the next apply ends it."""
    share = Share(house, "stubborn")
    house.lab.snapshot(share.share)

    def hide(*_words: object, **_options: object) -> None:
        raise Problem(ProblemKind.TRANSIENT, "it stays")

    with monkeypatch.context() as patched:
        patched.setattr(SnapshotExports, "hide", hide)
        with pytest.raises(TransientError, match=r"still see the snapshots of the share 'stubborn'.* it stays"):
            share.allow(house.rw, snapshots="false")
    assert house.lab.access_of(share.share) == {STRANGE}
    (told,) = [each for each in house.driver.report().hindrances if "'stubborn'" in each.summary]
    assert "still see" in told.summary
    share.allow(house.rw, snapshots="false")
    assert house.lab.access_of(share.share) == {house.rw}
    assert not share.nfs("ls", below="/.snapshots").is_done
    assert share.mounted == []
    assert not [each for each in house.driver.report().hindrances if "'stubborn'" in each.summary]


def test_snapshots_come_after_the_rights_that_come_with_them(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is let in no more by the same change is never shown them."""
    share = house.lab.share("narrowed")
    house.lab.snapshot(share)
    wide = AccessRule("ip", "10.77.1.0/24", "rw")
    house.driver.update_access(replace(ref(share), export_settings={**SHOWN, "snapshots": "false"}), [wide], [wide], ())
    call, added = GaneshaBus.call, []

    def watched(bus: GaneshaBus, method: str, *words: object) -> object:
        if method == "AddExport":
            added.append(Path(str(words[1])).read_text(encoding="utf-8"))
        return call(bus, method, *words)

    monkeypatch.setattr(GaneshaBus, "call", watched)
    house.driver.update_access(replace(ref(share), export_settings=SHOWN), [house.rw], [house.rw], [wide])
    assert added
    assert not [text for text in added if "10.77.1.0/24" in text]


def test_who_makes_a_snapshot_shows_nothing_by_what_it_read_before(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of a share that shows them no more, nor of one that is gone, whichever of the two is the quicker."""
    backend = backend_of(house.driver)
    servers, views = backend._room.servers("main"), backend._access.nfs.views
    share, gone = Share(house, "quick"), Share(house, "gone")
    for each in (share, gone):
        house.lab.snapshot(each.share, "first")
    rows = [backend._records.share(str(each.share.resource_id)) for each in (share, gone)]
    share.allow(house.rw, snapshots="false")
    house.driver.trash_share(ref(gone.share))
    for row in rows:
        views.refresh(servers, row)
    assert share.mounted == gone.mounted == []
    share.allow(house.rw)
    make_folder, trashed = snapshot_views._make_folder, list[Future[object]]()
    with ThreadPoolExecutor(1) as threads, monkeypatch.context() as patched:

        def overtaken(path: str) -> None:
            if not trashed:
                trashed.append(threads.submit(house.driver.trash_share, ref(share.share)))
            make_folder(path)

        patched.setattr(snapshot_views, "_make_folder", overtaken)
        house.lab.snapshot(share.share, "second")
        trashed[0].result()
    assert share.mounted == []
    assert not [each for each in house.driver.report().hindrances if "'quick'" in each.summary]


def test_a_clone_without_the_setting_has_no_folder_of_it(house: House) -> None:
    """And one with it shows its own snapshots, not those of its source."""
    share = Share(house, "source")
    share.put("a", "old")
    snapshot = house.lab.snapshot(share.share)
    for name, wanted in (("with", "true"), ("without", "false")):
        request = house.lab.request(name)
        clone = house.driver.create_share(replace(request, snapshot=snapshot_ref(snapshot)))
        reference = replace(ref(clone), export_settings={**SHOWN, "snapshots": wanted})
        house.driver.update_access(reference, [house.rw], [house.rw], ())
        there = nfs(house.lab.network.client, house.lab.host.ipv4, f"/shares/{name}", "ls").text.split()
        assert there == ([".snapshots", "a"] if wanted == "true" else ["a"])
        listed = nfs(house.lab.network.client, house.lab.host.ipv4, f"/shares/{name}/.snapshots", "ls")
        assert (listed.is_done, listed.text if listed.is_done else "") == (wanted == "true", "")


def test_a_clone_for_smb_clients_has_no_folder_of_it(house: House) -> None:
    """Nor anything else that they could not remove; a folder of that name that users made is theirs."""
    share = Share(house, "origin")
    snapshot = house.lab.snapshot(share.share)
    assert (share.folder / ".snapshots").is_dir()
    request = house.lab.request("for-smb", "CIFS")
    clone = house.driver.create_share(replace(request, snapshot=snapshot_ref(snapshot)))
    assert list(house.lab.volume(clone).iterdir()) == []
    plain = house.lab.share("of-users")
    (house.lab.volume(plain) / ".snapshots").mkdir()
    request = house.lab.request("of-users-too", "CIFS")
    clone = house.driver.create_share(replace(request, snapshot=snapshot_ref(house.lab.snapshot(plain, "other"))))
    assert (house.lab.volume(clone) / ".snapshots").is_dir()


def test_a_file_of_that_name_stays_and_it_is_told(house: House) -> None:
    """As it does in a share that is full: it is served all the same, and shows its snapshots once that is mended."""
    for name, obstruct in (("own", lambda path: path.mkdir()), ("file", lambda path: path.write_text("mine", "ascii"))):
        share = house.lab.share(name)
        path = house.lab.volume(share) / ".snapshots"
        obstruct(path)
        path.chmod(0o777)
        if path.is_dir():
            (path / "theirs").touch()
        house.lab.snapshot(share)
        reference = replace(ref(share), export_settings=SHOWN)
        house.driver.update_access(reference, [house.rw], [house.rw], ())
        assert house.lab.access_of(share) == {house.rw}
        (told,) = [each for each in house.driver.report().hindrances if repr(name) in each.summary]
        assert "do not see the snapshots" in told.summary
        assert ".snapshots" in told.summary
        there = nfs(house.lab.network.client, house.lab.host.ipv4, f"/shares/{name}", "ls")
        assert there.text.split() == [".snapshots"]
        assert not backend_of(house.driver)._restoring._lacks("main"), "what cannot be is tried over and over"
        house.driver.update_access(
            replace(reference, export_settings={**SHOWN, "snapshots": "false"}), [house.rw], [], []
        )
        assert path.exists()
        assert not [each for each in house.driver.report().hindrances if repr(name) in each.summary]
        path.rename(path.with_name("renamed"))
        house.driver.update_access(reference, [house.rw], [], [])
        assert not [each for each in house.driver.report().hindrances if repr(name) in each.summary]
        assert NAME.search(nfs(house.lab.network.client, house.lab.host.ipv4, f"/shares/{name}/.snapshots", "ls").text)


def test_in_a_share_that_is_full_they_come_once_there_is_room(house: House) -> None:
    """The share is served all the same."""
    share = house.lab.share("full", size_bytes=8 * MIB)
    _fill(house.lab.volume(share))
    reference = replace(ref(share), export_settings=SHOWN)
    house.driver.update_access(reference, [house.rw], [house.rw], ())
    assert house.lab.access_of(share) == {house.rw}
    assert [each for each in house.driver.report().hindrances if "'full'" in each.summary]
    (house.lab.volume(share) / "ballast").unlink()
    house.driver.update_access(reference, [house.rw], [], [])
    assert nfs(house.lab.network.client, house.lab.host.ipv4, "/shares/full/.snapshots", "ls").is_done


def _fill(folder: Path) -> None:
    """Leave no room in a share for data, nor for names."""
    with suppress(OSError), (folder / "ballast").open("wb") as file:
        while True:
            file.write(os.urandom(MIB))
            os.fsync(file.fileno())
    with suppress(OSError):
        for number in itertools.count():
            (folder / f"f{number}").mkdir()


def test_what_somebody_widens_by_hand_is_seen_and_mended(house: House) -> None:
    """An export of snapshots that lets more clients in, or lets them write."""
    share = Share(house, "widened")
    house.lab.snapshot(share.share)
    server = backend_of(house.driver)._room.servers("main").nfs
    row = backend_of(house.driver)._records.share(str(share.share.resource_id))
    text = Path(house.lab.folder, f"root/servers/main/nfs/snapshots/{row.export_id}.conf").read_text(encoding="utf-8")
    by_hand = house.lab.folder / "by-hand.conf"
    by_hand.write_text(
        text.replace(f"Clients = {house.lab.network.client.ipv4}", "Clients = 10.0.0.0/8"), encoding="utf-8"
    )
    server._bus.call("UpdateExport", "ss", str(by_hand), f"EXPORT(Export_Id={65536 - row.export_id})")
    assert share.nfs("ls", host=house.lab.network.stranger, port=V3, below="/.snapshots").is_done
    assert house.lab.access_of(share.share) == {STRANGE}
    share.allow(house.rw)
    assert not share.nfs("ls", host=house.lab.network.stranger, port=V3, below="/.snapshots").is_done
    assert house.lab.access_of(share.share) == {house.rw}


def test_another_folder_in_the_place_of_the_snapshots_is_seen_and_mended(house: House) -> None:
    """Whatever its clients are."""
    share = Share(house, "moved")
    house.lab.snapshot(share.share)
    server = backend_of(house.driver)._room.servers("main").nfs
    row = backend_of(house.driver)._records.share(str(share.share.resource_id))
    text = Path(house.lab.folder, f"root/servers/main/nfs/snapshots/{row.export_id}.conf").read_text(encoding="utf-8")
    elsewhere, by_hand = house.lab.folder / "elsewhere", house.lab.folder / "by-hand.conf"
    elsewhere.mkdir()
    by_hand.write_text(re.sub('Path = "[^"]*"', f'Path = "{elsewhere}"', text), encoding="utf-8")
    server._bus.call("RemoveExport", "q", 65536 - row.export_id)
    server._bus.call("AddExport", "ss", str(by_hand), f"EXPORT(Export_Id={65536 - row.export_id})")
    assert house.lab.access_of(share.share) == {STRANGE}
    share.allow(house.rw)
    assert house.lab.access_of(share.share) == {house.rw}
    assert len(share.names()) == 1


def test_they_are_there_again_after_a_restart(own_house: House) -> None:
    """As the storage host brings its servers back by itself; so does it after the server was killed, or this was cut short."""
    share = Share(own_house, "office")
    share.put("a", "old")
    own_house.lab.snapshot(share.share)
    names = share.names()
    restart(own_house.lab)
    assert backend_of(own_house.lab.open(nfs=NFS)).restore() == []
    assert share.names() == names
    assert share.nfs("cat", f".snapshots/{names[0]}/a").text == "old"
    assert not backend_of(own_house.driver)._restoring._lacks("main")
    backend_of(own_house.driver)._room.servers("main").nfs.stop()
    own_house.driver.update_access(replace(ref(share.share), export_settings=SHOWN), [own_house.rw], [], [])
    assert share.names() == names


def test_a_share_in_the_trash_shows_nothing(own_house: House) -> None:
    """Until it is back, and somebody may mount it."""
    share = Share(own_house, "thrown")
    own_house.lab.snapshot(share.share)
    own_house.driver.trash_share(ref(share.share))
    assert not share.nfs("ls", below="/.snapshots").is_done
    assert share.mounted == []
    own_house.driver.restore_share(str(share.share.resource_id))
    share.allow(own_house.rw)
    assert len(share.names()) == 1


def test_a_share_in_an_image_has_none_and_is_served(own_backend: OperationsLab) -> None:
    """Its snapshots are files that nobody mounts."""
    need("mkfs.ext4", "mkfs.xfs", file_system="xfs")
    lab = own_backend
    rule = AccessRule("ip", lab.network.client.ipv4, "rw")
    folder = make_host_folder(str(lab.folder), "xfs", 3 << 30)
    pools = {"fast": {"type": "image", "path": folder, "fileSystem": "ext4"}}
    driver: LinuxDriver = lab.open(pools=pools, nfs=NFS)
    driver.prepare()
    share = driver.create_share(lab.request("office", size_bytes=64 * MIB))
    driver.update_access(replace(ref(share), export_settings=SHOWN), [rule], [rule], ())
    driver.create_snapshot(ref(share), "5c5c0000-0000-4000-8000-000000000000", "monday")
    answer = nfs(lab.network.client, lab.host.ipv4, "/shares/office", "ls")
    assert (answer.is_done, answer.text.split()) == (True, ["lost+found"])
    assert not driver.report().hindrances
    assert not backend_of(driver)._restoring._lacks("main")
