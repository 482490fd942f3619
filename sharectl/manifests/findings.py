"""What a check finds, before its place in a file is looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sharectl.manifests.concealment import may_name_secret
from sharectl.model.diagnostics import Diagnostic, Severity
from sharectl.model.kinds import Kind, is_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sharectl.manifests.positions import FilePositions


Path = tuple[str | int, ...]


def touches(path: Path, places: Iterable[Path]) -> bool:
    """Tell whether one of the places is the value at `path`, around it, or within it."""
    return any(path[: len(place)] == place or place[: len(path)] == path for place in places)


class Finding(NamedTuple):
    """An error at `path` in document `document` of its file, which `line` is in; `key` points at the key instead of the value.

    In `remedy`, `{written}` stands for the text of the value as the user wrote it; in `summary`, `{other}` for the
    place of the value at `other` in the same document.
    """

    code: str
    summary: str
    detail: str = ""
    remedy: str = ""
    document: int = 0
    path: Path = ()
    key: bool = False
    address: str | None = None
    other: Path = ()
    line: int = 0

    @property
    def is_about_unknown_setting(self) -> bool:
        """Tell whether a field of a configuration is unknown: then so is whether its value is a secret."""
        return self.code == "manifest.unknown-field" and (
            "config" in self.path or is_of(Kind.SECURITY_SERVICE, self.address or "")
        )

    def diagnostic(self, positions: FilePositions) -> Diagnostic:
        """Return the diagnostic, with its place looked up in the file."""
        if self.line:
            positions = positions.in_document(self.document, self.line)
        remedy = self.remedy
        if "{written}" in remedy:
            written = positions.spot(self.document, self.path).text or ""
            if any(isinstance(step, str) and may_name_secret(step) for step in self.path):
                written = "***"
            remedy = remedy.replace("{written}", written.replace("\\", "\\\\").replace('"', '\\"')[:80])
        summary = self.summary
        if self.other:
            summary = summary.replace("{other}", str(positions.source(self.document, self.other)))
        source = positions.source(self.document, self.path, key=self.key)
        return Diagnostic(Severity.ERROR, self.code, summary, self.detail, remedy, self.address, source)
