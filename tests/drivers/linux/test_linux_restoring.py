"""What comes back by itself after a restart of the storage host or the end of a server, and what does not."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from sharectl.drivers.linux.agent import restoring
from sharectl.drivers.linux.agent.host import daemons
from sharectl.drivers.linux.agent.locks import changes_lock
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from sharectl.model.access import AccessRule
from tests.drivers.linux.agents import wait_for
from tests.drivers.linux.lab import kill_processes_of, restart_host, run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, MIB, ref
from tests.drivers.linux.smb_client import smb, write

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import pytest

    from sharectl.drivers.linux.agent.contract import Export
    from sharectl.drivers.linux.agent.operations import Backend
    from sharectl.drivers.linux.driver import LinuxDriver
    from tests.drivers.linux.operations_lab import OperationsLab

PATIENCE_SECONDS = 300.0
NFS = {"nfs": {"versions": ["4.0", "4.1", "4.2"]}}
"""Settings with the version that the tests' client speaks."""


def backend_of(driver: LinuxDriver) -> Backend:
    """Return the agent's operations behind a driver."""
    backend: Backend = driver._agent.backend  # type: ignore[attr-defined]
    return backend


def restart(lab: OperationsLab) -> None:
    """Leave the host as it is after a start: nothing runs, nothing is mounted."""
    restart_host(str(lab.folder))


def writes(lab: OperationsLab, name: str) -> bool:
    """Tell whether an NFS client writes into a share."""
    return nfs(lab.network.client, lab.host.ipv4, f"/shares/{name}", "put", "a-file", "text").is_done


def lists(lab: OperationsLab, name: str) -> bool:
    """Tell whether alice lists a share over SMB."""
    return smb(lab.network.client, lab.host.ipv4, name, "alice", lab.passwords["ALICE"], "ls").is_ok


def test_after_a_restart_all_is_served_again(own_backend: OperationsLab) -> None:
    """Pools, mounts, both servers with their users: from what the storage host itself has written down."""
    driver = own_backend.open(**NFS)
    driver.prepare()
    own_backend._prepared = driver
    own_backend.share("projects", ANYBODY)
    office = own_backend.share("office", ALICE, protocol="CIFS")
    closed = own_backend.share("closed")
    assert writes(own_backend, "projects")
    restart(own_backend)

    restarted = own_backend.open(**NFS)
    backend = backend_of(restarted)
    assert backend.has_ended()
    assert backend.restore() == []
    assert not backend.has_ended()
    assert nfs(own_backend.network.client, own_backend.host.ipv4, "/shares/projects", "cat", "a-file").text == "text"
    address = own_backend.host.ipv4
    assert write(own_backend.network.client, address, "office", "alice", own_backend.passwords["ALICE"]).is_ok
    access = {share.name: share.access for share in restarted.list_shares()}
    assert access == {"projects": (ANYBODY,), office.name: (ALICE,), closed.name: ()}
    pids = {path: path.read_text() for path in own_backend.folder.glob("root/servers/main/*/**/*pid")}
    assert backend.restore() == []
    assert {path: path.read_text() for path in pids} == pids, "what runs is let alone"


def test_a_host_that_is_kept_out_stays_out(own_backend: OperationsLab) -> None:
    """Of a network that may write: after the server was killed, after a restart of the host, and when the rules change around it."""
    network = own_backend.network
    shut_out = AccessRule("ip", network.client.ipv4, "none")
    driver = own_backend.open(**NFS)
    driver.prepare()
    own_backend._prepared = driver
    share = own_backend.share("projects", ANYBODY, shut_out)

    def who_lists() -> list[str]:
        return [
            name
            for name in ("client", "other_client")
            if nfs(getattr(network, name), own_backend.host.ipv4, "/shares/projects", "ls").is_done
        ]

    assert who_lists() == ["other_client"]
    pid = own_backend.folder / "root/servers/main/nfs/pid"
    for end in (lambda: os.kill(int(pid.read_text()), signal.SIGKILL), lambda: restart(own_backend)):
        end()
        backend = backend_of(own_backend.open(**NFS))
        daemons.wait_until(backend.has_ended, "the server does not end")
        assert backend.restore() == []
        assert who_lists() == ["other_client"]
        assert own_backend.access_of(share) == {ANYBODY, shut_out}
    own_backend.allow(share, AccessRule("ip", "0.0.0.0/0", "ro"), shut_out)
    assert who_lists() == ["other_client"]
    own_backend.allow(share, ANYBODY)
    assert who_lists() == ["client", "other_client"]


