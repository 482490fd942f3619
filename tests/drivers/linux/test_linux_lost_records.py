"""What the guide says to do where the records are lost: its commands, on real servers."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.host import mounts
from tests.drivers.linux.lab import need, processes_in
from tests.drivers.linux.operations_lab import ALICE, ANYBODY, ref

if TYPE_CHECKING:
    from tests.drivers.linux.operations_lab import OperationsLab

_GUIDE = Path(__file__).parents[3] / "docs/linux.md"


def commands_of_guide(root: str) -> str:
    """Return the commands of the guide for the backend at this root, without those for units of systemd."""
    section = _GUIDE.read_text(encoding="utf-8").partition("### When `records.sqlite` is lost")[2]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None
    lines = [line for line in found[1].splitlines() if "systemctl" not in line]
    return "\n".join(lines).replace("/var/lib/sharectl/nas", root)


@pytest.mark.parametrize("versions", [["3", "4.1"], ["4.1"]])
def test_the_commands_of_the_guide_end_the_servers_and_keep_all_data(
    own_backend: OperationsLab, versions: list[str]
) -> None:
    """With NFSv3 and with snapshots that clients see, and without: nothing runs, nothing is mounted, and the volumes are whole."""
    need("rpcbind", "smbd")
    own_backend._prepared = own_backend.open(nfs={"versions": versions})
    own_backend.driver.prepare()
    share = own_backend.share("office")
    (own_backend.volume(share) / "a").write_text("kept", encoding="ascii")
    own_backend.snapshot(share)
    shown = {"squash": "none", "insecure": "false", "security": "sys", "anonymous": "65534:65534", "snapshots": "true"}
    own_backend.driver.update_access(replace(ref(share), export_settings=shown), [ANYBODY], [ANYBODY], [])
    own_backend.share("people", ALICE, protocol="CIFS")
    servers = f"{own_backend.folder}/root/servers"
    assert any("snapshots" in mount.point for mount in mounts.read_mounts() if mount.point.startswith(servers))
    own_backend.close()
    done = subprocess.run(
        ["/bin/bash", "-c", commands_of_guide(f"{own_backend.folder}/root")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not Path(servers).exists()
    assert not [mount.point for mount in mounts.read_mounts() if mount.point.startswith(servers)]
    assert not [pid for name in ("nfs", "nfs/rpcbind") for pid in processes_in(f"{servers}/main/{name}")]
    assert (own_backend.volume(share) / "a").read_text(encoding="ascii") == "kept"
    (kept,) = (own_backend.folder / "pool/.sharectl/snapshots").rglob("a")
    assert kept.read_text(encoding="ascii") == "kept"
