"""What the agent's operations promise of access by NFS, and of servers that are turned off: as asked, read back, and repaired."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.base import BackendUnavailableError, DriverError, TransientError
from sharectl.drivers.linux.agent import rights
from sharectl.drivers.linux.agent.contract import Problem, ProblemKind
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.nfs import exports
from sharectl.drivers.linux.agent.nfs.ganesha import server as ganesha
from sharectl.drivers.linux.agent.nfs.ganesha.bus import GaneshaBus
from sharectl.drivers.linux.agent.nfs.ganesha.configuration import export_text
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from sharectl.drivers.testing import shares_of
from sharectl.model.access import AccessRule
from tests.drivers.linux.lab import need, processes_in, run
from tests.drivers.linux.nfs_client import V3, nfs
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, STRANGE, new_id, ref

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.model.observed import ObservedShare
    from tests.drivers.linux.operations_lab import OperationsLab

NFS_WITH_LIBNFS = {"versions": ["4.0", "4.1", "4.2"]}


def server_file(backend: OperationsLab, name: str) -> Path:
    """Return a file of the backend's own servers."""
    return backend.folder / "root/servers/main" / name


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
    (line,) = (line.strip() for line in text.splitlines() if "Access_Type = RW" in line)
    assert line == (
        "CLIENT { Clients = 10.77.1.0/24; Access_Type = RW; Squash = Root_Squash; SecType = sys; "
        "PrivilegedPort = true; Anonymous_Uid = 65534; Anonymous_Gid = 65534; }"
    )


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "::ffff:10.77.1.21", "224.0.0.1"])  # noqa: S104 - a client
def test_an_address_of_nobody_opens_nothing_and_keeps_nobody_in(own_backend: OperationsLab, address: str) -> None:
    """Ganesha takes 0.0.0.0 for everybody: it never gets there. Who is to be out is out, whatever becomes of that rule."""
    own_backend.open(nfs=NFS_WITH_LIBNFS).prepare()
    driver = own_backend.open(nfs=NFS_WITH_LIBNFS)
    share = driver.create_share(own_backend.request("seen"))
    client, server = own_backend.network.client, own_backend.host.ipv4
    one = AccessRule("ip", client.ipv4, "rw")
    driver.update_access(ref(share), [one], [one], [])
    assert nfs(client, server, "/shares/seen", "put", "file", "content").is_done
    nobody = AccessRule("ip", address, "rw")
    statuses = driver.update_access(ref(share), [nobody], [nobody], [one])
    assert statuses[nobody].status == "error"
    for host in (client, own_backend.network.stranger):
        assert not nfs(host, server, "/shares/seen", "ls").is_done