def test_a_disk_that_comes_late_is_served_when_it_is_there(own_backend: OperationsLab) -> None:
    """Until then its empty mount point is neither exported nor shared, and everything else is served."""
    image, path = own_backend.folder / "disk.img", own_backend.folder / "disk"
    with image.open("wb") as file:
        file.truncate(200 * MIB)
    run("mkfs.btrfs", "-q", str(image))
    path.mkdir()
    run("mount", "-o", "loop", str(image), str(path))
    pools = {"fast": own_backend.pool, "late": {"type": "btrfs", "path": str(path)}}
    own_backend._prepared = own_backend.open(pools=pools, **NFS)
    own_backend.driver.prepare()
    own_backend.share("projects", ANYBODY)
    own_backend.share("old", ANYBODY, pool="late")
    own_backend.share("papers", ALICE, protocol="CIFS", pool="late")
    own_backend.share("office", ALICE, protocol="CIFS")
    restart(own_backend)

    backend = backend_of(own_backend.open(pools=pools, **NFS))
    assert backend.restore() == []
    assert (writes(own_backend, "projects"), lists(own_backend, "office")) == (True, True)
    assert (writes(own_backend, "old"), lists(own_backend, "papers")) == (False, False)
    assert list(path.iterdir()) == []
    run("mount", "-o", "loop", str(image), str(path))
    assert backend.restore() == []
    assert (writes(own_backend, "old"), lists(own_backend, "papers")) == (True, True)


def test_access_that_a_plan_saw_closed_does_not_come_back(own_backend: OperationsLab) -> None:
    """Who was told that nobody has access asks nobody to take it away."""
    own_backend._prepared = own_backend.open(**NFS)
    own_backend.driver.prepare()
    projects = own_backend.share("projects", ANYBODY)
    own_backend.share("office", ALICE, protocol="CIFS")
    other = own_backend.share("other", ANYBODY)
    restart(own_backend)
    looking = own_backend.open(**NFS)
    assert {share.access for share in looking.list_shares()} == {()}
    own_backend.open(**NFS).update_access(ref(other), [ANYBODY], [], [])

    backend = backend_of(own_backend.open(**NFS))
    assert backend.restore() == []
    assert writes(own_backend, "other"), "which was put in force since"
    assert not writes(own_backend, "projects")
    assert not lists(own_backend, "office")
    own_backend.open(**NFS).update_access(ref(projects), [ANYBODY], [], [])
    restart(own_backend)
    assert backend_of(own_backend.open(**NFS)).restore() == []
    assert writes(own_backend, "projects"), "from then on it counts again"


def test_what_was_forgotten_or_put_in_the_trash_stays_closed(own_backend: OperationsLab) -> None:
    """Its volume is mounted nowhere, and its name is free."""
    own_backend._prepared = own_backend.open(**NFS)
    own_backend.driver.prepare()
    forgotten, trashed = (own_backend.share(name, ANYBODY) for name in ("forgotten", "trashed"))
    own_backend.share("projects", ANYBODY)
    own_backend.allow(forgotten)
    own_backend.driver.trash_share(ref(trashed))
    restart(own_backend)
    restarted = own_backend.open(**NFS)
    assert backend_of(restarted).restore() == []
    assert [writes(own_backend, name) for name in ("projects", "forgotten", "trashed")] == [True, False, False]
    exports = Path(own_backend.folder, "root/servers/main/exports")
    assert len(list(exports.iterdir())) == 1
    assert {share.name: bool(share.trashed_at) for share in restarted.list_shares()} == {
        "projects": False,
        "forgotten": False,
        "trashed": True,
    }


