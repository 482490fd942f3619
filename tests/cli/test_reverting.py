"""Turning a share back to a snapshot, through the command line, on both drivers with their real content."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.console import Console

BACKENDS = {
    "directory": "{driver: directory, config: {root: storage, exportHost: nas.example}}",
    "simulated": "{driver: simulated, config: {stateFile: sim.db}}",
}


@dataclass(frozen=True, slots=True)
class Shop:
    """A repository with one share, `data`."""

    console: Console
    driver: str

    def describe(self, request: str = "", *snapshots: str) -> None:
        """Write all manifests; `request` is `SNAPSHOT ID` or nothing."""
        revert = "" if not request else "revertTo: {{snapshot: {}, request: {}}}".format(*request.split())
        documents = [
            f"kind: Backend\nmetadata: {{name: nas}}\nspec: {BACKENDS[self.driver]}\n",
            f"kind: Share\nmetadata: {{name: data}}\nspec: {{size: 1GiB, protocol: NFS, {revert}}}\n",
            *(f"kind: Snapshot\nmetadata: {{name: {name}}}\nspec: {{share: data}}\n" for name in snapshots),
        ]
        self.console.write("all.yaml", "---\n".join(f"apiVersion: sharectl/v1\n{text}" for text in documents))

    def apply(self) -> None:
        """Apply, and leave nothing to do."""
        ended = self.console("apply", "--yes")
        assert ended.code == 0, ended.out + ended.err
        assert self.console("plan", "--detailed-exitcode").code == 0

    def write(self, text: str) -> None:
        """Write into the share, as a client does."""
        if self.driver == "directory":
            (self.console.root / "storage" / "data" / "file").write_text(text)
        else:
            with closing(sqlite3.connect(self.console.root / "sim.db")) as connection, connection:
                connection.execute("UPDATE shares SET content = ?", (text,))

    def read(self) -> str:
        """Read what is in the share."""
        if self.driver == "directory":
            return (self.console.root / "storage" / "data" / "file").read_text()
        with closing(sqlite3.connect(self.console.root / "sim.db")) as connection:
            return str(connection.execute("SELECT content FROM shares").fetchone()[0])


@pytest.fixture(params=sorted(BACKENDS))
def shop(console: Console, request: pytest.FixtureRequest) -> Shop:
    """Return a repository whose share was `old` on monday and is `new` now."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    made = Shop(console, request.param)
    made.describe()
    made.apply()
    made.write("old")
    made.describe("", "monday")
    made.apply()
    made.write("new")
    return made


def test_each_new_request_turns_the_share_back_once(shop: Shop) -> None:
    """Applied again it does nothing; without the field the state alone changes."""
    for request in ("T-1", "T-2"):
        shop.describe(f"monday {request}", "monday")
        assert shop.console("plan", "--detailed-exitcode").code == 2
        shop.apply()
        assert shop.read() == "old"
        shop.write("new")
        shop.apply()
        assert shop.read() == "new"
    shop.describe("", "monday")
    shop.apply()
    assert shop.read() == "new"


def test_a_snapshot_asked_for_with_the_revert_keeps_what_that_takes_away(shop: Shop) -> None:
    """It is taken first, so that there is a way back."""
    shop.describe("monday T-1", "monday", "before-t-1")
    shop.apply()
    assert shop.read() == "old"
    shop.describe("before-t-1 T-2", "monday", "before-t-1")
    shop.apply()
    assert shop.read() == "new"


def test_the_plan_says_what_is_lost(shop: Shop) -> None:
    """For people, in the JSON, and in the history afterwards."""
    shop.describe("monday T-1", "monday")
    text = shop.console("plan").out
    assert "↶ turn back to a snapshot" in text
    assert "↶ share/data            on nas: request T-1 asks for snapshot/monday" in text
    assert "! what was written since snapshot/monday was taken is destroyed" in text
    (step,) = json.loads(shop.console("plan", "--output", "json").out)["steps"]
    assert (step["action"], step["verb"]) == ("revert", "revert-share")
    assert step["spec"]["revert_to"] == {"snapshot": "monday", "request": "T-1"}
    shop.apply()
    assert "revert-share" in shop.console("history", "share/data").out


def test_a_saved_plan_turns_the_share_back(shop: Shop) -> None:
    """It carries the request, and runs once: applied again it says that it is done, and what was written since stays."""
    shop.describe("monday T-1", "monday")
    assert shop.console("plan", "--out", "saved").code == 0
    assert shop.console("apply", "saved", "--yes").code == 0
    assert shop.read() == "old"
    shop.write("new")
    again = shop.console("apply", "saved", "--yes")
    assert again.code == 0
    assert "note[plan.applied]" in again.err
    assert shop.read() == "new"


def test_a_target_is_turned_back_with_what_it_needs(shop: Shop) -> None:
    """The snapshot is found though it is not named."""
    shop.describe("monday T-1", "monday")
    assert shop.console("apply", "--yes", "--target", "share/data").code == 0
    assert shop.read() == "old"
