"""Write manifests: specs to documents, and documents to YAML that every reader, of YAML 1.1 or 1.2, takes for the same."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.defaults import NULLABLE, Defaults
from sharectl.manifests.fields import written_of
from sharectl.manifests.rule_options import written_options
from sharectl.manifests.scalars import needs_quotes
from sharectl.manifests.schemas import schema_of
from sharectl.model.access import BOTH, protocols_in
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import API_VERSION
from sharectl.model.table import SPECS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Spec

_SAFE_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@+:\\ -]*")
_UNSAFE_PART: Final = re.compile(r": |:\Z| \Z| #|  |\A---|\A\.\.\.")
_MAX_PLAIN_CHARACTERS: Final = 100
_NULL_TAG: Final = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class ManifestDocument:
    """A manifest to be written. `kind` is the document's (`ShareType`); `spec` is as the schema has it; `comment` goes above it."""

    kind: str
    name: str
    spec: JsonObject
    labels: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)


def document_of(
    spec: Spec,
    access: Iterable[AccessRule] = (),
    *,
    comment: str = "",
    defaults: Defaults | None = None,
    by_default: Collection[str] = (),
) -> ManifestDocument:
    """Return the manifest of a spec, with the access rules of a share inline.

    It says the same with the project's `defaults`: what they would say otherwise is written out, but for the fields `by_default`.
    """
    kind = next(kind for kind, cls in SPECS.items() if cls is type(spec)).document_kind
    plain = spec.as_plain()
    fields = written_of(type(spec), plain)
    if fields.get("protocol") == BOTH:
        fields["protocols"] = list(protocols_in(fields.pop("protocol")))
    rules = [
        {
            "type": str(rule.access_type),
            "to": rule.access_to,
            "level": str(rule.access_level),
            **written_options(rule.options),
        }
        for rule in access
    ]
    if rules:
        fields["access"] = rules
    order = schema_of(kind)["properties"]["spec"]["properties"]
    given = [] if defaults is None else defaults.fields_for(kind, fields, plain.get("labels", {}))
    for name in given:
        if name not in by_default:
            fields[name] = None if name in NULLABLE else order[name]["default"]
    fields = {name: fields[name] for name in order if name in fields}
    return ManifestDocument(kind, plain["name"], fields, plain.get("labels", {}), comment)


def dump(documents: Iterable[ManifestDocument]) -> str:
    """Return the documents as YAML text: block style, a comment above each that has one, quotes wherever a reader might err."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only writing needs it

    yaml = YAML()
    yaml.width = 1 << 20
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(_NULL_TAG, "null"))
    parts = []
    for document in documents:
        text = io.StringIO()
        metadata: JsonObject = {"name": document.name}
        if document.labels:
            metadata["labels"] = dict(document.labels)
        if document.annotations:
            metadata["annotations"] = dict(document.annotations)
        whole = {"apiVersion": API_VERSION, "kind": document.kind, "metadata": metadata, "spec": document.spec}
        yaml.dump(_quoted(whole), text)
        lines = ("".join(c if c.isprintable() else " " for c in line) for line in document.comment.splitlines())
        parts.append("".join(f"{f'# {line}'.rstrip()}\n" for line in lines) + text.getvalue())
    return "---\n".join(parts)


def scalar(text: str, *, in_flow: bool = False) -> str:
    """Return an ASCII text as it stands in YAML, in quotes wherever a reader might err; `in_flow` within brackets, too."""
    is_plain = _is_plain(text) and not (in_flow and set(text) & set(",[]{}:"))
    return text if is_plain else json.dumps(text)


def _quoted(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString  # noqa: PLC0415 - only writing needs it

    if isinstance(value, str):
        return value if _is_plain(value) else DoubleQuotedScalarString(value)
    if isinstance(value, dict):
        return {_quoted(str(key)): _quoted(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_quoted(part) for part in value]
    return value


def _is_plain(text: str) -> bool:
    """Tell whether every reader takes it for this text without quotes."""
    is_safe = len(text) <= _MAX_PLAIN_CHARACTERS and _SAFE_PLAIN.fullmatch(text) and not _UNSAFE_PART.search(text)
    return bool(is_safe) and not needs_quotes(text)
