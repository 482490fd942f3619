"""What the agent's operations promise of access: put in force as asked, read back from the servers, repaired where others changed it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import BackendUnavailableError, ConflictError, DriverError, TransientError
from sharectl.drivers.linux.agent import daemons
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind, Section
from sharectl.drivers.linux.agent.ganesha_bus import GaneshaBus
from sharectl.drivers.linux.agent.samba import SambaServer
from sharectl.model import AccessRule
from tests.drivers.linux.lab import need, run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, BOB, ref
from tests.drivers.linux.smb_client import smb, write

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.drivers.base import ObservedShare
    from tests.drivers.linux.operations_lab import OperationsLab

NFS_WITH_LIBNFS = {"versions": ["4.0", "4.1", "4.2"]}


def server_file(backend: OperationsLab, name: str) -> Path:
    """Return a file of the backend's own servers."""
    return backend.folder / "root/servers/main" / name


def users_of(backend: OperationsLab) -> frozenset[str]:
    """Return the users that the SMB server has."""
    return backend.driver._agent.backend._room.servers("main").smb.users()  # type: ignore[attr-defined,no-any-return]


def tell_ganesha(backend: OperationsLab, share: ObservedShare, change: tuple[str, str]) -> None:
    """Change an export of the running server by hand, as an administrator might."""
    number = export_id(backend, share)
    stored = server_file(backend, f"nfs/exports.d/{number}.conf")
    edited = backend.folder / "edited.conf"
    text = stored.read_text(encoding="utf-8")
    assert change[0] in text
    edited.write_text(text.replace(*change), encoding="utf-8")
    bus = GaneshaBus(str(server_file(backend, "nfs/bus")))
    bus.call("RemoveExport", "q", number)
    bus.call("AddExport", "ss", str(edited), f"EXPORT(Export_Id={number})")
    bus.close()


def export_id(backend: OperationsLab, share: ObservedShare) -> int:
    """Return the number of the share's export."""
    row = backend.driver._agent.backend._records.share(share.resource_id)  # type: ignore[attr-defined]
    number: int = row.export_id
    return number


def kill(pid_file: Path) -> None:
    """Kill a daemon and wait for its end."""
    pid = int(pid_file.read_text(encoding="ascii").split()[0])
    os.kill(pid, signal.SIGKILL)
    daemons.wait_until(lambda: not daemons.is_process(pid, "/"), "it does not end")


# NFS


def test_what_an_nfs_server_cannot_do_is_told_and_the_rest_is_in_force(backend: OperationsLab) -> None:
    """Each rule has its own status; nothing but an address reaches the server."""
    share = backend.share("mixed")
    hostile = AccessRule("ip", '10.0.0.1; } CLIENT { Clients = *; Access_Type = RW; "', "rw")
    statuses = backend.allow(share, ANYBODY, ALICE, hostile)
    assert {rule: status.status for rule, status in statuses.items()} == {
        ANYBODY: "active",
        ALICE: "error",
        hostile: "error",
    }
    assert backend.access_of(share) == {ANYBODY}
    text = server_file(backend, f"nfs/exports.d/{export_id(backend, share)}.conf").read_text(encoding="utf-8")
    assert [line.strip() for line in text.splitlines() if "Access_Type = RW" in line] == [
        "CLIENT { Clients = 10.77.1.0/24; Access_Type = RW; Squash = No_Root_Squash; SecType = sys; }"
    ]


def test_without_rules_nothing_is_exported(backend: OperationsLab) -> None:
    """Nor bound anywhere."""
    share = backend.share("closed", ANYBODY)
    backend.allow(share)
    assert backend.access_of(share) == set()
    assert not backend.mount_point(share).exists()
    assert not server_file(backend, f"nfs/exports.d/{export_id(backend, share)}.conf").exists()


def test_the_mount_point_cannot_be_written_where_nothing_is_mounted(backend: OperationsLab) -> None:
    """So that no data ends beside the volume."""
    share = backend.share("bound", ANYBODY)
    run("umount", "-l", str(backend.mount_point(share)))
    with pytest.raises(PermissionError):
        (backend.mount_point(share) / "lost").touch()
    backend.allow(share, ANYBODY)


def test_a_mount_that_somebody_took_away_is_drift_and_repaired(backend: OperationsLab) -> None:
    """What is exported then is not the share."""
    share = backend.share("unbound", ANYBODY)
    run("umount", "-l", str(backend.mount_point(share)))
    assert backend.access_of(share) == set()
    backend.allow(share, ANYBODY)
    assert backend.access_of(share) == {ANYBODY}


