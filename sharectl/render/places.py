"""Places in manifests as a forge names them: by their path under the root of the repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from posixpath import normpath
from typing import TYPE_CHECKING

from sharectl.model.diagnostics import Diagnostic
from sharectl.model.plans import Plan
from sharectl.render.diagnostics import Verdict
from sharectl.workspace.git import git_lines

if TYPE_CHECKING:
    from collections.abc import Callable


def in_repository(value: object, directory: Path | None) -> object:
    """Return a plan, a verdict or diagnostics of a command in `directory`, with the places of its findings under the root of the repository."""
    answer = git_lines(directory or Path(), "rev-parse", "--show-toplevel", "--show-prefix")
    if not answer:
        return value
    top, prefix = answer[0], "".join(answer[1:])

    def path_of(path: str) -> str:
        if path.startswith(f"{top}/"):
            return path[len(top) + 1 :]
        return path if path.startswith(("/", "<")) else normpath(prefix + path)

    return _moved(value, path_of)


def _moved(value: object, path_of: Callable[[str], str]) -> object:
    match value:
        case Plan():
            return replace(value, diagnostics=tuple(_placed(found, path_of) for found in value.diagnostics))
        case Verdict():
            return value._replace(diagnostics=tuple(_placed(found, path_of) for found in value.diagnostics))
        case tuple():
            return tuple(_placed(found, path_of) if isinstance(found, Diagnostic) else found for found in value)
        case _:
            return value


def _placed(found: Diagnostic, path_of: Callable[[str], str]) -> Diagnostic:
    source = found.source
    return found if source is None else replace(found, source=replace(source, path=path_of(source.path)))
