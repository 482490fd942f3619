"""NetApp's own Python library on the emulator, its oldest release that knows ONTAP 9.12 and the newest."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.emulators.ontap.clients_of_others import installed

if TYPE_CHECKING:
    from tests.emulators.ontap.server import Emulator

PROGRAM = Path(installed.__file__).with_name("library_life.py")
SHARE = {
    "volume": [200 * 2**20, 'say "hello"', "online"],
    "rules": [[1, ["10.9.0.0/24"]], [2, ["10.9.1.7"]], ["sys"]],
    "policy in use": 1703945,
    "acls": [["EXAMPLE\\alice", "full_control"], ["EXAMPLE\\bob", "read"]],
    "snapshot of a clone": 1638555,
}
EXPECTED = {
    "state": "running",
    "lifs": ["lif_n1", "lif_n2"],
    "wrong password": 'Job failed: Could not authenticate as "Administrator": the user name or the password is wrong.',
    "svm in a domain": 2621525,
    "left": [["Cluster", "Default"], ["vs1"]],
    "with servers": SHARE,
    "without servers": SHARE,
}


@pytest.mark.parametrize("release", ["oldest", "newest"])
def test_library_makes_changes_and_removes_everything(emulator: Emulator, release: str) -> None:
    """A server from its IPspace to its teardown, and shares on an SVM as its own administrator; nothing is left of them."""
    root = installed.clients()
    installed.hurry(emulator.world)
    logins = [each for name in ("admin", "vsadmin") for each in (name, emulator.login_of(name).password)]
    finished = subprocess.run(
        [root / "environment" / "bin" / "python", PROGRAM, "127.0.0.1", str(emulator.port), emulator.ca_file, *logins],
        env={"PATH": os.environ["PATH"], **({"PYTHONPATH": str(root / "oldest")} if release == "oldest" else {})},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == EXPECTED
