"""ShareSets written out: a Share document for each of their shares, in the place where the set stood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.defaults import Defaults
from sharectl.manifests.edits import CannotEditError, extent
from sharectl.manifests.findings import Checker, Finding
from sharectl.manifests.positions import FilePositions
from sharectl.manifests.reader import read_documents
from sharectl.manifests.schemas import accepts, schema_of
from sharectl.manifests.share_sets import members_of
from sharectl.manifests.validation import SoundDocument
from sharectl.manifests.write import ManifestDocument, dump
from sharectl.model.kinds import API_VERSION, Kind

if TYPE_CHECKING:
    from sharectl.manifests.reader import Document
    from sharectl.model.diagnostics import Diagnostic

_SET: Final = Kind.SHARE_SET.document_kind
_SHARE: Final = Kind.SHARE.document_kind
_MODELINE: Final = "yaml-language-server"


def expanded(shown: str, text: str, defaults: Defaults | None = None) -> tuple[str, list[Diagnostic]]:
    """Return the text of a file with its ShareSets written out, or as it is, with why one cannot be. Comments within sets are not kept.

    What the project's defaults give is left to them.
    """
    data = text.encode()
    reading = read_documents(data)
    sets = [each for each in reading.documents if _is_set(each.value)]
    findings: list[Finding] = list(reading.problems) if sets else []
    for document in reversed(sets):
        checker = Checker((document.number, document.line), "", findings)
        text = _written_out(text, document, checker, defaults or Defaults())
    positions = FilePositions(shown, data)
    found = [finding.diagnostic(positions) for finding in findings]
    return (data.decode() if found else text), found


def _is_set(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, dict) and value.get("apiVersion") == API_VERSION and value.get("kind") == _SET


def _written_out(text: str, document: Document, checker: Checker, defaults: Defaults) -> str:
    if not document.sound or not accepts(_SET)(document.value):
        checker.add(
            "share-set", "the ShareSet cannot be written out: it is not valid", "`sharectl validate` says why", "kind"
        )
        return text
    order = list(schema_of(_SHARE)["properties"]["spec"]["properties"])
    documents = []
    for share in members_of(document, SoundDocument(document.value), checker):
        whole = None if share.value is None else share.with_defaults(defaults).value
        if share.value is None or whole is None or not accepts(_SHARE)(whole):
            summary = f"the ShareSet cannot be written out: its share {share.name} is not valid"
            remedy, at = "`sharectl validate` says why", Checker(share.place, "", checker.findings)
            at.add("share-set", summary, remedy, "metadata", "name")
            return text
        metadata, own = share.value["metadata"], share.value["spec"]
        seen = defaults.applied(share.value).value["spec"]  # `null` stays where it keeps a default away
        spec = {
            field: own[field] for field in order if own.get(field) is not None or (field in own and field not in seen)
        }
        labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
        documents.append(ManifestDocument(_SHARE, share.name, spec, labels, annotations=annotations))
    try:
        start, end = extent(text, document.line)
    except CannotEditError as problem:
        checker.add(
            "share-set", f"the ShareSet cannot be written out: {problem}", "write it with line feeds alone", "kind"
        )
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    body = "".join((*_head(text[start:end]), dump(documents))).replace("\n", newline)
    return text[:start] + body + text[end:]


def _head(part: str) -> list[str]:
    """Return the lines above the first field: the `---`, and comments but for that which names the schema."""
    head = []
    for line in part.splitlines():
        if line.strip() and not line.startswith(("#", "---")):
            break
        if _MODELINE not in line:
            head.append(f"{line}\n")
    return head
