"""What checks find in manifests, before its place in a file is looked up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Diagnostic, Severity
from sharectl.model.frozen import NamedTuple, dataclass, field
from sharectl.model.kinds import Kind, address_of, is_of, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sharectl.manifests.positions import FilePositions
    from sharectl.model.diagnostics import Source
    from sharectl.model.kinds import Address

Path = tuple[str | int, ...]


def touches(path: Path, places: Iterable[Path]) -> bool:
    """Tell whether one of the places is the value at `path`, around it, or within it."""
    return any(path[: len(place)] == place or place[: len(path)] == path for place in places)


class Finding(NamedTuple):
    """An error at `path` in document `document` of its file, which `line` is in; `key` points at the key instead of the value.

    In `remedy`, `{written}` stands for the text of the value as the user wrote it; in `summary`, `{other}` for the
    place of the value at `other` in the same document. One with a `column` is at that place of the line: what is wrong there is not even YAML.
    `name_column` is where the name stands in that line, if the finding is about what has the name: a document may describe several shares.
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
    column: int = 0
    name_column: int = 0

    @property
    def is_about_unknown_setting(self) -> bool:
        """Tell whether a field of a configuration is unknown: then so is whether its value is a secret."""
        return self.code == "manifest.unknown-field" and (
            "config" in self.path or is_of(Kind.SECURITY_SERVICE, self.address or "")
        )

    def diagnostic(self, positions: FilePositions) -> Diagnostic:
        """Return the diagnostic, with its place looked up in the file."""
        if self.line:
            positions = positions.in_document(self.document, self.line, self.name_column)
        remedy = self.remedy
        if "{written}" in remedy:
            written = positions.written(self.document, self.path)
            remedy = remedy.replace("{written}", written.replace("\\", "\\\\").replace('"', '\\"')[:80])
        summary = self.summary
        if self.other:
            summary = summary.replace("{other}", str(positions.source(self.document, self.other)))
        if self.column:
            source = positions.place(self.line, self.column, self.document)
        else:
            source = positions.source(self.document, self.path, key=self.key)
        return Diagnostic(Severity.ERROR, self.code, summary, self.detail, remedy, self.address, source)


def told_once(diagnostics: Sequence[Diagnostic], set_at: Callable[[Source], Address | None]) -> list[Diagnostic]:
    """Return the diagnostics with those together that several shares of a ShareSet owe to one place; `set_at` returns the set there, None where it has no name."""
    groups: dict[tuple[object, ...], list[Diagnostic]] = {}
    for each in diagnostics:
        is_share = each.address is not None and is_of(Kind.SHARE, each.address)
        name = name_of(each.address) if is_share and each.address is not None else ""
        same = (
            each.code,
            each.source,
            each.summary.replace(f"'{name}'", "").replace(address_of(Kind.SHARE, name), "") if name else each.summary,
            bool(name) or each.address,
        )
        groups.setdefault(same, []).append(each)
    return [_together(group, set_at) for group in groups.values()]


def _together(group: Sequence[Diagnostic], set_at: Callable[[Source], Address | None]) -> Diagnostic:
    first, others = group[0], {each.address for each in group} - {group[0].address}
    if not others or first.source is None:
        return first
    address = set_at(first.source)
    return replace(
        first, summary=f"{first.summary} (in {len(others) + 1:,} shares of {address or 'a ShareSet'})", address=address
    )


def told_by_default(found: Sequence[Diagnostic]) -> Diagnostic:
    """Return one for all that say the same of a value that many documents have by one default, with how many have it."""
    first, others = found[0], len(found) - 1
    whose = f"{first.address} and {others} more have" if others else f"{first.address} has"
    return replace(first, detail=f"{whose} it by default. {first.detail}".rstrip())


class Checker:
    """Collects the findings of one document."""

    def __init__(self, place: Sequence[int], address: str, findings: list[Finding]) -> None:
        """Add to `findings`, for the document at `place`: its number, a line in it, and the column where its name stands, if that is known."""
        self.document, self.line = place[0], place[1]
        self.name_column = place[2] if len(place) > 2 else 0  # noqa: PLR2004 - as told
        self.address = address
        self.findings = findings

    def add(  # noqa: PLR0913 - the parts of a Finding
        self,
        code: str,
        summary: str,
        remedy: str,
        *path: str | int,
        detail: str = "",
        key: bool = False,
        other: tuple[str | int, ...] = (),
    ) -> None:
        """Record an error at `path`; `{other}` in the summary becomes the place of `other`."""
        address = self.address or None
        self.findings.append(
            Finding(
                f"manifest.{code}",
                summary,
                detail,
                remedy,
                self.document,
                path,
                key,
                address,
                other,
                self.line,
                name_column=self.name_column,
            )
        )


@dataclass(frozen=True, slots=True)
class Flaws:
    """The paths at which documents are wrong, by address; `hides_backends` where text that could not be read may describe backends."""

    paths: Mapping[Address, frozenset[Path]] = field(default_factory=dict)
    hides_backends: bool = False

    def is_sound(self, address: Address, *fields: str) -> bool:
        """Tell whether nothing is wrong with any of these fields of the document's spec."""
        return not self.paths or all(self.is_sound_at(address, "spec", field) for field in fields)

    def is_sound_at(self, address: Address, *path: str | int) -> bool:
        """Tell whether nothing is wrong with what stands at `path` in the document, around it or within."""
        return address not in self.paths or not touches(path, self.paths[address])


NO_FLAWS: Final = Flaws()