def test_an_export_that_shows_more_than_was_asked_is_closed_to_who_is_not_to_be_in(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that slips through the checks opens the export to everybody: it is closed again before that is said.

    Who was in and may stay does stay, who was to go is out, and the next call makes all of it so.
    """
    own_backend.open(nfs=NFS_WITH_LIBNFS).prepare()
    driver = own_backend.open(nfs=NFS_WITH_LIBNFS)
    share = driver.create_share(own_backend.request("seen"))
    network, server = own_backend.network, own_backend.host.ipv4
    stays, goes = (AccessRule("ip", host.ipv4, "rw") for host in (network.client, network.server))
    driver.update_access(ref(share), [stays, goes], [stays, goes], [])
    everybody = AccessRule("ip", "0.0.0.0", "rw")  # noqa: S104 - a client
    with monkeypatch.context() as patched:
        for module in (rights, exports):
            patched.setattr(module, "nobody_at", lambda _: None)
        with pytest.raises(
            TransientError, match=r"differently from what it was given: .*; meanwhile the share is closed to all but"
        ):
            driver.update_access(ref(share), [stays, everybody], [everybody], [goes])
        assert nfs(network.client, server, "/shares/seen", "ls").is_done
        assert not nfs(network.stranger, server, "/shares/seen", "ls").is_done
        assert not nfs(network.server, server, "/shares/seen", "ls").is_done
        with pytest.raises(TransientError, match="meanwhile the share is closed to everybody"):
            driver.update_access(ref(share), [everybody], [everybody], [stays])
    assert not nfs(network.client, server, "/shares/seen", "ls").is_done
    assert not nfs(network.stranger, server, "/shares/seen", "ls").is_done
    driver.update_access(ref(share), [goes], [], [])
    assert nfs(network.server, server, "/shares/seen", "ls").is_done


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("PrivilegedPort = true", "PrivilegedPort = false"),
        ("Squash = Root_Squash", "Squash = No_Root_Squash"),
        ("Anonymous_Uid = 65534", "Anonymous_Uid = 0"),
    ],
)
def test_an_export_that_shows_another_treatment_than_was_asked_is_closed(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch, asked: str, shown: str
) -> None:
    """Even to those whom a rule lets in, since a user of theirs would be somebody else; the next call makes it so."""
    own_backend.open(nfs=NFS_WITH_LIBNFS).prepare()
    driver = own_backend.open(nfs=NFS_WITH_LIBNFS)
    share = driver.create_share(own_backend.request("seen"))
    client, server = own_backend.network.client, own_backend.host.ipv4
    one = AccessRule("ip", client.ipv4, "rw")
    with monkeypatch.context() as patched:
        patched.setattr(ganesha, "export_text", lambda export: export_text(export).replace(asked, shown))
        with pytest.raises(
            TransientError, match=r"differently from what it was given: .*; meanwhile the share is closed to everybody"
        ):
            driver.update_access(ref(share), [one], [one], [])
        assert not nfs(client, server, "/shares/seen", "ls").is_done
    driver.update_access(ref(share), [one], [], [])
    assert nfs(client, server, "/shares/seen", "ls").is_done


def test_an_export_whose_volume_cannot_be_bound_loses_who_is_to_go(own_backend: OperationsLab) -> None:
    """What keeps the new rules from being put in force keeps no old one there."""
    network, server = own_backend.network, own_backend.host.ipv4
    own_backend.open(nfs=NFS_WITH_LIBNFS).prepare()
    driver = own_backend.open(nfs=NFS_WITH_LIBNFS)
    share = driver.create_share(own_backend.request("seen"))
    one, other = (AccessRule("ip", host.ipv4, "rw") for host in (network.client, network.server))
    driver.update_access(ref(share), [one], [one], [])
    assert nfs(network.client, server, "/shares/seen", "ls").is_done
    mounts = driver._agent.backend._access.nfs  # type: ignore[attr-defined]

    def bind(*_: object) -> str:
        raise Problem(ProblemKind.TRANSIENT, "the folder cannot be bound")

    mounts._bind, bound = bind, mounts._bind
    with pytest.raises(TransientError, match="the folder cannot be bound; meanwhile the share is closed to everybody"):
        driver.update_access(ref(share), [other], [other], [one])
    mounts._bind = bound
    assert not nfs(network.client, server, "/shares/seen", "ls").is_done


def test_a_tightened_squash_reaches_an_export_that_exists(own_backend: OperationsLab) -> None:
    """A client's root is nobody from then on, the listing says so, and what was changed by hand is seen."""
    own_backend.open(nfs={**NFS_WITH_LIBNFS, "squash": "none"}).prepare()
    driver = own_backend.open(nfs={**NFS_WITH_LIBNFS, "squash": "none"})
    share = driver.create_share(own_backend.request("seen"))
    client, server = own_backend.network.client, own_backend.host.ipv4
    one = AccessRule("ip", client.ipv4, "rw")
    driver.update_access(ref(share), [one], [one], [])
    assert nfs(client, server, "/shares/seen", "mkdir", "roots").is_done
    settings = {"security": "sys", "squash": "all"}
    driver.update_access(replace(ref(share), export_settings=settings), [one], [], [])
    assert nfs(client, server, "/shares/seen", "mkdir", "nobodys").is_done
    assert [(own_backend.volume(share) / name).stat().st_uid for name in ("roots", "nobodys")] == [0, 65534]
    (listed,) = driver.list_shares([str(share.resource_id)])
    assert listed.access == (one,)
    assert settings.items() <= dict(listed.export_settings or ()).items()
    driver.update_access(ref(share), [one], [], [])
    (listed,) = driver.list_shares([str(share.resource_id)])
    assert settings.items() <= dict(listed.export_settings or ()).items()


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
    assert backend.access_of(share) == {STRANGE}
    run("chattr", "-i", str(backend.mount_point(share)))
    backend.mount_point(share).rmdir()
    assert backend.access_of(share) == {STRANGE}
    backend.allow(share, ANYBODY)
    assert backend.access_of(share) == {ANYBODY}


def test_an_export_of_another_folder_is_drift_and_repaired(backend: OperationsLab) -> None:
    """Also where its clients are right; and ended, where nobody is to have access."""
    share = backend.share("right", ANYBODY)
    tell_ganesha(backend, share, (f'"{backend.mount_point(share)}"', '"/srv"'))
    assert backend.access_of(share) == {STRANGE}
    backend.allow(share, ANYBODY)
    assert backend.access_of(share) == {ANYBODY}
    tell_ganesha(backend, share, (f'"{backend.mount_point(share)}"', '"/srv"'))
    backend.allow(share)
    assert backend.access_of(share) == set()
    assert not nfs(backend.network.client, backend.host.ipv4, "/shares/right", "ls").is_done


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
    assert backend.access_of(share) == {STRANGE}
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


def test_access_that_nobody_asks_for_any_more_does_not_come_back_with_the_server(own_backend: OperationsLab) -> None:
    """A share that was listed as closed while the server was down gets no step where its rules went from the manifest meanwhile."""
    first, second = (own_backend.share(name, ANYBODY) for name in ("first", "second"))
    kill(server_file(own_backend, "nfs/pid"))
    assert [share.access for share in own_backend.driver.list_shares()] == [(), ()]
    own_backend.allow(first, ANYBODY)
    assert (own_backend.access_of(first), own_backend.access_of(second)) == ({ANYBODY}, set())
    own_backend.allow(second, ANYBODY)
    assert own_backend.access_of(first) == own_backend.access_of(second) == {ANYBODY}


def test_another_process_brings_back_only_what_it_was_asked_for(own_backend: OperationsLab) -> None:
    """It has not seen what the others had in force."""
    first, second = (own_backend.share(name, ANYBODY) for name in ("first", "second"))
    kill(server_file(own_backend, "nfs/pid"))
    own_backend.open().update_access(ref(first), [ANYBODY], [], [])
    assert (own_backend.access_of(first), own_backend.access_of(second)) == ({ANYBODY}, set())


def test_less_access_is_stored_before_the_server_is_started(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However that ends, no later start brings the wider access back."""
    one = AccessRule("ip", "10.77.1.9", "ro")
    share = own_backend.share("narrow", ANYBODY)
    kill(server_file(own_backend, "nfs/pid"))

    def broken(*_: object) -> None:
        raise Problem(ProblemKind.UNAVAILABLE, "the server does not start")

    with monkeypatch.context() as patched:
        patched.setattr(GaneshaServer, "ensure_running", broken)
        with pytest.raises(BackendUnavailableError, match="the server does not start"):
            own_backend.allow(share, one)
    stored = server_file(own_backend, f"nfs/exports.d/{export_id(own_backend, share)}.conf").read_text(encoding="utf-8")
    assert "10.77.1.9" in stored
    assert "10.77.1.0/24" not in stored


def test_a_shell_in_the_mount_point_keeps_no_access_alive(backend: OperationsLab) -> None:
    """The mount goes out of its sight."""
    share = backend.share("visited", ANYBODY)
    with subprocess.Popen(["/bin/sleep", "60"], cwd=backend.mount_point(share)) as visitor:
        try:
            backend.allow(share)
            assert not backend.mount_point(share).exists()
            assert backend.access_of(share) == set()
        finally:
            visitor.kill()


def test_an_export_that_lost_records_left_makes_room_for_the_share(own_backend: OperationsLab) -> None:
    """Its path is that of a share which was taken over anew."""
    for name in ("first", "second"):
        own_backend.share(name, ANYBODY)
    own_backend.driver.close()
    for path in own_backend.folder.glob("root/records.sqlite*"):
        path.unlink()
    driver = own_backend.open()
    driver.prepare()
    adopted = driver.adopt_share("fast/second", new_id(), None)
    driver.update_access(ref(adopted), [ANYBODY], [ANYBODY], [])
    assert [listed.access for listed in driver.list_shares([str(adopted.resource_id)])] == [(ANYBODY,)]


def test_an_export_that_the_server_refuses_is_told(backend: OperationsLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of another share is removed for it."""
    share, other = backend.share("unwanted"), backend.share("wanted", ANYBODY)

    def refused(*_: object) -> bool:
        raise Problem(ProblemKind.REFUSED, "the server does not like it")

    with monkeypatch.context() as patched:
        patched.setattr(GaneshaServer, "put", refused)
        with pytest.raises(DriverError, match="the server does not like it"):
            backend.allow(share, ANYBODY)
    assert backend.access_of(other) == {ANYBODY}


def test_a_server_that_ends_as_often_as_it_is_started_is_told(
    backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is to be repeated."""
    share = backend.share("unlucky")

    def down(*_: object) -> bool:
        return False

    with monkeypatch.context() as patched:
        patched.setattr(GaneshaServer, "put", down)
        with pytest.raises(TransientError, match="was started but ended at once; its log"):
            backend.allow(share, ANYBODY)
    assert backend.access_of(share) == set()


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


# Servers that the settings turn off


@pytest.mark.parametrize(
    ("changes", "protocol", "rules"),
    [({"nfs": {"server": "none"}}, "NFS", [ANYBODY]), ({"smb": {"enabled": False}}, "CIFS", [ANYBODY])],
)
def test_a_protocol_that_is_turned_off_gives_no_access(
    own_backend: OperationsLab, changes: dict[str, Any], protocol: str, rules: Iterable[AccessRule]
) -> None:
    """It is not reported, a new share and a change of access are refused, and a share that is there can be deleted."""
    before = own_backend.open()
    before.prepare()
    share = before.create_share(own_backend.request("quiet", protocol))
    driver = own_backend.open(**changes)
    assert protocol not in driver.report().protocols
    with pytest.raises(DriverError, match=f"{protocol} server"):
        driver.create_share(own_backend.request("another", protocol))
    with pytest.raises(DriverError, match=f"the backend has no {protocol} server; its settings turn it off"):
        driver.update_access(ref(share), list(rules), [], [])
    assert shares_of(driver) == [share]
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
    assert shares_of(driver) == [share]
    if not Path("/proc/fs/nfsd/threads").exists():
        with pytest.raises((DriverError, BackendUnavailableError), match="NFS server"):
            driver.update_access(ref(share), [ANYBODY], [ANYBODY], [])
    driver.delete_share(ref(share))
    assert list(driver.list_shares()) == []


def test_clients_of_nfsv4_are_in_without_rpcbind_and_are_seen_and_shut_out(own_backend: OperationsLab) -> None:
    """What is missing counts as drift, and comes back with the next change that lets somebody in."""
    need("rpcbind")
    settings = {"versions": ["3", *NFS_WITH_LIBNFS["versions"]]}
    own_backend._prepared = own_backend.open(nfs=settings)
    own_backend.driver.prepare()
    share = own_backend.share("office", ANYBODY)
    client, address = own_backend.network.client, own_backend.host.ipv4

    def is_served(port: int) -> bool:
        return nfs(client, address, "/shares/office", "ls", port=port).is_done

    def kill_rpcbind() -> None:
        (pid,) = processes_in(str(server_file(own_backend, "nfs/rpcbind")))
        os.kill(pid, signal.SIGKILL)
        daemons.wait_until(lambda: not processes_in(str(server_file(own_backend, "nfs/rpcbind"))), "it does not end")

    kill_rpcbind()
    own_backend._prepared = own_backend.open(nfs=settings)  # as another run has it
    assert own_backend.access_of(share) == {ANYBODY, STRANGE}
    assert is_served(2049)
    own_backend.allow(share, ANYBODY)
    assert own_backend.access_of(share) == {ANYBODY}
    assert (is_served(2049), is_served(V3)) == (True, True)
    kill_rpcbind()
    own_backend.allow(share)
    assert not is_served(2049)
    assert own_backend.access_of(share) == set()
