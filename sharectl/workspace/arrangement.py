"""Bring the fields of manifest files into order, each file written whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sharectl.manifests.layout import arranged, is_left_for_aliases
from sharectl.manifests.sources import read_sources
from sharectl.manifests.syntax import binary_problem, explain_syntax, position_of
from sharectl.model.diagnostics import Diagnostic, Severity, Source, error
from sharectl.private import draft_of, way_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from sharectl.manifests.project import Project


class Arranged(NamedTuple):
    """A file under the name that it is shown by, its path (None for standard input), and its text before and after.

    One that `is_left` has manifests whose order must not change: parts of them stand in two places.
    """

    shown: str
    path: Path | None
    before: str
    after: str
    is_left: bool = False


def arrange(
    names: Sequence[str], directory: Path, stdin: BinaryIO | None, *, expand: Project | None = None
) -> tuple[tuple[Arranged, ...], tuple[Diagnostic, ...]]:
    """Return the files in `names` as they are and as they should be, and what is wrong with those that cannot be read.

    With the project in `expand`, ShareSets are written out.
    """
    sources = read_sources(names, base_directory=directory, stdin=stdin)
    diagnostics = list(sources.diagnostics)
    found = []
    for file in sources.files:
        data = file.data
        result = _text_of(file.path, data)
        if isinstance(result, Diagnostic):
            diagnostics.append(result)
            continue
        before, after = result
        if expand is not None:
            from sharectl.manifests.expansion import expanded  # noqa: PLC0415 - few ask for it
            from sharectl.workspace.validation import defaults_of  # noqa: PLC0415 - as above

            after, problems = expanded(file.path, after, defaults_of(expand, directory))
            diagnostics += problems
        path = None if file.real_path is None else Path(file.real_path)
        found.append(Arranged(file.path, path, before, after, is_left_for_aliases(before)))
    return tuple(found), tuple(diagnostics)


def _text_of(shown: str, data: bytes) -> tuple[str, str] | Diagnostic:
    from yaml import YAMLError  # noqa: PLC0415 - only where manifests are arranged

    problem = binary_problem(data)
    if problem is not None:
        return _wrong(
            shown, (problem.code, problem.summary, problem.remedy), max(problem.line, 1), max(problem.column, 1)
        )
    text = data.decode()
    try:
        return text, arranged(text)
    except YAMLError as failure:
        line, column = position_of(failure, data)
        return _wrong(shown, explain_syntax(failure), line + 1, column + 1)


def _wrong(shown: str, words: tuple[str, str, str], line: int, column: int) -> Diagnostic:
    code, summary, remedy = words
    return Diagnostic(
        Severity.ERROR, code, summary, "the file was left as it is.", remedy, None, Source(shown, line, column)
    )


def write(file: Arranged) -> Diagnostic | None:
    """Write a file; it keeps its mode, and a link its place. Return what is wrong where it cannot be written, or has changed meanwhile."""
    if file.path is None:
        return None
    target = file.path.resolve()
    try:
        with draft_of(target) as draft:
            draft.write_text(file.after, encoding="utf-8", newline="")
            draft.chmod(stat.S_IMODE(target.stat().st_mode))
            if target.read_bytes().decode(errors="replace") != file.before:
                return error(
                    "fmt.changed", f"{file.shown} was changed meanwhile, and is left as it is", remedy="run it again"
                )
    except OSError as failure:
        summary = f"{file.shown} could not be written: {failure.strerror}"
        remedy = way_out(failure, "look at what is there; the file is as it was")
        return error("fmt.unwritable", summary, "the file is as it was.", remedy=remedy)
    return None
