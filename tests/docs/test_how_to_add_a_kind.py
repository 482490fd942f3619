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
_UNTRACKED: Final = {"__pycache__", "node_modules"}
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
        """Copy."""
        self.code, self.repository = folder / "code", folder / "repository"
        for path in _files(ROOT):
            (self.code / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, self.code / path)
        self.repository.mkdir()
        (self.repository / "sharectl.yaml").write_text(
            "apiVersion: sharectl/v1\nkind: Project\nspec: {manifests: [all.yaml]}\n", encoding="utf-8"
        )

    def add_kind(self) -> None:
        """Do what the page says of a kind."""
        for path, text in _NEW.findall(PAGE):
            (self.code / path).write_text(text, encoding="utf-8")
        for _, patch in _CHANGED.findall(PAGE):
            command = ["patch", "-p1", "--fuzz=2", "--no-backup-if-mismatch"]
            done = subprocess.run(command, cwd=self.code, input=patch, text=True, capture_output=True, check=False)
            assert done.returncode == 0, done.stdout
        line = re.search(r'under "Added":\n\n```markdown\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)
        self._insert("CHANGELOG.md", line, "", after="### Added\n\n")
        self._make_reference()

    def add_field(self) -> None:
        """Do what the page says of a field."""
        schema = re.search(r"```json\n(        \"description\".*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
        self._insert("schemas/share.schema.json", schema, '        "retainAccess"')
        spec = re.search(r"```python\n(    description.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
        self._insert("sharectl/model/specs.py", spec, "    retain_access: bool")
        self._make_reference()

    def changed(self) -> set[str]:
        """Return the files that are new or different."""
        files = _files(self.code) | _files(ROOT)
        return {path for path in files if _content(self.code / path) != _content(ROOT / path)}

    def _insert(self, path: str, block: re.Match[str] | None, before: str, *, after: str = "") -> None:
        assert block is not None
        file = self.code / path
        text = file.read_text(encoding="utf-8")
        at = text.index(after) + len(after) if after else text.index(before)
        file.write_text(text[:at] + block[1] + text[at:], encoding="utf-8")

    def _make_reference(self) -> None:
        command = [sys.executable, "-m", "tools.reference"]
        environment = {**os.environ, "PYTHONPATH": str(self.code)}
        subprocess.run(command, cwd=self.code, env=environment, check=True)

    def sharectl(self, *words: str, code: int = 0) -> str:
        """Return what a command prints, which has to end with this code."""
        environment = {**os.environ, "PYTHONPATH": str(self.code)}
        command = [sys.executable, "-m", "sharectl", *words]
        done = subprocess.run(
            command, cwd=self.repository, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def describe(self, text: str) -> None:
        """Write the manifests."""
        (self.repository / "all.yaml").write_text(text, encoding="utf-8")


def _files(folder: Path) -> set[str]:
    """Return the files outside tests, but for what tools leave there."""
    tops = ("sharectl", "schemas", "examples", "docs", "tools", "bench")
    found = [path for top in tops for path in (folder / top).rglob("*") if path.is_file()]
    found += [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".coverage")]
    relative = (path.relative_to(folder) for path in found)
    return {path.as_posix() for path in relative if not _UNTRACKED & {*path.parts} and path.suffix != ".pyc"}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Return a copy with all that the page says."""
    copy = Copy(tmp_path_factory.mktemp("kind"))
    copy.add_kind()
    copy.add_field()
    return copy


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


def test_a_field_that_cannot_change_is_refused_where_it_does(copy: Copy) -> None:
    """Its policy says so; nothing else does."""
    specs = copy.code / "sharectl" / "model" / "specs.py"
    declared = 'description: str = field(default="", metadata=ruled(Policy.'
    text = specs.read_text(encoding="utf-8")
    specs.write_text(text.replace(f"{declared}METADATA", f"{declared}IMMUTABLE"), encoding="utf-8")
    described = _MANIFESTS.replace("protocol: NFS}", "protocol: NFS, description: two}", 1).rpartition("---\n")[0]
    copy.describe(described)
    copy.sharectl("apply", "--yes")
    copy.describe(described.replace("two}", "three}"))
    assert "description cannot change in place, from two to three" in copy.sharectl("plan", code=1)
    specs.write_text(text, encoding="utf-8")


def test_a_kind_is_twelve_files(tmp_path: Path) -> None:
    """Those of the table, with the generated one and the changelog; no other file outside tests is new or different."""
    copy = Copy(tmp_path)
    copy.add_kind()
    counted = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("## A kind")[2], re.MULTILINE)
    assert sorted(copy.changed()) == sorted(counted)
    assert len(counted) == 12
    assert not {path for path, _ in _NEW.findall(PAGE) if (ROOT / path).exists()}


def test_a_field_of_shares_is_four_files(tmp_path: Path) -> None:
    """The schema, the spec, and what is generated: the reference, and the schema of share sets."""
    copy = Copy(tmp_path)
    copy.add_field()
    generated = ["docs/reference/kinds.md", "schemas/share-set.schema.json"]
    assert sorted(copy.changed()) == [*generated, "schemas/share.schema.json", "sharectl/model/specs.py"]
