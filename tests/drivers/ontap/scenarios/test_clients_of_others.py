"""Other programs work on the array too: what they change of a share is drift, and what is theirs is left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.emulators.ontap.access_records import ExportPolicy
from tests.emulators.ontap.clients_of_others import installed

from .ground import rule

if TYPE_CHECKING:
    from .ground import Ground

PROGRAM = Path(installed.__file__).with_name("library_meddling.py")
WANTED = (rule("10.0.0.5"), rule("10.0.1.0/24", "ro"))


def test_what_netapps_library_changes_is_seen_and_mended(ground: Ground) -> None:
    """The rule that it added shows and goes; its own volume is listed as of nobody known, and stays with its policy as it is."""
    root = installed.clients()
    share = ground.share(*WANTED)
    installed.hurry(ground.emulator.world)
    login = ground.emulator.login
    finished = subprocess.run(
        [
            root / "environment" / "bin" / "python",
            PROGRAM,
            *("127.0.0.1", str(ground.emulator.port), ground.emulator.ca_file, login.name, login.password),
        ],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    theirs = [policy for policy in ground.emulator.world[ExportPolicy] if policy.name == "theirs"]
    listed = {each.name: each for each in ground.driver.list_shares()}
    assert (listed["theirs"].resource_id, listed["projects"].resource_id) == (None, share.resource_id)
    assert set(listed["projects"].access) > set(WANTED)
    ground.repair(share, WANTED)
    mended = {each.name: each for each in ground.driver.list_shares()}
    assert set(mended["projects"].access) == set(WANTED)
    assert mended["theirs"] == listed["theirs"]
    assert theirs == [policy for policy in ground.emulator.world[ExportPolicy] if policy.name == "theirs"]
