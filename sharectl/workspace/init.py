"""The small repository that `sharectl init` writes: it works as it is, and shows where things belong."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sharectl.model.diagnostics import DiagnosticError, error

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


def write_repository(directory: Path, forge: str) -> tuple[str, ...]:
    """Write the files into `directory`, none of which may exist, with the workflow for the forge; return their paths. Raises DiagnosticError."""
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
            path.write_bytes((_TEMPLATES / template).read_bytes())
            written.append(name)
    except OSError as problem:
        raise DiagnosticError(
            error("init.unwritable", f"{problem.filename} could not be written: {problem.strerror}")
        ) from problem
    return tuple(written)
