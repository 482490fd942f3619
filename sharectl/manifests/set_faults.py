"""What is wrong with the shares of a ShareSet: explained once for all that are alike, and told at the entry of each."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.manifests.validation import ReadDocument, SoundDocument
from sharectl.model.canonical import canonical_json
from sharectl.model.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Collection

    from sharectl.manifests.findings import Checker, Finding, Path
    from sharectl.manifests.share_sets import Member

_PROTOCOLS: Final = frozenset({"protocol", "protocols"})
_INSTEAD: Final = (
    "a share of a set takes the template's away with `protocol: null` (or `protocols: null`) beside its own"
)


class _Mended(NamedTuple):
    """What is wrong with shares that are alike, and what is sound in them."""

    findings: list[Finding]
    sound: SoundDocument | None


class SetFaults:
    """Explains the faults of the shares of one set."""

    def __init__(self) -> None:
        """Know none yet."""
        self._known: dict[bytes, _Mended] = {}

    def mended(self, share: Member, whole: SoundDocument, checker: Checker) -> SoundDocument | None:
        """Report what is wrong with the document of a share, and return what is sound in it; None where nothing is."""
        value = {**whole.value, "metadata": {**whole.value["metadata"], "name": ""}}
        key = canonical_json([value, sorted(map(repr, whole.unsound)), sorted(share.taken_away)])
        if key not in self._known:
            read = ReadDocument(Kind.SHARE.document_kind, deepcopy(whole.value), whole.unsound)
            found = [
                _of_entry(each, share)
                for each in read.findings(checker.document)
                if not _lacks_unsound(each, whole.unsound)
            ]
            self._known[key] = _Mended(found, read.mended())
        findings, sound = self._known[key]
        checker.findings += [
            each._replace(address=checker.address or None, line=checker.line, name_column=checker.name_column)
            for each in findings
        ]
        if sound is None:
            return None
        return SoundDocument(
            {**sound.value, "metadata": {**sound.value["metadata"], "name": share.name}}, sound.unsound
        )


def _of_entry(finding: Finding, share: Member) -> Finding:
    """Return what is wrong with a share of a set, as its entry can be mended."""
    if finding.path[-1:] and finding.path[-1] in _PROTOCOLS:
        return finding._replace(remedy=f"{finding.remedy}; {_INSTEAD}")
    is_missing = finding.code == "manifest.missing" and finding.path == ("spec",)
    gone = next((field for field in sorted(share.taken_away) if f"`{field}`" in finding.summary), None)
    return finding._replace(path=("spec", gone), key=True) if is_missing and gone is not None else finding


def _lacks_unsound(finding: Finding, unsound: Collection[Path]) -> bool:
    """Tell whether a field is missing only because what was written there is wrong, and was told of already."""
    return finding.code == "manifest.missing" and any(
        path[:-1] == finding.path and f"`{path[-1]}`" in finding.summary for path in unsound if path
    )
