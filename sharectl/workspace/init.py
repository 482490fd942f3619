"""The small repository that `sharectl init` writes: it works at once, and shows where things belong."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sharectl
from sharectl.model.diagnostics import DiagnosticError, error
from sharectl.private import draft_of, way_out
from sharectl.workspace.editor_schemas import FOLDER, write_schemas

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

IGNORE_FILE: Final = ".gitignore"
_PROJECT: Final = "sharectl.yaml"
WORKFLOWS: Final = {
    "github": (".github/workflows/shares.yml", "github.yml"),
    "gitlab": (".gitlab-ci.yml", "gitlab.yml"),
}
"""By forge: where its workflow stands in a repository, and its template."""

FILES: Final = {
    _PROJECT: "sharectl.yaml",
    "backends.yaml": "backends.yaml",
    "share-types.yaml": "share-types.yaml",
    "shares/projects.yaml": "projects.yaml",
    IGNORE_FILE: "gitignore",
}
"""What is written besides the workflow: by path under the new repository, its template."""

_TEMPLATES: Final = Path(__file__).with_name("templates")
_VERSION: Final = "@VERSION@"


def write_repository(directory: Path, forge: str, state: str) -> tuple[str, ...]:
    """Write the files into `directory`, with the workflow for the forge and for that kind of state; return the paths of those that are new.

    None of them may be there with another text, and the project's own file, which comes last, not at all: the next run finishes what a
    killed one began. The schemas that editors read go beside the state, where git does not see them. Where one cannot be written, nothing of it
    stays. Raises DiagnosticError.
    """
    files = dict([*FILES.items(), WORKFLOWS[forge]])
    texts = {name: filled(template, state).encode() for name, template in files.items()}
    _refuse_taken(directory, texts)
    new = [name for name in texts if not (directory / name).exists()]
    folders = _missing_folders(directory / name for name in (*new, f"{FOLDER}/*"))
    written: list[Path] = []
    path = schemas = directory / FOLDER
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_schemas(schemas)
        for name in sorted(new, key=_PROJECT.__eq__):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft_of(path, mode=0o666, is_durable=False) as draft:
                draft.write_bytes(texts[name])
            written.append(path)
    except BaseException as problem:
        _take_back(written, folders, {schemas, schemas.parent})
        if not isinstance(problem, OSError):
            raise
        raise DiagnosticError(
            error(
                "init.unwritable",
                f"{path} could not be written: {problem.strerror}",
                detail="what was written before it is removed again.",
                remedy=way_out(problem, "name a folder that can be made or written to: `sharectl init DIR`"),
            )
        ) from problem
    return tuple(new)


def _refuse_taken(directory: Path, texts: Mapping[str, bytes]) -> None:
    taken = [name for name, text in texts.items() if name != IGNORE_FILE and _is_taken(directory / name, text)]
    if not taken:
        return
    is_repository = _PROJECT in taken
    elsewhere = "name a folder that is empty or not there yet: `sharectl init DIR`"
    raise DiagnosticError(
        error(
            "init.exists",
            f"{directory / taken[0]} is there already",
            detail="nothing was written, so nothing of yours was overwritten.",
            remedy=f"this is a repository: go on with `sharectl plan`, or {elsewhere}" if is_repository else elsewhere,
        )
    )


def _is_taken(path: Path, text: bytes) -> bool:
    """Tell whether something else is there than what an `init` that was killed has left."""
    try:
        return path.read_bytes() != text or path.name == _PROJECT
    except FileNotFoundError:
        return path.is_symlink()
    except OSError:
        return path.exists()


def _missing_folders(paths: Iterable[Path]) -> list[Path]:
    """Return the folders that will be made for these files, the deepest first."""
    above = {parent for path in paths for parent in path.parents}
    return sorted((folder for folder in above if not folder.exists()), key=lambda folder: -len(folder.parts))


def _take_back(written: Iterable[Path], folders: Iterable[Path], private: Container[Path]) -> None:
    """Remove what was written, as far as possible, and the folders that were made for it; the private ones with all that is in them."""
    for path in written:
        with suppress(OSError):
            path.unlink()
    for folder in folders:
        with suppress(OSError):
            for path in folder.iterdir() if folder in private else ():
                path.unlink()
            folder.rmdir()


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