def test_an_export_of_another_folder_is_drift_and_repaired(backend: OperationsLab) -> None:
    """Also where its clients are right."""
    share = backend.share("right", ANYBODY)
    tell_ganesha(backend, share, (f'"{backend.mount_point(share)}"', '"/srv"'))
    assert backend.access_of(share) == set()
    backend.allow(share, ANYBODY)
    assert backend.access_of(share) == {ANYBODY}


def test_a_rule_that_somebody_added_is_seen(backend: OperationsLab) -> None:
    """As the access that is in force."""
    share = backend.share("opened", ANYBODY)
    tell_ganesha(backend, share, ("10.77.1.0/24", "10.77.0.0/16"))
    assert backend.access_of(share) == {AccessRule("ip", "10.77.0.0/16", "rw")}
    backend.allow(share, ANYBODY)
    assert backend.access_of(share) == {ANYBODY}


@pytest.mark.parametrize(("squash", "option"), [("root", "Root_Squash"), ("all", "All_Squash")])
def test_a_share_type_can_ask_for_another_squash(backend: OperationsLab, squash: str, option: str) -> None:
    """One that somebody changed is drift, and repaired."""
    share = backend.share(f"squash-{squash}", ANYBODY, extra_specs={"linux:nfs_squash": squash})
    text = server_file(backend, f"nfs/exports.d/{export_id(backend, share)}.conf").read_text(encoding="utf-8")
    assert option in text
    tell_ganesha(backend, share, (option, "No_Root_Squash"))
    assert backend.access_of(share) == set()
    backend.allow(share, ANYBODY)
    assert backend.access_of(share) == {ANYBODY}


@pytest.mark.parametrize("squash", ["", "Root", 'none"; } EXPORT {', "root\n"])
def test_a_squash_that_is_none_makes_no_share(backend: OperationsLab, squash: str) -> None:
    """It is named with those that there are."""
    request = backend.request("squashed", extra_specs={"linux:nfs_squash": squash})
    with pytest.raises(
        DriverError, match=r"the extra spec linux:nfs_squash of the share type is .*; it can be none, root, all"
    ):
        backend.driver.create_share(request)
    assert list(backend.driver.list_shares([request.resource_id])) == []


def test_a_server_that_was_killed_comes_back_with_all_that_it_exported(own_backend: OperationsLab) -> None:
    """By the next change of any share; what is not the volume any more stays out."""
    first, second, gone = (own_backend.share(name, ANYBODY) for name in ("first", "second", "gone"))
    renamed = own_backend.share("renamed", ANYBODY)
    kill(server_file(own_backend, "nfs/pid"))
    assert own_backend.access_of(first) == set()
    for share in (gone, second):
        run("umount", "-l", str(own_backend.mount_point(share)))
    run("btrfs", "subvolume", "delete", str(own_backend.volume(gone)))
    records = own_backend.driver._agent.backend._records  # type: ignore[attr-defined]
    records.update_share(renamed.resource_id, export_name="other", export_key="other")
    own_backend.allow(first, ANYBODY)
    assert own_backend.access_of(first) == own_backend.access_of(second) == {ANYBODY}
    assert own_backend.access_of(renamed) == set()
    assert {path.name for path in server_file(own_backend, "nfs/exports.d").iterdir()} == {
        f"{export_id(own_backend, share)}.conf" for share in (first, second)
    }


def test_clients_see_what_the_agent_says(own_backend: OperationsLab) -> None:
    """The share, not the folder that it is bound to."""
    own_backend.open(nfs=NFS_WITH_LIBNFS).prepare()
    driver = own_backend.open(nfs=NFS_WITH_LIBNFS)
    share = driver.create_share(own_backend.request("seen"))
    driver.update_access(ref(share), [ANYBODY], [ANYBODY], [])
    client, address = own_backend.network.client, own_backend.host.ipv4
    assert nfs(client, address, "/shares/seen", "put", "file", "content").is_done
    assert (own_backend.volume(share) / "file").read_text(encoding="utf-8") == "content"
    run("umount", "-l", str(own_backend.mount_point(share)))
    driver.update_access(ref(share), [ANYBODY], [], [])
    assert nfs(client, address, "/shares/seen", "cat", "file").text == "content"


# SMB


def test_without_users_nobody_gets_in_by_smb(backend: OperationsLab) -> None:
    """An address says from where, not who."""
    share = backend.share("nobody", ANYBODY, protocol="CIFS")
    assert backend.access_of(share) == {ANYBODY}
    answer = smb(backend.network.client, backend.host.ipv4, "nobody", "alice", "one-Secret", "ls")
    assert "NT_STATUS_" in answer.text
    backend.allow(share)
    assert backend.access_of(share) == set()


