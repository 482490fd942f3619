"""The example to try on one's own machine does what its page says, with its paths and addresses moved to the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.drivers.linux.lab import need
from tests.drivers.linux.nfs_client import nfs
from tests.drivers.linux.smb_client import write
from tools.sessions import ROOT

if TYPE_CHECKING:
    from tests.drivers.linux.lab import Network


def sharectl(folder: Path, *words: str) -> str:
    """Run sharectl there, which must succeed; return what it prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "sharectl", *words, "-C", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "ALICE_PASSWORD": "one-Secret", "NO_COLOR": "1"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def moved_here(lab_directory: str, network: Network) -> Path:
    """Return a copy of the example that leaves the rest of the machine alone."""
    folder = Path(lab_directory) / "trial"
    folder.mkdir()
    moves = {
        "/var/lib/sharectl/here": f"{lab_directory}/root",
        "/var/lib/sharectl-trial.img": f"{lab_directory}/pool.img",
        "/srv/sharectl-trial": f"{lab_directory}/pool",
        "addresses: [127.0.0.1]": f"addresses: [{network.server.ipv4}]\n    namespace: {network.server.namespace_path}\n"
        '    nfs: {versions: ["4.0", "4.2"]}  # libnfs speaks 4.0',
        "127.0.0.0/8": "10.77.1.0/24",
    }
    found = set()
    for path in (ROOT / "examples" / "linux-nas" / "trial").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        for old, new in moves.items():
            found |= {old} if old in text else set()
            text = text.replace(old, new)
        (folder / path.name).write_text(text, encoding="utf-8")
    assert found == set(moves)
    return folder


def test_the_trial_serves_clients_and_is_gone_after_destroy(lab_directory: str, network: Network) -> None:
    """An NFS share to write, a clone to read, an SMB share for alice; a second plan is empty; destroy leaves an empty pool."""
    need("mkfs.btrfs", "ganesha.nfsd", "dbus-daemon", "smbd", "pdbedit", "smbclient", file_system="btrfs")
    folder = moved_here(lab_directory, network)
    sharectl(folder, "apply", "--yes")
    client, server = network.client, network.server.ipv4
    assert nfs(client, server, "/shares/projects", "put", "plan.txt", "mine").is_done
    assert "NFS4ERR_ROFS" in nfs(client, server, "/shares/projects-copy", "put", "plan.txt", "no").text
    assert write(client, server, "office", "alice", "one-Secret").is_ok
    assert sharectl(folder, "plan", "--detailed-exitcode").startswith("No changes.")
    assert f"mount -t nfs {server}:/shares/projects /mnt/projects" in sharectl(folder, "show", "share/projects")
    sharectl(folder, "destroy", "--yes")
    assert [path.name for path in Path(lab_directory, "pool").iterdir()] == [".sharectl"]
