"""Changes of files as a unified patch that `git apply` takes."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sharectl.workspace.planned_edits import FileChange

_NOWHERE: Final = "/dev/null"
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def patch_text(files: Iterable[FileChange]) -> str:
    """Return the patch; an empty text where nothing is changed. Paths are under the top of the repository."""
    return "".join(line for change in files for line in _lines(change))


def _lines(change: FileChange) -> Iterator[str]:
    old, new = (_quoted(f"{side}/{change.path}") for side in "ab")
    yield f"diff --git {old} {new}\n"
    mode = "100755" if change.is_executable else "100644"
    if change.before is None:
        yield f"new file mode {mode}\n"
    if change.after is None:
        yield f"deleted file mode {mode}\n"
    before, after = (_split(text or "") for text in (change.before, change.after))
    names = _NOWHERE if change.before is None else old, _NOWHERE if change.after is None else new
    for line in unified_diff(before, after, *names):
        # difflib puts a tab behind no name of its own; git wants one where a name has spaces
        is_head = line.startswith(("--- ", "+++ ")) and line.endswith("\n") and line[4:-1] in names
        yield f"{line[:-1]}\t\n" if is_head and " " in line[4:] else _whole(line)


def _split(text: str) -> list[str]:
    """Return the lines as git counts them, by line feeds alone."""
    parts = text.split("\n")
    lines = [f"{part}\n" for part in parts[:-1]]
    return [*lines, parts[-1]] if parts[-1] else lines


def _whole(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _quoted(path: str) -> str:
    """Return a path as git writes it: in quotes where a character could be misread."""
    if path.isascii() and path.isprintable() and not set(path) & _ESCAPES.keys():
        return path
    text = "".join(
        _ESCAPES.get(char)
        or (char if " " <= char <= "~" else "".join(f"\\{byte:03o}" for byte in char.encode(errors="surrogateescape")))
        for char in path
    )
    return f'"{text}"'