def test_a_user_lives_as_long_as_a_share_names_it(backend: OperationsLab) -> None:
    """Whether the last rule or the last share goes."""
    one, two = (backend.share(name, ALICE, BOB, protocol="CIFS") for name in ("one", "two"))
    assert users_of(backend) == {"alice", "bob"}
    backend.allow(one, BOB)
    assert users_of(backend) == {"alice", "bob"}
    backend.allow(two, BOB)
    assert users_of(backend) == {"bob"}
    backend.driver.delete_share(ref(one))
    backend.driver.trash_share(ref(two))
    assert users_of(backend) == frozenset()


def test_a_password_that_was_changed_in_the_manifest_is_drift_and_repaired(own_backend: OperationsLab) -> None:
    """Until then the user counts as one who has no access."""
    share = own_backend.share("office", ALICE, BOB, protocol="CIFS")
    own_backend.passwords["ALICE"] = "new-Secret"
    assert own_backend.access_of(share) == {BOB}
    own_backend.allow(share, ALICE, BOB)
    assert own_backend.access_of(share) == {ALICE, BOB}
    client, address = own_backend.network.client, own_backend.host.ipv4
    assert "NT_STATUS_LOGON_FAILURE" in smb(client, address, "office", "alice", "one-Secret", "ls").text
    assert write(client, address, "office", "alice", "new-Secret").is_ok


def test_a_user_whose_password_cannot_be_had_gets_no_access_and_the_others_do(own_backend: OperationsLab) -> None:
    """The rule says why; one that was in force before goes, and nothing of the reference is lost."""
    share = own_backend.share("office", ALICE, protocol="CIFS")
    del own_backend.passwords["ALICE"]
    assert own_backend.access_of(share) == {ALICE}, "what is in force is seen without the password"
    statuses = own_backend.allow(share, ALICE, BOB)
    assert statuses[BOB].status == "active"
    assert statuses[ALICE].status == "error"
    assert statuses[ALICE].reason == "the password of alice cannot be had: the environment variable ALICE is not set"
    assert own_backend.access_of(share) == {BOB}


def test_users_in_the_notation_of_windows(own_backend: OperationsLab) -> None:
    r"""`MAIN\carol` is a user of the server; those of a domain are refused each by itself."""
    users = {name: {"password": {"env": "ALICE"}} for name in ("carol", "dave", "root")}
    driver = own_backend.open(smb={"users": users})
    driver.prepare()
    share = driver.create_share(own_backend.request("windows", "CIFS"))
    carol, again, dave, root = (
        AccessRule("user", name, "ro") for name in ("MAIN\\Carol", "carol", "CORP\\dave", "root")
    )
    statuses = driver.update_access(ref(share), [carol, again, dave, root], [], [])
    assert statuses[carol].status == "active"
    assert statuses[again].reason == "another rule names the same user; Samba sees no difference of case"
    assert "belongs to a domain" in statuses[dave].reason
    assert "needs the account root itself" in statuses[root].reason
    (listed,) = driver.list_shares()
    assert listed.access == (carol,)
    other = driver.create_share(own_backend.request("other", "CIFS"))
    driver.update_access(ref(other), [again], [], [])
    driver.update_access(ref(other), [], [], [again])
    answer = smb(own_backend.network.client, own_backend.host.ipv4, "windows", "carol", "one-Secret", "ls")
    assert answer.is_ok, "the user lives as long as a share names it, in any notation"


def test_a_user_that_the_settings_do_not_name(backend: OperationsLab) -> None:
    """Has no password, and gets no account."""
    share = backend.share("strangers", protocol="CIFS")
    mallory = AccessRule("user", 'mallory"\n[evil]', "rw")
    statuses = backend.allow(share, mallory)
    assert "cannot exist on an SMB server" in statuses[mallory].reason
    stranger = AccessRule("user", "carol", "rw")
    assert "the backend knows no user 'carol'" in backend.allow(share, stranger)[stranger].reason
    assert backend.access_of(share) == set()
    assert not users_of(backend)


def test_a_section_that_somebody_changed_is_drift_and_repaired(own_backend: OperationsLab) -> None:
    """Another user, or another folder."""
    share = own_backend.share("office", BOB, protocol="CIFS")
    conf = server_file(own_backend, "smb/shares.conf")
    for change in (("read only = yes", "read only = no"), (str(own_backend.volume(share)), "/etc")):
        text = conf.read_text(encoding="utf-8")
        assert change[0] in text
        conf.write_text(text.replace(*change), encoding="utf-8")
        assert own_backend.access_of(share) != {BOB}
        own_backend.allow(share, BOB)
        assert own_backend.access_of(share) == {BOB}


