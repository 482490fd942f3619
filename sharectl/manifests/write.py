"""Write manifests: specs to documents, and documents to YAML that every reader, of YAML 1.1 or 1.2, takes for the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.fields import written_of
from sharectl.manifests.rule_options import written_options
from sharectl.manifests.scalars import needs_quotes
from sharectl.manifests.schemas import schema_of
from sharectl.model.access import BOTH, protocols_in
from sharectl.model.frozen import dataclass, field
from sharectl.model.kinds import API_VERSION
from sharectl.model.table import SPECS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Spec

_SAFE_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@+:\\ -]*")
_UNSAFE_PART: Final = re.compile(r": |:\Z| \Z| #|  |\A---|\A\.\.\.")
_MAX_PLAIN_CHARACTERS: Final = 100
_ESCAPES: Final = {"\n": "\\n", "\t": "\\t"}
_LAST_BYTE: Final = 0xFF
_LAST_PAIR: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class ManifestDocument:
    """A manifest to be written. `kind` is the document's (`ShareType`); `spec` is as the schema has it; `comment` goes above it."""

    kind: str
    name: str
    spec: JsonObject
    labels: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""


def document_of(spec: Spec, access: Iterable[AccessRule] = (), *, comment: str = "") -> ManifestDocument:
    """Return the manifest of a spec, with the access rules of a share inline."""
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
    fields = {name: fields[name] for name in order if name in fields}
    return ManifestDocument(kind, plain["name"], fields, plain.get("labels", {}), comment)


def dump(documents: Iterable[ManifestDocument]) -> str:
    """Return the documents as YAML text: block style, a comment above each that has one, quotes wherever a reader might err."""
    parts = []
    for document in documents:
        metadata: JsonObject = {"name": document.name}
        if document.labels:
            metadata["labels"] = dict(document.labels)
        whole = {"apiVersion": API_VERSION, "kind": document.kind, "metadata": metadata, "spec": document.spec}
        lines = ("".join(c if c.isprintable() else " " for c in line) for line in document.comment.splitlines())
        parts.append("".join(f"{f'# {line}'.rstrip()}\n" for line in lines) + "\n".join(_block(whole)) + "\n")
    return "---\n".join(parts)


def _block(value: Mapping[str, Any] | Sequence[Any]) -> Iterator[str]:
    """Yield the lines of a mapping or list that is not empty."""
    if isinstance(value, dict):
        for key, part in value.items():
            if _is_block(part):
                yield f"{_scalar(str(key))}:"
                yield from (f"  {line}" for line in _block(part))
            else:
                yield f"{_scalar(str(key))}: {_scalar(part)}"
        return
    for part in value:
        if _is_block(part):
            first, *rest = _block(part)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
        else:
            yield f"- {_scalar(part)}"


def _is_block(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, dict | list | tuple) and bool(value)


def _scalar(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        is_safe = (
            len(value) <= _MAX_PLAIN_CHARACTERS and _SAFE_PLAIN.fullmatch(value) and not _UNSAFE_PART.search(value)
        )
        return value if is_safe and not needs_quotes(value) else f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text else text.replace("e", ".0e")  # YAML 1.1 knows no number with an exponent alone
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict | list | tuple):
        return "{}" if isinstance(value, dict) else "[]"
    return str(value)


def scalar(text: str, *, in_flow: bool = False) -> str:
    """Return text as it stands in YAML, in quotes wherever a reader might err; `in_flow` within brackets, too."""
    written = _scalar(text)
    return f'"{text}"' if in_flow and written == text and set(text) & set(",[]{}:") else written


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return _ESCAPES.get(char) or (
        f"\\x{code:02x}" if code <= _LAST_BYTE else f"\\u{code:04x}" if code <= _LAST_PAIR else f"\\U{code:08x}"
    )
