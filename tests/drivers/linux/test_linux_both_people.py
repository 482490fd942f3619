"""People and clients of shares with both protocols: groups, guests, who is kept out, who is shut out while at work, locks, and sizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.model.access import BOTH, AccessRule
from tests.drivers.linux import nfs_client, smb_file
from tests.drivers.linux.backends import PASSWORDS
from tests.drivers.linux.both_lab import LIBNFS, READER, RULES, WRITER, Office
from tests.drivers.linux.lab import need
from tests.drivers.linux.operations_lab import ALICE, BOB, MIB, OperationsLab
from tests.drivers.linux.smb_client import smb
from tests.drivers.linux.test_linux_disk_free import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.drivers.linux.lab import Host, Network

    _Locker = tuple[Callable[..., AbstractContextManager[None]], tuple[Any, ...]]

STAFF = AccessRule("group", "staff", "rw")
EVERYBODY = AccessRule("user", "*", "ro")
GUESTS = AccessRule("guest", "*", "ro")
NETWORK = AccessRule("ip", "10.77.1.0/24", "rw")
NOT_GRANTED = "0xc000005[45]"
"""STATUS_LOCK_NOT_GRANTED, and STATUS_FILE_LOCK_CONFLICT of whoever asks again."""

LOGIN = ("alice", PASSWORDS["ALICE"])


@pytest.fixture(scope="module")
def lab(module_directory: str, network: Network) -> Iterator[OperationsLab]:
    """Give one backend to all tests of the module: alice is of the staff, guests can be let in, and the pool `images` has image files."""
    need("mkfs.btrfs", "mkfs.ext4", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    lab = OperationsLab(module_directory, network, network.server)
    images = Path(module_directory, "images")
    images.mkdir()
    users: dict[str, Any] = {name.lower(): {"password": {"env": name}} for name in PASSWORDS}
    lab._prepared = lab.open(
        nfs=LIBNFS,
        smb={"users": users, "groups": {"staff": ["alice"]}, "guests": True},
        pools={"fast": lab.pool, "images": {"type": "image", "path": str(images)}},
    )
    lab.driver.prepare()
    yield lab
    lab.close()


def may(office: Office, user: str, host: Host | None = None) -> str:
    """Return what somebody may do over SMB: write, read or nothing; without a name, a guest."""
    who, options = host or office.lab.network.client, () if user else ("--no-pass",)
    secret = PASSWORDS[user.upper()] if user else ""
    said = smb(who, office.lab.host.ipv4, office.name, user, secret, "ls; mkdir made; rmdir made", *options)
    if "blocks of size" not in said.text:
        return "nothing"
    return "write" if said.is_ok else "read"


def over_nfs(office: Office, host: Host | None = None) -> str:
    """Return what a host may do over NFS."""
    if office.nfs("mkdir", "made", host=host).is_done:
        assert office.nfs("rmdir", "made", host=host).is_done
        return "write"
    return "read" if office.nfs("ls", host=host).is_done else "nothing"


def test_groups_and_all_users_come_over_smb_alone_from_where_clients_may_write(lab: OperationsLab) -> None:
    """A rule for one user, or for a group, is in place of that for all; none of them lets a host in over NFS."""
    office, network = Office(lab, "staff", WRITER, READER, STAFF, EVERYBODY), lab.network
    assert office.access == {WRITER, READER, STAFF, EVERYBODY}
    assert (may(office, "alice"), may(office, "bob"), may(office, "")) == ("write", "read", "nothing")
    hosts = (network.other_client, network.stranger)
    assert [may(office, "alice", host) for host in hosts] == ["nothing", "nothing"]
    assert [over_nfs(office, host) for host in (network.client, *hosts)] == ["write", "read", "nothing"]
    office.allow(STAFF, EVERYBODY)
    assert over_nfs(office) == "nothing"
    assert may(office, "bob", network.stranger) == "read"
    office.allow(WRITER, AccessRule("group", "staff", "none"), EVERYBODY)
    assert (may(office, "alice"), may(office, "bob")) == ("nothing", "read")
    office.allow(WRITER, STAFF)
    assert (may(office, "alice"), may(office, "bob")) == ("write", "nothing")


def test_guests_come_where_a_rule_lets_them_in(lab: OperationsLab) -> None:
    """With what NFS clients made, to read alone; neither into another share, nor from where none may write."""
    public, private = Office(lab, "public", WRITER, GUESTS, ALICE), Office(lab, "private", WRITER, ALICE)
    assert public.access == {WRITER, GUESTS, ALICE}
    assert public.nfs("put", "a", "x").is_done
    assert [may(public, user) for user in ("", "alice", "bob")] == ["read", "write", "read"]
    assert may(private, "") == "nothing"
    for host in (lab.network.other_client, lab.network.stranger):
        assert may(public, "", host) == "nothing"
        assert over_nfs(public, host) == "nothing"
    wrong = smb(lab.network.client, lab.host.ipv4, "public", "alice", "wrong", "ls")
    assert "NT_STATUS_LOGON_FAILURE" in wrong.text
    public.allow(WRITER, ALICE)
    assert [may(public, user) for user in ("", "alice")] == ["nothing", "write"]


def test_one_host_and_one_user_are_kept_out_of_wider_rules(lab: OperationsLab) -> None:
    """The host over both protocols, whoever works there, guests too; the user over SMB, wherever."""
    client, other = lab.network.client, lab.network.other_client
    hole, shut_out = AccessRule("ip", client.ipv4, "none"), AccessRule("user", "alice", "none")
    office = Office(lab, "holes", NETWORK, hole, EVERYBODY, GUESTS, STAFF)
    assert [may(office, user, client) for user in ("alice", "bob", "")] == ["nothing"] * 3
    assert [may(office, user, other) for user in ("alice", "bob", "")] == ["write", "read", "read"]
    assert (over_nfs(office, client), over_nfs(office, other)) == ("nothing", "write")
    office.allow(NETWORK, EVERYBODY, STAFF, shut_out)
    assert office.access == {NETWORK, EVERYBODY, STAFF, shut_out}
    assert [may(office, user, client) for user in ("alice", "bob")] == ["nothing", "read"]
    assert [may(office, user, other) for user in ("alice", "bob")] == ["nothing", "read"]
    assert over_nfs(office, client) == "write"


def test_who_has_a_file_open_writes_no_more_when_the_rule_goes(lab: OperationsLab) -> None:
    """Over the protocol whose rule goes; who works over the other goes on, up to the end of that one's."""
    office = Office(lab, "at-work", WRITER, ALICE)
    address, client = lab.host.ipv4, lab.network.client
    with (
        nfs_client.held(client, address, "/shares/at-work", "n") as over_nfs,
        smb_file.held(client, address, "at-work", LOGIN, "s") as over_smb,
    ):
        assert over_nfs.write().text == over_smb.write().text == "done"
        office.allow(WRITER, BOB)
        assert not over_smb.write().is_done
        assert over_nfs.write().text == "done"
        office.allow(READER, WRITER._replace(access_level="ro"))
        assert not over_nfs.write().is_done
    office.allow(*RULES)
    with (
        nfs_client.held(client, address, "/shares/at-work", "n") as over_nfs,
        smb_file.held(client, address, "at-work", LOGIN, "s") as over_smb,
    ):
        office.allow(AccessRule("ip", lab.network.other_client.ipv4, "rw"), ALICE)
        assert not over_nfs.write().is_done
        assert not over_smb.write().is_done
        office.allow()
        assert not over_nfs.write().is_done
        assert not over_smb.write().is_done


