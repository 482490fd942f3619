"""NetApp's Ansible collection on the emulator."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.emulators.ontap.clients_of_others import installed

if TYPE_CHECKING:
    from tests.emulators.ontap.server import Emulator

PLAYBOOK = Path(installed.__file__).with_name("playbook.yaml")


def test_playbook_makes_changes_and_removes_everything(emulator: Emulator, tmp_path: Path) -> None:
    """A server from its IPspace to its teardown; the array is left as it was."""
    root = installed.clients()
    installed.hurry(emulator.world)
    before = emulator.dump()
    finished = subprocess.run(
        [root / "environment" / "bin" / "ansible-playbook", "-i", "localhost,", PLAYBOOK],
        env={
            "PATH": f"{root / 'environment' / 'bin'}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(root / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "temporary"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
            "ANSIBLE_PYTHON_INTERPRETER": str(root / "environment" / "bin" / "python"),
            "REQUESTS_CA_BUNDLE": str(emulator.ca_file),
            "ARRAY_HOST": "127.0.0.1",
            "ARRAY_PORT": str(emulator.port),
            "ARRAY_USER": emulator.login.name,
            "ARRAY_PASSWORD": emulator.login.password,
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr
    assert emulator.dump() == before
