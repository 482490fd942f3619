"""What is told of the settings of a project beside its manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.manifests.project import find_project
from sharectl.model.diagnostics import Severity
from sharectl.workspace.validation import load_manifests

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
apiVersion: sharectl/v1
kind: Project
spec:
  manifests: [m.yaml]
  state: {url: "postgresql://u@/d", name: x}
  execution: {executor: queue}
"""
BACKEND = "apiVersion: sharectl/v1\nkind: Backend\nmetadata: {name: a}\nspec: {driver: simulated, config: {stateFile: a.db}}\n"


def test_an_executor_for_workers_without_a_backend_of_theirs_is_told(tmp_path: Path) -> None:
    """With its place; the worker itself need not say which backends are remote."""
    (tmp_path / "sharectl.yaml").write_text(PROJECT)
    (tmp_path / "m.yaml").write_text(BACKEND)
    project = find_project(tmp_path)
    (told,) = load_manifests(project, directory=tmp_path).diagnostics
    assert (told.severity, told.code, told.source and told.source.line) == (Severity.WARNING, "execution.idle", 6)
    assert "the executor is queue, and no backend is remote" in told.summary
    assert load_manifests(project, directory=tmp_path, only=()).diagnostics == ()
    (tmp_path / "sharectl.yaml").write_text(PROJECT.replace("queue}", "queue, backends: {a: remote}}"))
    assert load_manifests(find_project(tmp_path), directory=tmp_path).diagnostics == ()