def test_a_share_whose_volume_was_replaced_by_a_link_is_not_reachable(own_backend: OperationsLab) -> None:
    """What the section leads to is no folder of ours any more."""
    share = own_backend.share("office", BOB, protocol="CIFS")
    volume = own_backend.volume(share)
    volume.rename(volume.with_name("aside"))
    volume.symlink_to("/etc")
    assert list(own_backend.driver.list_shares([str(share.resource_id)])) == []
    assert [listed.resource_id for listed in own_backend.driver.list_shares()] == [None]
    with pytest.raises(ConflictError, match="is no subvolume, so it is left alone; move it away"):
        own_backend.driver.delete_share(ref(share))
    assert (volume.with_name("aside")).is_dir()


def test_an_smb_server_that_was_killed_comes_back(own_backend: OperationsLab) -> None:
    """With its sections and users."""
    share = own_backend.share("office", ALICE, protocol="CIFS")
    kill(server_file(own_backend, "smb/run/smbd.pid"))
    assert own_backend.access_of(share) == set()
    own_backend.allow(share, ALICE)
    assert own_backend.access_of(share) == {ALICE}
    assert write(own_backend.network.client, own_backend.host.ipv4, "office", "alice", "one-Secret").is_ok


def test_a_user_who_cannot_be_made_just_now_fails_the_call(
    backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To be repeated; that is no mistake of the rule's."""
    share = backend.share("later", protocol="CIFS")

    def busy(*_: object) -> None:
        raise Problem(ProblemKind.TRANSIENT, "pdbedit does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(SambaServer, "ensure_user", busy)
        with pytest.raises(TransientError, match="pdbedit does not answer"):
            backend.allow(share, ALICE)
    assert backend.access_of(share) == set()
    assert backend.allow(share, ALICE)[ALICE].status == "active"


def test_users_that_a_killed_call_left_go_with_the_share(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were made before the section that names them."""
    share = own_backend.share("office", protocol="CIFS")

    def killed(_self: SambaServer, _section: Section) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(SambaServer, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            own_backend.allow(share, ALICE)
    assert users_of(own_backend) == {"alice"}
    own_backend.driver.delete_share(ref(share))
    assert users_of(own_backend) == frozenset()


# Servers that the settings turn off


@pytest.mark.parametrize(
    ("changes", "protocol", "rules"),
    [({"nfs": {"server": "none"}}, "NFS", [ANYBODY]), ({"smb": {"enabled": False}}, "CIFS", [ANYBODY])],
)
def test_a_protocol_that_is_turned_off_gives_no_access(
    own_backend: OperationsLab, changes: dict[str, object], protocol: str, rules: Iterable[AccessRule]
) -> None:
    """It is not reported, a change of access is refused, and the share can be deleted."""
    driver = own_backend.open(**changes)
    driver.prepare()
    assert protocol not in driver.report().protocols
    share = driver.create_share(own_backend.request("quiet", protocol))
    with pytest.raises(DriverError, match=f"the backend has no {protocol} server; its settings turn it off"):
        driver.update_access(ref(share), list(rules), [], [])
    assert list(driver.list_shares()) == [share]
    driver.delete_share(ref(share))
    assert list(driver.list_shares()) == []


def test_a_share_that_was_exported_before_nfs_was_turned_off_is_deleted_whole(own_backend: OperationsLab) -> None:
    """With the mount of its volume."""
    share = own_backend.share("projects", ANYBODY)
    own_backend.driver._agent.backend._room.servers("main").nfs.stop()  # type: ignore[attr-defined]
    own_backend.open(nfs={"server": "none"}).delete_share(ref(share))
    assert not own_backend.mount_point(share).exists()
    assert not own_backend.volume(share).exists()


def test_the_nfs_server_of_the_kernel_can_be_asked_for(own_backend: OperationsLab) -> None:
    """Where the kernel has none, that is said when access is given; the share is there all the same."""
    need("ip")
    driver = own_backend.open(nfs={"server": "kernel"}, namespace=None, addresses=["127.0.0.1"])
    driver.prepare()
    share = driver.create_share(own_backend.request("kernel"))
    assert list(driver.list_shares()) == [share]
    if not Path("/proc/fs/nfsd/threads").exists():
        with pytest.raises((DriverError, BackendUnavailableError), match="NFS server"):
            driver.update_access(ref(share), [ANYBODY], [ANYBODY], [])
    driver.delete_share(ref(share))
    assert list(driver.list_shares()) == []
