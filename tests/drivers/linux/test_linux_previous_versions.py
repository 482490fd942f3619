"""Previous versions: what SMB clients see of the snapshots of a share, and what they and everybody else do not."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import POOL_GROUP
from sharectl.model.access import AccessRule
from sharectl.model.specs import HourlySnapshots, SnapshotPolicy
from tests.drivers.linux.lab import need
from tests.drivers.linux.operations_lab import ALICE, MIB, ref, snapshot_ref
from tests.drivers.linux.pools import make_host_folder
from tests.drivers.linux.smb_client import smb
from tests.drivers.linux.test_linux_restoring import backend_of, restart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.drivers.linux.driver import LinuxDriver
    from sharectl.model.observed import ObservedShare
    from tests.drivers.linux.operations_lab import OperationsLab
    from tests.drivers.linux.smb_client import Answer

BOB = AccessRule("user", "bob", "ro")
WITH = {"previousVersions": "true"}
TOKEN = re.compile(r"^@GMT-\d{4}\.\d\d\.\d\d-\d\d\.\d\d\.\d\d$", re.MULTILINE)


class Office:
    """A share with previous versions, and its clients."""

    def __init__(self, lab: OperationsLab, name: str) -> None:
        """Make it, for alice to write and bob to read."""
        self.lab = lab
        self.name = name
        self.share = lab.share(name, protocol="CIFS")
        self.folder = lab.volume(self.share)
        self.allow(ALICE, BOB)

    @property
    def versions(self) -> Path:
        """The folder in which smbd finds previous versions."""
        return self.lab.folder / "pool/.sharectl/versions" / self.name

    def allow(self, *rules: AccessRule, **settings: str) -> None:
        """Make the rules the access of the share, and these its settings: with previous versions, unless told otherwise."""
        told = {"encryption": "optional", "signing": "required", **(settings or WITH)}
        reference = replace(ref(self.share), export_settings=told)
        statuses = self.lab.driver.update_access(reference, rules, rules, ())
        assert {status.status for status in statuses.values()} <= {"active"}, statuses

    def ask(self, commands: str, user: str = "alice") -> Answer:
        """Run commands of smbclient."""
        return smb(
            self.lab.network.client, self.lab.host.ipv4, self.name, user, self.lab.passwords[user.upper()], commands
        )

    def tokens(self, path: str = "a", user: str = "alice") -> list[str]:
        """Return the previous versions that a client is told of a file, the newest first."""
        return TOKEN.findall(self.ask(f'allinfo "{path}"', user).text)

    def read(self, token: str, path: str, user: str = "alice") -> str:
        """Return what a previous version of a file holds; what was refused, where it was."""
        answer = self.ask(f'get "{token}\\{path}" /dev/stdout', user)
        return answer.text.partition("getting file")[0].strip()

    def put(self, name: str, text: str) -> None:
        """Write a file as a client has it."""
        (self.folder / name).write_text(text, encoding="ascii")
        os.chown(self.folder / name, 65534, 65534)


@pytest.fixture(scope="module")
def office(backend: OperationsLab) -> Iterator[Office]:
    """Give a share with two snapshots: one of a manifest, with "old" in the file `a`, and one that was taken by a policy, with "older"."""
    need("smbclient")
    made = Office(backend, "office")
    made.put("a", "older")
    backend.driver.schedule_snapshots(ref(made.share), SnapshotPolicy(HourlySnapshots(2)))
    assert backend_of(backend.driver).keep_snapshots(datetime(2100, 1, 1, tzinfo=UTC)) == []
    made.put("a", "old")
    (made.folder / "d").mkdir()
    made.put("d/b", "deep")
    backend.snapshot(made.share)
    made.put("a", "new")
    (made.folder / "d/b").unlink()
    return made


def test_clients_see_and_fetch_what_was(office: Office) -> None:
    """Of the snapshots of manifests and of those by a policy, by the times at which they were taken, also what is gone since."""
    new, old = office.tokens()
    assert office.read(new, "a") == "old"
    assert office.read(old, "a") == "older"
    assert office.read(new, "d\\b") == "deep"
    at = datetime.strptime(new, "@GMT-%Y.%m.%d-%H.%M.%S").replace(tzinfo=UTC)
    assert abs((datetime.now(tz=UTC) - at).total_seconds()) < 600
    assert office.tokens("d") == [new, old]
    listed = office.ask(f'ls "{new}\\*"').text
    assert re.search(r"^ *a +N +3", listed, re.MULTILINE)


def test_whoever_reads_the_share_reads_them_and_nobody_writes_there(office: Office) -> None:
    """Neither who may write to the share; a user without rights gets nothing."""
    token, *_ = office.tokens(user="bob")
    assert office.read(token, "a", "bob") == "old"
    for commands in (
        f'put /etc/hostname "{token}\\new"',
        f'put /etc/hostname "{token}\\a"',
        f'del "{token}\\a"',
        f'mkdir "{token}\\folder"',
        f'rename "{token}\\a" b',
        f'rmdir "{token}"',
        f'setmode "{token}\\a" +r',
    ):
        assert not office.ask(commands).is_ok, commands
    assert office.read(token, "a") == "old"
    office.allow(ALICE)
    assert not office.ask(f'get "{token}\\a" /dev/stdout', "bob").is_ok
    office.allow(ALICE, BOB)


def test_no_snapshot_of_another_share_is_reached(office: Office, backend: OperationsLab) -> None:
    """Neither by its token, nor by links that lead out of a snapshot, nor by dots."""
    other = Office(backend, "board")
    other.put("secret", "secret")
    snapshot = backend.snapshot(other.share)
    (token,) = other.tokens("secret")
    for number, target in enumerate(
        (
            str(other.folder),
            f"../{other.name}",
            f"../../snapshots/{snapshot.resource_id}",
            f"../{snapshot.resource_id}",
            str(backend.folder / "pool/.sharectl/snapshots" / str(snapshot.resource_id)),
            "/etc",
        )
    ):
        (office.folder / f"out{number}").symlink_to(target)
    (office.folder / "file").symlink_to(f"../{snapshot.resource_id}/secret")
    backend.snapshot(office.share, "with links")
    inside = office.tokens()[0]
    for number in range(6):
        for name in ("secret", "passwd"):
            assert not office.ask(f'get "{inside}\\out{number}\\{name}" /dev/stdout').is_ok, (number, name)
        assert not office.ask(f'ls "{inside}\\out{number}\\*"').is_ok, number
    assert not office.ask(f'get "{inside}\\file" /dev/stdout').is_ok
    assert not office.ask(f'get "{inside}\\..\\..\\{other.name}\\{token}\\secret" /dev/stdout').is_ok
    assert not office.ask(f'get "{token}\\secret" /dev/stdout').is_ok


def test_users_of_the_host_see_nothing_of_them(office: Office, backend: OperationsLab) -> None:
    """Samba alone gets there by its group, and to names alone where it need not list."""
    private = backend.folder / "pool/.sharectl"
    found = {path: (path.stat().st_mode & 0o777, path.stat().st_gid) for path in (private, private / "versions")}
    assert set(found.values()) == {(0o710, POOL_GROUP)}
    assert (office.versions.stat().st_mode & 0o777, office.versions.stat().st_gid) == (0o750, POOL_GROUP)
    for user in (65534, 1000):
        done = subprocess.run(
            ["/bin/ls", str(private)], user=user, group=user, extra_groups=(), capture_output=True, check=False
        )
        assert done.returncode != 0


def test_a_snapshot_that_goes_is_no_version_any_more(backend: OperationsLab) -> None:
    """Nor one that its policy lets go; two of one second have names of their own."""
    office = Office(backend, "counted")
    office.put("a", "first")
    snapshots = []
    for number in range(3):
        office.put("a", str(number))
        snapshots.append(backend.snapshot(office.share, f"s{number}"))
    tokens = office.tokens()
    assert [office.read(token, "a") for token in tokens] == ["2", "1", "0"]
    backend.driver.delete_snapshot(snapshot_ref(snapshots[1]))
    assert [office.read(token, "a") for token in office.tokens()] == ["2", "0"]
    backend.driver.schedule_snapshots(ref(office.share), SnapshotPolicy(HourlySnapshots(1)))
    for hour in range(2):
        office.put("a", f"hour {hour}")
        backend_of(backend.driver).keep_snapshots(datetime(2100, 1, 1, hour, tzinfo=UTC))
    assert [office.read(token, "a") for token in office.tokens()] == ["hour 1", "2", "0"]
    backend.driver.revert_share(ref(office.share), snapshot_ref(snapshots[0]))
    assert office.ask("ls").is_ok
    assert [office.read(token, "a") for token in office.tokens()] == ["hour 1", "2", "0"]
    for snapshot in (snapshots[0], snapshots[2]):
        backend.driver.delete_snapshot(snapshot_ref(snapshot))
    backend.driver.delete_share(ref(office.share))
    assert not office.versions.exists()


def test_the_setting_reaches_a_share_that_exists_and_is_taken_back(backend: OperationsLab) -> None:
    """It is listed as it is in force; without it there are no versions, whatever snapshots there are."""
    office = Office(backend, "changing")
    office.put("a", "old")
    backend.snapshot(office.share)
    assert dict(backend.listed(office.share).export_settings or ())["previousVersions"] == "true"
    (token,) = office.tokens()
    office.allow(ALICE, BOB, signing="required")
    assert "previousVersions" not in dict(backend.listed(office.share).export_settings or ())
    assert office.tokens() == []
    office.put("a", "new")
    assert office.read(token, "a") != "old"
    assert not office.versions.exists()
    office.allow(ALICE, BOB)
    assert office.tokens() == [token]


def test_who_makes_a_snapshot_shows_nothing_by_what_it_read_before(backend: OperationsLab) -> None:
    """Neither of a share that shows them no more, nor of one that is gone, whose name another may have."""
    versions = backend_of(backend.driver)._snapshots._versions
    records = backend_of(backend.driver)._records
    turned_off, gone = Office(backend, "turned-off"), Office(backend, "gone")
    for each in (turned_off, gone):
        backend.snapshot(each.share)
        assert len(list(each.versions.iterdir())) == 1
    rows = [records.share(str(each.share.resource_id)) for each in (turned_off, gone)]
    turned_off.allow(ALICE, BOB, encryption="optional", signing="required")
    backend.driver.delete_share(ref(gone.share))
    for row in rows:
        assert row is not None
        versions.show(row)
    assert not turned_off.versions.exists()
    assert not gone.versions.exists()


def test_a_hidden_recycle_bin_is_hidden_in_previous_versions_too(backend: OperationsLab) -> None:
    """Beside it, deleted files still go there."""
    office = Office(backend, "binned")
    office.put("a", "old")
    (office.folder / ".recycle").mkdir()
    os.chown(office.folder / ".recycle", 65534, 65534)
    office.put(".recycle/b", "thrown away")
    backend.snapshot(office.share)
    office.allow(ALICE, previousVersions="true", recycleBin=".recycle keepTree versions")
    (token,) = office.tokens()
    assert not office.ask(f'get "{token}\\.recycle\\b" /dev/stdout').is_ok
    assert office.read(token, "a") == "old"
    assert office.ask("del a").is_ok
    assert (office.folder / ".recycle/a").exists()


def test_they_are_there_again_after_a_restart(own_backend: OperationsLab) -> None:
    """As the storage host brings its servers back by itself."""
    office = Office(own_backend, "office")
    office.put("a", "old")
    own_backend.snapshot(office.share)
    tokens = office.tokens()
    restart(own_backend)
    assert backend_of(own_backend.open()).restore() == []
    assert office.tokens() == tokens
    assert office.read(tokens[0], "a") == "old"


def test_a_share_in_an_image_has_none_and_is_served(own_backend: OperationsLab) -> None:
    """Its snapshots are files that nobody mounts."""
    need("mkfs.ext4", "mkfs.xfs", file_system="xfs")
    folder = make_host_folder(str(own_backend.folder), "xfs", 3 << 30)
    driver: LinuxDriver = own_backend.open(pools={"fast": {"type": "image", "path": folder, "fileSystem": "ext4"}})
    driver.prepare()
    share: ObservedShare = driver.create_share(own_backend.request("office", "CIFS", size_bytes=64 * MIB))
    told = {"encryption": "optional", "signing": "required", **WITH}
    driver.update_access(replace(ref(share), export_settings=told), [ALICE], [ALICE], ())
    Path(folder, "office/a").write_text("new", encoding="ascii")
    driver.create_snapshot(ref(share), "5c5c0000-0000-4000-8000-000000000000", "monday")
    answer = smb(
        own_backend.network.client,
        own_backend.host.ipv4,
        "office",
        "alice",
        own_backend.passwords["ALICE"],
        "allinfo a",
    )
    assert answer.is_ok
    assert TOKEN.findall(answer.text) == []