def test_beside_a_change_servers_are_started_and_nothing_else_is_put_in_force(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read a moment ago may be more than the change has left of it since."""
    own_backend._prepared = own_backend.open(**NFS)
    own_backend.driver.prepare()
    own_backend.share("projects", ANYBODY)
    own_backend.share("office", ALICE, protocol="CIFS")
    restart(own_backend)
    assert {share.access for share in own_backend.open(**NFS).list_shares()} == {()}
    backend = backend_of(own_backend.open(**NFS))
    assert backend.restore() == []
    for mark in own_backend.folder.glob("root/servers/main/closed/*"):
        mark.unlink()
    assert (writes(own_backend, "projects"), lists(own_backend, "office")) == (False, False)

    monkeypatch.setattr(restoring, "_LOCK_SECONDS", 0.0)
    kill_processes_of(str(own_backend.folder / "root/servers/main/nfs"))
    with daemons.locked(changes_lock(str(own_backend.folder / "root")), shared=True):
        assert backend.restore() == []
        assert not backend.has_ended(), "the NFS server is started"
        assert not lists(own_backend, "office")
    assert backend.restore() == []
    assert (writes(own_backend, "projects"), lists(own_backend, "office")) == (True, True)


def test_who_looks_waits_for_a_server_that_is_being_opened(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To be told that a share is closed, and to see it opened after that, would leave access that nobody knows of."""
    own_backend._prepared = own_backend.open(**NFS)
    own_backend.driver.prepare()
    own_backend.share("projects", ANYBODY)
    restart(own_backend)
    begun, go_on = threading.Event(), threading.Event()
    plain = GaneshaServer.ensure_running

    def ensure_running(server: GaneshaServer, is_ready: Callable[[Export], bool]) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)
        plain(server, is_ready)

    monkeypatch.setattr(GaneshaServer, "ensure_running", ensure_running)
    looking, restoring_backend = own_backend.open(**NFS), backend_of(own_backend.open(**NFS))
    lock = own_backend.folder / "root/servers/main/opening.lock"
    with ThreadPoolExecutor(2) as threads:
        restored = threads.submit(restoring_backend.restore)
        assert begun.wait(PATIENCE_SECONDS)
        listed = threads.submit(looking.list_shares)
        wait_for(lambda: listed.done() or is_waited_for(lock), "the wait of who looks")
        go_on.set()
        assert restored.result() == []
        assert [share.access for share in listed.result()] == [(ANYBODY,)]
    assert marks(own_backend) == []
    assert writes(own_backend, "projects")


def test_a_server_that_ends_while_it_is_looked_at_is_waited_for(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shares are told as they are a moment later, and come back, where somebody watches over it."""
    own_backend._prepared = own_backend.open(**NFS)
    own_backend.driver.prepare()
    own_backend.share("projects", ANYBODY)
    looking, watching_backend = own_backend.open(**NFS), backend_of(own_backend.open(**NFS))
    monkeypatch.setattr(backend_of(looking)._watch, "is_awake", lambda: True)
    plain, is_killed, is_over = GaneshaServer.live, threading.Event(), threading.Event()

    def live(server: GaneshaServer, export_ids: Collection[int] | None = None) -> Mapping[int, Export]:
        if not is_killed.is_set():
            kill_processes_of(str(own_backend.folder / "root/servers/main/nfs"))
            is_killed.set()
        return plain(server, export_ids)

    def watch() -> list[str]:
        said: list[str] = []
        assert is_killed.wait(PATIENCE_SECONDS)
        while not is_over.wait(0.01):
            said += watching_backend.restore()
        return said

    monkeypatch.setattr(GaneshaServer, "live", live)
    with ThreadPoolExecutor(1) as threads:
        watched = threads.submit(watch)
        try:
            access = [share.access for share in looking.list_shares()]
        finally:
            is_over.set()
        assert watched.result() == []
    assert access == [(ANYBODY,)]
    assert marks(own_backend) == []
    assert writes(own_backend, "projects")


def marks(lab: OperationsLab) -> list[Path]:
    """Return the marks of shares that were told to be closed."""
    return list(lab.folder.glob("root/servers/main/closed/*"))


def is_waited_for(path: Path) -> bool:
    """Tell whether somebody waits for the lock of a file (proc_locks(5))."""
    suffix = f":{path.stat().st_ino}" if path.exists() else "no file"
    lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    return any(words[1] == "->" and words[6].endswith(suffix) for words in lines)
