"""The page on kustomize names every field that refers to another document."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from sharectl.model.fields import rule_of, written_name
from sharectl.model.kinds import KINDS, Kind
from sharectl.model.specs import RevertRequest, SchedulerHints
from sharectl.model.table import SPECS
from tools.sessions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARTS = {"hints": SchedulerHints, "revert_to": RevertRequest}
_OF_RULES = {("Share", "AccessRule", "spec/share"), ("Share", "AccessRule", "spec/shares")}
"""Rules have no spec of their own; what they name is resolved when manifests are linked."""


def references(kind: Kind, spec: type, prefix: str = "spec") -> Iterator[tuple[str, str, str]]:
    """Yield the kind that is named, the kind that names it, and the field, as in the page."""
    for field in fields(spec):
        path = f"{prefix}/{written_name(field)}"
        if field.name in _PARTS:
            yield from references(kind, _PARTS[field.name], path)
        elif (named := rule_of(field).refers_to) is not None:
            yield named.document_kind, kind.document_kind, path


def test_the_configuration_names_every_reference() -> None:
    """A new one in the table of kinds has to be added to it."""
    text = (ROOT / "docs" / "kustomize.md").read_text(encoding="utf-8").partition("# names.yaml\n")[2]
    configuration = YAML(typ="safe").load(text.partition("```")[0])["nameReference"]
    told = {(each["kind"], field["kind"], field["path"]) for each in configuration for field in each["fieldSpecs"]}
    dropped = Kind.CLIENT_LIST  # by kustomize, as the page says
    written = [kind for kind, entry in KINDS.items() if entry.schema and kind in SPECS and kind is not dropped]
    assert told == {found for kind in written for found in references(kind, SPECS[kind])} | _OF_RULES
