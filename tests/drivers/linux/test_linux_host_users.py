"""A user of the storage host without rights, who wants at the data: by paths, whatever of them the mount table tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.lab import mounts_under, processes_of
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, ref
from tests.drivers.linux.smb_client import smb, write

if TYPE_CHECKING:
    from sharectl.drivers.linux.driver import LinuxDriver
    from sharectl.model.observed import ObservedShare
    from tests.drivers.linux.operations_lab import OperationsLab

NOBODY = 65534

_INTRUDER = """
import json, os, sys
found = []
for start in json.loads(sys.argv[1]):
    for path, folders, files in os.walk(start):
        for name in files:
            try:
                found.append([os.path.join(path, name), open(os.path.join(path, name), "rb").read(20).decode("utf-8", "replace")])
            except OSError:
                pass
        try:
            os.mkdir(os.path.join(path, "intruder"))
            found.append([path, "can be written to"])
        except OSError:
            pass
print(json.dumps(found))
"""


def intrude(places: list[str], user: int) -> list[Any]:
    """Return what the user reads or writes below these places."""
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    done = subprocess.run(
        [*become, sys.executable, "-S", "-E", "-c", _INTRUDER, json.dumps(places)],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
        cwd="/",
    )
    found: list[Any] = json.loads(done.stdout)
    return found


def opened(lab: OperationsLab, **changes: Any) -> LinuxDriver:  # noqa: ANN401 - parts of documents have many types
    """Open the backend with two pools, one of each kind."""
    image = {"type": "image", "path": f"{lab.folder}/images", "fileSystem": "ext4"}
    (lab.folder / "images").mkdir(exist_ok=True)
    driver = lab.open(pools={"fast": lab.pool, "images": image}, nfs={"versions": ["4.0", "4.1", "4.2"]}, **changes)
    driver.prepare()
    return driver


def shared(lab: OperationsLab, driver: LinuxDriver, name: str, protocol: str, pool: str) -> ObservedShare:
    """Make a share that clients use."""
    share = driver.create_share(lab.request(name, protocol, pool=pool, size_bytes=64 << 20))
    rule = ANYBODY if protocol == "NFS" else ALICE
    statuses = driver.update_access(ref(share), [rule], [rule], [])
    assert statuses[rule].status == "active", statuses
    return share


@pytest.mark.parametrize("user", [4711, NOBODY])
def test_no_user_of_the_host_gets_into_a_pool_an_export_or_a_share(own_backend: OperationsLab, user: int) -> None:
    """Also not `nobody`, whom other services run as, and although every user may write to the folder of a share; clients get there all the same."""
    driver = opened(own_backend)
    client, server = own_backend.network.client, own_backend.host.ipv4
    places = [str(own_backend.folder)]
    for pool in ("fast", "images"):
        share = shared(own_backend, driver, f"nfs-{pool}", "NFS", pool)
        assert nfs(client, server, f"/shares/nfs-{pool}", "put", "file", "secret", user=(0, 1000)).is_done
        assert nfs(client, server, f"/shares/nfs-{pool}", "mkdir", "folder", user=(0, 1000)).is_done
        assert nfs(client, server, f"/shares/nfs-{pool}", "put", "folder/file", "secret", user=(0, 1000)).is_done
        driver.create_snapshot(ref(share), f"00000000-0000-4000-8000-{len(pool):012d}", "s") if pool == "fast" else None
        shared(own_backend, driver, f"smb-{pool}", "CIFS", pool)
        assert write(client, server, f"smb-{pool}", "alice", "one-Secret").is_ok
        places += [
            str(own_backend.folder / ("pool" if pool == "fast" else pool) / f"{kind}-{pool}") for kind in ("nfs", "smb")
        ]
    places += mounts_under(str(own_backend.folder))
    assert Path(places[-1]).is_dir()
    assert intrude(places, user) == []
    # Those who may still do, after everything was tried.
    assert nfs(client, server, "/shares/nfs-images", "cat", "folder/file", user=(0, 1000)).text == "secret"
    assert "written" in smb(client, server, "smb-fast", "alice", "one-Secret", "ls").text


def test_a_pool_that_was_opened_by_hand_is_told_and_closed(own_backend: OperationsLab) -> None:
    """Each plan warns of it until the next change in the pool, which closes it."""
    driver = opened(own_backend)
    shared(own_backend, driver, "data", "NFS", "fast")
    pool = own_backend.folder / "pool"
    pool.chmod(0o755)
    (found,) = driver.report().hindrances
    assert (
        found.summary
        == f"every user of the storage host gets into the pool 'fast': its folder {pool} has the mode 0755"
    )
    assert intrude([str(pool / "data")], 4711) != []
    again = opened(own_backend)
    again.update_access(ref(again.list_shares()[0]), [ANYBODY], [], [])
    assert intrude([str(pool / "data")], 4711) == []
    assert again.report().hindrances == ()


def test_the_group_that_an_administrator_gave_a_pool_stays(own_backend: OperationsLab) -> None:
    """Its members are users with rights; everybody else is kept out."""
    pool = own_backend.folder / "images"
    pool.mkdir()
    os.chown(pool, 0, 4712)
    pool.chmod(0o2775)
    driver = opened(own_backend)
    shared(own_backend, driver, "data", "NFS", "images")
    assert (pool.stat().st_gid, pool.stat().st_mode & 0o7777) == (4712, 0o2770)
    assert intrude([str(pool / "data")], 4711) == []
    assert intrude([str(pool / "data")], 4712) != []


def test_a_server_keeps_nothing_of_the_environment_that_started_it(
    own_backend: OperationsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives on, and whoever logs in over SSH may have more in there than the servers need."""
    monkeypatch.setenv("FILER_PASSWORD", "hunter2")
    shared(own_backend, opened(own_backend), "data", "NFS", "fast")
    shared(own_backend, opened(own_backend), "office", "CIFS", "fast")
    servers = processes_of(str(own_backend.folder))
    assert len(servers) >= 3
    for pid in servers:
        with suppress(FileNotFoundError, ProcessLookupError):  # a helper that has ended meanwhile
            assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()
