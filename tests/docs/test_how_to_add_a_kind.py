"""The page on adding a kind: its patches apply, what they add works, and the numbers that it names are true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.docs.repository import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE: Final = (ROOT / "docs" / "how-to-add-a-kind.md").read_text(encoding="utf-8")
_NEW: Final = re.compile(r"^`([^`\n]+)`, new:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CHANGED: Final = re.compile(r"^`([^`\n]+)`:\n\n```diff\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MANIFESTS: Final = """apiVersion: sharectl/v1
kind: Backend
metadata: {name: nas}
spec: {driver: simulated, config: {stateFile: nas.db}}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: ledger}
spec: {size: 1GiB, protocol: NFS}
---
apiVersion: sharectl/v1
kind: Share
metadata: {name: invoices}
spec: {size: 1GiB, protocol: NFS}
---
apiVersion: sharectl/v1
kind: ShareGroup
metadata: {name: finance}
spec: {shares: [ledger, invoices]}
"""


class Copy:
    """A copy of sharectl with the patches of the page, and a repository that it is used in."""

    def __init__(self, folder: Path) -> None:
        """Copy and patch."""
        self.code, self.repository = folder / "code", folder / "repository"
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("sharectl", "schemas", "examples"):
            shutil.copytree(ROOT / part, self.code / part, ignore=ignored)
        for path, text in _NEW.findall(PAGE):
            (self.code / path).write_text(text, encoding="utf-8")
        for _, patch in _CHANGED.findall(PAGE):
            command = ["patch", "-p1", "--fuzz=2", "--no-backup-if-mismatch"]
            done = subprocess.run(command, cwd=self.code, input=patch, text=True, capture_output=True, check=False)
            assert done.returncode == 0, done.stdout
        self._insert(
            "schemas/share.schema.json", r"```json\n(        \"description\".*?)^```$", '        "retainAccess"'
        )
        self._insert("sharectl/model/specs.py", r"```python\n(    description.*?)^```$", "    retain_access: bool")
        self.repository.mkdir()
        (self.repository / "sharectl.yaml").write_text(
            "apiVersion: sharectl/v1\nkind: Project\nspec: {manifests: [all.yaml]}\n", encoding="utf-8"
        )

    def _insert(self, path: str, block: str, before: str) -> None:
        found = re.search(block, PAGE, re.DOTALL | re.MULTILINE)
        assert found is not None
        file = self.code / path
        text = file.read_text(encoding="utf-8")
        assert text.count(before) == 1
        file.write_text(text.replace(before, found[1] + before), encoding="utf-8")

    def sharectl(self, *words: str) -> str:
        """Return what a command prints."""
        environment = {**os.environ, "PYTHONPATH": str(self.code)}
        command = [sys.executable, "-m", "sharectl", *words]
        done = subprocess.run(
            command, cwd=self.repository, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def describe(self, text: str) -> None:
        """Write the manifests."""
        (self.repository / "all.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return a copy with the patches."""
    return Copy(tmp_path_factory.mktemp("kind"))


def test_the_new_kind_is_planned_applied_shown_and_removed(copy: Copy) -> None:
    """Its schema, spec, steps, calls, rows and texts are there, from what the page says alone."""
    copy.describe(_MANIFESTS)
    assert "+ share_group/finance" in copy.sharectl("plan")
    copy.sharectl("apply", "--yes")
    assert copy.sharectl("plan").startswith("No changes.")
    copy.describe(_MANIFESTS.replace("[ledger, invoices]", "[ledger]"))
    assert 'shares  ["ledger","invoices"] → ["ledger"]' in copy.sharectl("plan")
    copy.sharectl("plan", "--out", "kept")
    copy.sharectl("apply", "kept")
    assert 'shares         ["ledger"]' in copy.sharectl("show", "share_group/finance")
    copy.describe(_MANIFESTS.rpartition("---\n")[0])
    assert "- share_group/finance" in copy.sharectl("plan")
    copy.sharectl("apply", "--yes")
    assert "share_group" not in copy.sharectl("state", "list")


def test_the_new_field_is_recorded_compared_and_shown(copy: Copy) -> None:
    """From its schema and its declaration alone."""
    described = _MANIFESTS.replace("protocol: NFS}", "protocol: NFS, description: one}", 1).rpartition("---\n")[0]
    copy.describe(described)
    copy.sharectl("apply", "--yes")
    copy.describe(described.replace("one}", "two}"))
    assert "~ description  one → two" in copy.sharectl("plan")
    copy.sharectl("apply", "--yes")
    assert "description    two" in copy.sharectl("show", "share/ledger")


def test_the_files_are_those_that_the_page_counts() -> None:
    """Twelve, each in the table and each with its text."""
    written = [path for path, _ in (*_NEW.findall(PAGE), *_CHANGED.findall(PAGE))]
    counted = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("## A kind")[2], re.MULTILINE)
    assert sorted(written) == sorted(counted)
    assert len(counted) == 12
    assert not {path for path, _ in _NEW.findall(PAGE) if (ROOT / path).exists()}
