"""The small repository that `sharectl init` writes: it works as it is, and shows where things belong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import sharectl
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.workspace.editor_schemas import FOLDER, write_schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

IGNORE_FILE: Final = ".gitignore"
WORKFLOWS: Final = {
    "github": (".github/workflows/shares.yml", "github.yml"),
    "gitlab": (".gitlab-ci.yml", "gitlab.yml"),
}
"""By forge: where its workflow stands in a repository, and its template."""

FILES: Final = {
    "sharectl.yaml": "sharectl.yaml",
    "backends.yaml": "backends.yaml",
    "share-types.yaml": "share-types.yaml",
    "shares/projects.yaml": "projects.yaml",
    IGNORE_FILE: "gitignore",
}
"""What is written besides the workflow: by path under the new repository, its template."""

_TEMPLATES: Final = Path(__file__).with_name("templates")
_VERSION: Final = "@VERSION@"


def write_repository(directory: Path, forge: str, state: str) -> tuple[str, ...]:
    """Write the files into `directory`, none of which may exist, with the workflow for the forge and for that kind of state; return their paths.

    The schemas that editors read go beside the state, where git does not see them. Raises DiagnosticError.
    """
    files = dict([*FILES.items(), WORKFLOWS[forge]])
    taken = [name for name in files if (directory / name).exists() and name != IGNORE_FILE]
    if taken:
        is_repository = "sharectl.yaml" in taken
        elsewhere = "name a folder that is empty or not there yet: `sharectl init DIR`"
        raise DiagnosticError(
            error(
                "init.exists",
                f"{directory / taken[0]} is there already",
                detail="nothing was written, so nothing of yours was overwritten.",
                remedy=f"this is a repository: go on with `sharectl plan`, or {elsewhere}"
                if is_repository
                else elsewhere,
            )
        )
    written = []
    try:
        for name, template in files.items():
            path = directory / name
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(filled(template, state).encode())
            written.append(name)
        write_schemas(directory / FOLDER)
    except OSError as problem:
        raise DiagnosticError(
            error("init.unwritable", f"{problem.filename} could not be written: {problem.strerror}")
        ) from problem
    return tuple(written)


def filled(template: str, state: str) -> str:
    """Return the text of a template for a kind of state: a line that begins with `%sqlite` or `%postgresql` is for that kind alone."""
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    return "".join(_lines_for(state, text)).replace(_VERSION, sharectl.__version__)


def _lines_for(state: str, text: str) -> Iterator[str]:
    mark = f"%{state} "
    for line in text.splitlines(keepends=True):
        if line.startswith(mark):
            yield line.removeprefix(mark)
        elif not line.startswith("%"):
            yield line
