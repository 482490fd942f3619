"""Defaults of a project: what documents of a kind are taken to say where they say nothing themselves."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.manifests.compiled import NOTHING_GIVEN
from sharectl.manifests.findings import Checker, Finding
from sharectl.model.canonical import JsonObject, canonical_json, digest_of
from sharectl.model.kinds import API_VERSION, KIND_OF_DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sharectl.manifests.findings import Path
    from sharectl.model.diagnostics import Source

SETTING: Final = "defaults"
"""What the settings of a project call them."""

NULLABLE: Final = frozenset({"type", "availabilityZone", "shareNetwork", "snapshotPolicy"})
"""Fields that a document may set to `null`, to be without a default: no value of theirs says the same."""

_ALTERNATIVES: Final = {"protocol": "protocols", "protocols": "protocol"}
_ENTRY_DEPTH: Final = 3
"""The steps that lead to an entry from the top of the project file."""
_SPEC: Final = "spec/"
_LABELS: Final = "labels/"
_PLACEHOLDERS: Final[Mapping[str, JsonObject]] = {
    "Share": {"size": "1GiB", "protocol": "NFS"},
    "Snapshot": {"share": "x"},
}
_AT_A_PRICE: Final = "a default would be seen in none of the documents whose data it may cost; write it in them"
_OF_ONE: Final = "it is of one document alone; write it there"
_WITHOUT_DEFAULT: Final[Mapping[str, str]] = {
    "annotations": _OF_ONE,
    "name": _OF_ONE,
    "access": "who reaches a share is said by the share itself, or by an AccessRule that names it",
    "allowShrink": _AT_A_PRICE,
    "replacement": _AT_A_PRICE,
    "revertTo": _AT_A_PRICE,
    "exportName": _OF_ONE,
    "schedulerHints": _OF_ONE,
    "share": _OF_ONE,
    "sourceSnapshot": _OF_ONE,
}
"""The fields of documents that take no default, and why."""


class _Given(NamedTuple):
    """What the entries that match a document come to together, and which of them each field (`spec/type`, `labels/team`) is from."""

    spec: JsonObject
    labels: Mapping[str, str]
    origins: Mapping[str, int]


class Applied(NamedTuple):
    """A document with its defaults. `given` has the number of the entry for each field that is from one, `matched` a bit for each entry that matches."""

    value: JsonObject
    given: Mapping[str, int] = NOTHING_GIVEN
    matched: int = 0


class Defaults:
    """The entries of `spec.defaults` in their order.

    Of entries that match a document the last one wins, field by field of `spec` and label by label; the document itself always wins. A
    field is taken as a whole, lists and mappings are not merged. Entries match by the labels that the document itself has.
    """

    def __init__(
        self, entries: Sequence[JsonObject] = (), place: Callable[[Path], Source | None] | None = None
    ) -> None:
        """Take entries that meet the schema; `place` finds a setting, by its path under the `spec` of the project."""
        self._entries = entries
        self._place = place
        self._places: dict[Path, Source | None] = {}
        self._merged: dict[tuple[int, ...], _Given] = {}
        self._of_kind: dict[str, list[tuple[int, tuple[tuple[str, str], ...]]]] = {}
        for number, entry in enumerate(entries):
            wanted = tuple(entry.get("matchLabels", {}).items())
            self._of_kind.setdefault(entry["kind"], []).append((number, wanted))

    def __len__(self) -> int:
        """Return how many entries there are."""
        return len(self._entries)

    @cached_property
    def digest(self) -> str:
        """What tells these defaults from others, empty where there are none."""
        return digest_of(canonical_json(list(self._entries))).hex() if self._entries else ""

    def applied(self, document: JsonObject) -> Applied:
        """Return a document, of whatever form, with the defaults for it; it is not changed itself, since parts may stand in several."""
        entries = self._of_kind.get(document.get("kind", "")) if self._of_kind else None
        spec, metadata = document.get("spec"), document.get("metadata")
        if not entries or not isinstance(spec, dict) or not isinstance(metadata, dict):
            return Applied(document)
        labels = metadata.get("labels", {})
        own = labels if isinstance(labels, dict) else {}
        matching = tuple(number for number, wanted in entries if all(own.get(name) == value for name, value in wanted))
        if not matching:
            return Applied(document)
        given = self._merged.get(matching) or self._merge(matching)
        matched = sum(1 << number for number in matching)
        used = {
            name: value
            for name, value in given.spec.items()
            if name not in spec and _ALTERNATIVES.get(name, name) not in spec
        }
        dropped = [name for name in NULLABLE & spec.keys() & given.spec.keys() if spec[name] is None]
        added = {name: value for name, value in given.labels.items() if name not in own} if given.labels else {}
        if not isinstance(labels, dict):
            added = {}  # which is wrong as it is, and stays to be told
        if not used and not added and not dropped:
            return Applied(document, NOTHING_GIVEN, matched)
        value = {**document, "spec": {**spec, **used}}
        for name in dropped:
            del value["spec"][name]
        if added:
            value["metadata"] = {**metadata, "labels": {**own, **added}}
        keys = [*(f"{_SPEC}{name}" for name in used), *(f"{_LABELS}{name}" for name in added)]
        return Applied(value, {key: given.origins[key] for key in keys}, matched)

    def fields_for(self, kind: str, spec: JsonObject, labels: Mapping[str, str]) -> list[str]:
        """Return the fields that a document of this kind with this `spec` would have by default."""
        given = self.applied({"kind": kind, "metadata": {"labels": dict(labels)}, "spec": spec}).given
        return [key.removeprefix(_SPEC) for key in given if key.startswith(_SPEC)]

    def _merge(self, matching: tuple[int, ...]) -> _Given:
        given = _Given({}, {}, {})
        origins: dict[str, int] = {}
        labels: dict[str, str] = {}
        for number in matching:
            entry = self._entries[number]
            for name, value in entry.get("spec", {}).items():
                given.spec.pop(_ALTERNATIVES.get(name, name), None)
                given.spec[name] = value
                origins[f"{_SPEC}{name}"] = number
            for name, value in entry.get("metadata", {}).get("labels", {}).items():
                labels[name] = value
                origins[f"{_LABELS}{name}"] = number
        self._merged[matching] = given._replace(labels=labels, origins=origins)
        return self._merged[matching]

    def source(self, given: Mapping[str, int], path: Path) -> Source | None:
        """Return where the field at `path` of a document stands in the project file, if it is one of those that were given."""
        place = _setting(given, path)
        if place is None or self._place is None:
            return None
        if place not in self._places:
            self._places[place] = self._place(place)
        return self._places[place]

    def sources(self, given: Mapping[str, int]) -> Iterator[tuple[str, Source | None]]:
        """Yield each field that was given, as a dotted path, with its place in the project file."""
        for key in sorted(given):
            holder, _, name = key.partition("/")
            path = (holder, name) if holder == "spec" else ("metadata", "labels", name)
            yield ".".join(path), self.source(given, path)

    def unmatched(self, matched: int) -> Iterator[tuple[int, str]]:
        """Yield the number and the kind of each entry whose bit is not among those that matched."""
        for number, entry in enumerate(self._entries):
            if not matched >> number & 1:
                yield number, entry["kind"]


def _setting(given: Mapping[str, int], path: Path) -> Path | None:
    if not given:
        return None
    if path[:1] == ("spec",) and len(path) > 1:
        number, within = given.get(f"{_SPEC}{path[1]}"), path
    elif path[:2] == ("metadata", "labels") and len(path) > 2:  # noqa: PLR2004 - and the name of a label
        number, within = given.get(f"{_LABELS}{path[2]}"), path
    else:
        return None
    return None if number is None else (SETTING, number, *within)


def default_findings(entries: Sequence[JsonObject], document: int) -> Iterator[Finding]:
    """Yield what a schema cannot say of the entries, which meet it: each is checked once, and not again with every document that it is for."""
    from sharectl.manifests.builders import build  # noqa: PLC0415 - an unchanged project file is not checked again
    from sharectl.manifests.proposals import NO_VARIABLES, places_of_variables  # noqa: PLC0415 - as above

    for number, entry in enumerate(entries):
        place: Path = ("spec", SETTING, number)
        spec = entry.get("spec", {})
        if not spec and not entry.get("metadata", {}).get("labels"):
            summary, remedy = "this entry gives nothing", "write what it is to give under `spec`, or leave it out"
            yield Finding("project.defaults", summary, "", remedy, document, place)
            continue
        if spec.keys() >= _ALTERNATIVES.keys():
            summary = "`protocols` cannot stand beside `protocol`"
            yield Finding(
                "project.defaults", summary, "", "keep one of them", document, (*place, "spec", "protocols"), key=True
            )
            continue
        held = [*places_of_variables(entry, ())]
        for path in held:
            summary = f"{'.'.join(map(str, path))} holds a variable that nothing has filled in"
            yield Finding("project.defaults", summary, "", NO_VARIABLES, document, (*place, *path))
        if held:
            continue
        checker = Checker((document, 0), "", [])
        whole = {
            name: value
            for name, value in _PLACEHOLDERS[entry["kind"]].items()
            if _ALTERNATIVES.get(name, name) not in spec
        }
        value = {
            "apiVersion": API_VERSION,
            "kind": entry["kind"],
            "metadata": {"name": "x", **entry.get("metadata", {})},
            "spec": {**whole, **spec},
        }
        build(KIND_OF_DOCUMENT[entry["kind"]], value, checker)
        for found in checker.findings:
            yield found._replace(path=(*place, *found.path))


def explained(finding: Finding) -> Finding:
    """Return a finding about the project file, with the reason where it is about a field that takes no default."""
    path: tuple[Any, ...] = finding.path
    if finding.code != "manifest.unknown-field" or path[:2] != ("spec", SETTING):
        return finding
    *around, name = path
    if len(around) == _ENTRY_DEPTH and name in {"labels", *_fields_with_default()}:
        return finding._replace(remedy=f"write it under `{'metadata' if name == 'labels' else 'spec'}` of this entry")
    if name in _WITHOUT_DEFAULT:
        return finding._replace(summary=f"`{name}` takes no default", remedy=_WITHOUT_DEFAULT[name])
    return finding


def _fields_with_default() -> JsonObject:
    from sharectl.manifests.schemas import schema_of  # noqa: PLC0415 - only a mistake asks for it

    entry = schema_of("Project")["properties"]["spec"]["properties"][SETTING]["items"]
    fields: JsonObject = entry["properties"]["spec"]["properties"]
    return fields