def test_bytes_that_one_side_has_locked_are_refused_to_the_other(lab: OperationsLab) -> None:
    """Whoever was the first; bytes that nobody has locked can be locked by either."""
    office, address, client = Office(lab, "locks"), lab.host.ipv4, lab.network.client
    for name in ("a", "b"):
        assert office.put(name, "x").is_ok
    over_nfs = nfs_client.locked, (client, address, "/shares/locks")
    over_smb = smb_file.locked, (client, address, "locks", LOGIN)

    def said_of_lock(name: str, *, after: _Locker, of: _Locker) -> str:
        """Return how a lock is refused that is asked for while another is held."""
        (take, first), (ask, second) = after, of
        with take(*first, name), pytest.raises(RuntimeError) as refused, ask(*second, name):
            pass
        return str(refused.value)

    assert "NFS4ERR_DENIED" in said_of_lock("a", after=over_smb, of=over_nfs)
    assert re.search(NOT_GRANTED, said_of_lock("b", after=over_nfs, of=over_smb))


def test_clients_of_both_are_told_a_size(lab: OperationsLab) -> None:
    """Those of SMB that of the share, those of NFS that of the file system: of an image the share's too, on btrfs the pool's."""
    for pool, are_told_of_share in (("fast", False), ("images", True)):
        made = lab.share(f"sized-{pool}", *RULES, protocol=BOTH, pool=pool, size_bytes=64 * MIB)
        size, free = told(lab, made.name)
        assert 48 * MIB < free <= size <= 64 * MIB
        over_nfs = nfs_client.nfs(lab.network.client, lab.host.ipv4, f"/shares/{made.name}", "free")
        assert (int(over_nfs.text) <= 64 * MIB) is are_told_of_share
