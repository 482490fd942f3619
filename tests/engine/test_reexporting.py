"""An export that gets another name and other protocols in one change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.drivers.testing import ref
from sharectl.engine.verbs import execute
from sharectl.engine.verbs.base import Site
from sharectl.executors.calls import UpdateAccess
from sharectl.model.access import BOTH, AccessRule
from tests.drivers.opening import new_request, open_driver

if TYPE_CHECKING:
    from pathlib import Path

RULES = (AccessRule("user", "alice", "rw"),)


def test_a_name_that_not_all_protocols_take_goes_before_they_come_and_comes_after_they_went(tmp_path: Path) -> None:
    """The directory driver exports a folder over NFS under its own name alone; done again, as after a crash, each change is no error."""
    driver = open_driver("directory", {"root": "root"}, tmp_path)
    driver.prepare()
    share = driver.create_share(new_request("a", resource_id="share", protocol="CIFS", export_name="Team"))
    for protocol, name in ((BOTH, "a"), ("CIFS", "Team")):
        target = replace(ref(share), protocol=protocol)
        call = UpdateAccess(target, RULES, RULES, repairs=True, lists=True, export_name=name, protocol=protocol)
        for _ in range(2):
            answer = execute(Site(driver, lambda: NotImplemented), call)
            assert answer.share is not None
            assert (answer.share.protocol, answer.share.export_name) == (protocol, name)
            assert [outcome.status for outcome in answer.rules] == ["active"]
