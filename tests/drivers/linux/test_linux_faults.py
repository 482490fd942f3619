"""What goes wrong in the middle of an apply: servers, the agent or sharectl itself killed, a full pool, quotas turned off, hostile values."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.drivers.linux.agents import wait_for
from tests.drivers.linux.lab import kill_processes_of, mounts_under, need, run
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.repository import PASSWORDS, Repository
from tests.drivers.linux.smb_client import write
from tests.drivers.linux.test_linux_scenario import MIB, assert_nothing_is_left, backend_config, nfs_share

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.drivers.linux.lab import Network

HOSTILE_TEXTS = ('a"; } EXPORT {', "a\nb", "%s%n", "..", "../../etc", "a}b", "$(id)", "sn☃w")


@pytest.fixture
def repository(lab_directory: str, network: Network) -> Repository:
    """Give a repository with one linux backend."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    repository = Repository(f"{lab_directory}/repository")
    repository.write("Backend", "nas", {"driver": "linux", "config": backend_config(lab_directory, network)})
    return repository


def volumes(repository: Repository) -> set[str]:
    """Return the names of the volumes on the host."""
    pool = repository.folder.parent / "pool"
    return {entry.name for entry in pool.iterdir()} - {".sharectl"} if pool.is_dir() else set()


def exports(repository: Repository) -> int:
    """Return how many exports are stored on the host."""
    return len(list((repository.folder.parent / "root/servers/main/nfs/exports.d").glob("*")))


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the end of sharectl and return what it printed."""
    output, _ = process.communicate(timeout=500)
    return output


def assert_all_are_there_once(repository: Repository, names: set[str]) -> None:
    """One volume, one mount and one export each, and nothing that the next apply would change."""
    assert repository.changes() == 0
    assert volumes(repository) == names
    folder = repository.folder.parent
    assert sorted(mounts_under(str(folder))) == sorted({*mounts_under(str(folder))}), "nothing is mounted twice"
    assert len(mounts_under(f"{folder}/root")) == exports(repository) == len(names)


@pytest.mark.parametrize("victim", ["servers", "nfs/bus", "agent"])
def test_what_is_killed_in_the_middle_of_an_apply_is_started_again(
    repository: Repository, network: Network, victim: str
) -> None:
    """The apply goes on or says what failed; the next one ends with everything there once."""
    names = {f"share-{number:02}" for number in range(30)}
    for name in names:
        repository.write("Share", name, nfs_share(network))
    process = repository.start("apply", "--yes")
    wait_for(lambda: exports(repository) >= 5 or process.poll() is not None, "some exports")
    if victim == "agent":
        for agent in children(process.pid):  # none where the apply has ended by now, on a busy machine
            with suppress(ProcessLookupError):
                os.kill(agent, signal.SIGKILL)
    elif victim == "servers":
        kill_processes_of(f"{repository.folder.parent}/root/servers")
    else:
        pid = int(Path(repository.folder.parent, "root/servers/main/nfs/bus.pid").read_text(encoding="ascii"))
        os.kill(pid, signal.SIGKILL)
    said = finish(process)
    assert process.returncode in {0, 1}, said
    repository.apply()
    assert_all_are_there_once(repository, names)
    assert nfs(network.client, network.server.ipv4, "/shares/share-07", "put", "file", "text").is_done


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(word) for word in run("pgrep", "--parent", str(pid), check=False).stdout.split()]


def test_smbd_killed_in_the_middle_of_an_apply(repository: Repository, network: Network) -> None:
    """As Ganesha."""
    users = [{"type": "user", "to": name, "level": "rw"} for name in ("alice", "bob")]
    names = {f"share-{number}" for number in range(8)}
    share = {"size": "16 MiB", "protocol": "CIFS", "deletionPolicy": "delete", "access": users}
    for name in names:
        repository.write("Share", name, share)
    process = repository.start("apply", "--yes")
    sections = Path(repository.folder.parent, "root/servers/main/smb/shares.conf")
    wait_for(
        lambda: (sections.exists() and "[share-" in sections.read_text(encoding="utf-8")) or process.poll() is not None,
        "a section",
    )
    kill_processes_of(f"{repository.folder.parent}/root/servers/main/smb")
    said = finish(process)
    assert process.returncode in {0, 1}, said
    repository.apply()
    assert repository.changes() == 0
    assert volumes(repository) == names
    assert write(network.client, network.server.ipv4, "share-3", "alice", PASSWORDS["ALICE_PASSWORD"]).is_ok


@pytest.mark.parametrize(("made", "left"), [(1, 10), (4, 6), (9, 1)])
def test_sharectl_killed_in_the_middle_of_an_apply(
    repository: Repository, network: Network, made: int, left: int
) -> None:
    """After some shares were made, and when some are left to delete: the next ends with everything there once, and with nothing left."""
    names = {f"share-{number}" for number in range(12)}
    for name in names:
        repository.write("Share", name, nfs_share(network))
    kill_when(repository, lambda: len(volumes(repository)) >= made)
    repository.apply()
    assert_all_are_there_once(repository, names)
    for name in names:
        repository.remove("Share", name)
    meant = ("--allow-empty", "--allow-deletions", str(len(names)))
    kill_when(repository, lambda: len(volumes(repository)) <= left, *meant)
    repository.apply(*meant)
    assert repository.changes() == 0
    assert_nothing_is_left(repository.folder.parent)


def kill_when(repository: Repository, condition: Callable[[], bool], *words: str) -> None:
    """Start an apply, and kill sharectl as soon as the condition holds; its agent finishes what it is doing.

    On a busy machine it may have come to its end by then, and then there is nothing to kill.
    """
    process = repository.start("apply", "--yes", *words)
    wait_for(lambda: condition() or process.poll() is not None, "the moment")
    agents = children(process.pid)
    process.kill()
    said = finish(process)
    assert process.returncode in {0, -signal.SIGKILL}, said
    wait_for(lambda: not any(Path(f"/proc/{agent}/stat").exists() for agent in agents), "the end of the agent")


@pytest.fixture
def image_pools(lab_directory: str) -> dict[str, Any]:
    """Give the settings of two pools of images on file systems of their own; `large` is the first candidate."""
    need("mkfs.ext4", "mount")
    pools = {}
    for name, size in (("large", 4096), ("small", 3072)):
        image, folder = Path(lab_directory, f"{name}.disk"), Path(lab_directory, name)
        with image.open("wb") as file:
            file.truncate(size * MIB)
        run("mkfs.ext4", "-q", "-m0", str(image))
        folder.mkdir()
        run("mount", "-o", "loop", str(image), str(folder))
        pools[name] = {"type": "image", "path": str(folder), "fileSystem": "ext4"}
    return pools


def fill(folder: Path) -> Path:
    """Leave no room on a file system."""
    path = folder / "filler"
    with path.open("wb") as file:
        offset = 0
        for step in (64 * MIB, MIB, 4096):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), offset, step)
                    offset += step
    return path


def test_a_pool_that_is_full_when_it_is_used_is_left_for_the_next(
    lab_directory: str, network: Network, image_pools: dict[str, Any]
) -> None:
    """Where all are full the step fails with the reason, leaves nothing, and is done when there is room."""
    repository = Repository(f"{lab_directory}/repository")
    plain = backend_config(lab_directory, network, pools=image_pools)
    repository.write("Backend", "nas", {"driver": "linux", "config": plain})
    repository.write("Share", "zero", nfs_share(network, size="20 MiB"))
    repository.apply()
    repository.write("Share", "first", nfs_share(network, size="20 MiB"))
    saved = f"{lab_directory}/saved.plan"
    large, small = Path(lab_directory, "large"), Path(lab_directory, "small")
    assert repository.run("plan", "--out", saved).returncode == 0
    filler = fill(large)
    applied = repository.run("apply", saved, "--yes")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert mounts_under(str(small)) == [f"{small}/first"]
    filler.unlink()
    repository.write("Share", "second", nfs_share(network, size="20 MiB"))
    assert repository.run("plan", "--out", saved).returncode == 0
    fillers = [fill(large), fill(small)]
    refused = repository.run("apply", saved, "--yes")
    assert refused.returncode == 1
    assert "No space left on device" in " ".join((refused.stdout + refused.stderr).split())
    assert mounts_under(str(large)) == [f"{large}/zero"]
    assert [path.name for path in (large / ".sharectl" / "images").glob("*.img")] == ["zero.img"]
    for path in fillers:
        path.unlink()
    repository.apply()
    assert repository.changes() == 0


def test_quotas_that_somebody_turned_off_are_drift_and_repaired(repository: Repository, network: Network) -> None:
    """To put a limit back counts as shrinking, for the share may hold more by now; sizes are enforced again at once."""
    repository.write("Share", "projects", nfs_share(network))
    repository.apply()
    pool = repository.folder.parent / "pool"
    run("btrfs", "quota", "disable", str(pool))
    seen = repository.run("plan")
    assert seen.returncode == 0
    assert "share/projects was made larger on its backend: it has 2GiB" in seen.stdout + seen.stderr
    repository.write("Share", "projects", nfs_share(network, allowShrink=True))
    repository.apply()
    assert repository.changes() == 0
    over = nfs(network.client, network.server.ipv4, "/shares/projects", "write", "big", str(10 * MIB))
    assert "NFS4ERR_DQUOT" in over.text


def test_quotas_that_do_not_count_any_more_are_repaired_by_the_next_change(
    repository: Repository, network: Network
) -> None:
    """The kernel marks them as inconsistent and enforces nothing then."""
    repository.write("Share", "projects", nfs_share(network))
    repository.apply()
    pool = repository.folder.parent / "pool"
    (pool / "projects" / "file").write_bytes(os.urandom(MIB))
    repository.write("Snapshot", "monday", {"share": "projects"})
    repository.apply()
    number = run("btrfs", "inspect-internal", "rootid", str(pool / "projects")).stdout.strip()
    run("btrfs", "qgroup", "create", "1/1", str(pool))
    run("btrfs", "qgroup", "assign", "--no-rescan", f"0/{number}", "1/1", str(pool), check=False)
    (state,) = Path("/sys/fs/btrfs").glob(f"{file_system_of(pool)}/qgroups/inconsistent")
    assert state.read_text(encoding="ascii").strip() == "1"
    repository.write("Share", "projects", nfs_share(network, size="12 MiB"))
    repository.apply()
    assert state.read_text(encoding="ascii").strip() == "0"
    assert repository.changes() == 0


def file_system_of(pool: Path) -> str:
    """Return the UUID of the file system that is mounted there."""
    return run("findmnt", "--noheadings", "--output", "UUID", str(pool)).stdout.strip()


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=repr)
def test_hostile_values_reach_no_host(repository: Repository, network: Network, text: str) -> None:
    """Not as the name of a share, a user, a client or a level; each is told with its file and line."""
    rule = {"type": "ip", "to": "10.0.0.0/8", "level": "rw"}
    repository.write("Share", "client", nfs_share(network, access=[{**rule, "to": text}]))
    repository.write("Share", "level", nfs_share(network, access=[{**rule, "level": text}]))
    user = {**rule, "type": "user", "to": f"{text}@[x]"}
    repository.write("Share", "user", nfs_share(network, protocol="CIFS", access=[user]))
    repository.write("Share", "name", nfs_share(network))
    path = repository.folder / "share-name.yaml"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "metadata": {"name": text}}, indent=2), encoding="utf-8")
    refused = repository.run("apply", "--yes")
    assert refused.returncode == 1
    told = refused.stdout + refused.stderr
    assert [part for part in ("client", "level", "user", "name") if f"share-{part}.yaml:" not in told] == []
    assert not (repository.folder.parent / "root").exists()


def test_a_hostile_export_option_of_a_share_type_is_refused_before_anything_is_made(
    repository: Repository, network: Network
) -> None:
    """It is told at its line, with what can be written instead; without it the other share is made."""
    repository.write("ShareType", "odd", {"extraSpecs": {"linux:nfs_squash": 'none; } EXPORT { Path = "/"'}})
    repository.write("Share", "bad", nfs_share(network, type="odd"))
    repository.write("Share", "good", nfs_share(network))
    failed = repository.run("apply", "--yes")
    assert failed.returncode == 1
    told = " ".join((failed.stdout + failed.stderr).split())
    assert "it can be none, root, all" in told
    assert "sharetype-odd.yaml:" in told
    assert not (repository.folder.parent / "root").exists()
    repository.remove("Share", "bad")
    repository.remove("ShareType", "odd")
    repository.apply()
    assert volumes(repository) == {"good"}
