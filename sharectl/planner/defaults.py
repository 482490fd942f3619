"""Report once what many resources have from one place: a default of the project, or a ShareSet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sharectl.manifests.findings import told_by_default
from sharectl.model.diagnostics import Severity, warning
from sharectl.model.fields import written_name
from sharectl.model.kinds import kind_of
from sharectl.model.table import SPECS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sharectl.manifests.desired import Desired
    from sharectl.model.diagnostics import Diagnostic, Source
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.planner.draft import Draft


def tell_changed_defaults(draft: Draft) -> None:
    """Add a warning for each default by which resources that are there change, at its place; the changes themselves are those of any step."""
    found: dict[tuple[str, Source | None], dict[Address, None]] = {}
    for step in draft.steps.values():
        if step.address not in draft.records or step.address not in draft.desired.digests or not step.changes:
            continue
        given = draft.desired.by_default(step.address)
        for change in step.changes:
            for name in fields_of_change(step.address, change):
                if name in given:
                    found.setdefault((name, given[name]), {})[step.address] = None
    for (name, source), addresses in found.items():
        first = min(addresses)
        more = f" and {len(addresses) - 1:,} more" if len(addresses) > 1 else ""
        detail = "what each of them becomes is among the changes."
        remedy = "a document that is to stay as it is says so itself"
        summary = f"by this default, {name} of {first}{more} changes"
        draft.diagnostics.append(
            warning("defaults.changes", summary, detail=detail, remedy=remedy, address=first, source=source)
        )


def told_once(desired: Desired, diagnostics: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics with those errors together that say the same of several resources at one place: a default that these have, or a ShareSet that they stand in."""
    groups: dict[tuple[object, ...], list[Diagnostic]] = {}
    for each in diagnostics:
        key: tuple[object, ...] = (id(each),)
        if each.severity is Severity.ERROR and each.source is not None and each.address in desired.digests:
            key = (each.code, each.source, each.summary.replace(each.address or "", ""))
        groups.setdefault(key, []).append(each)
    return tuple(each for key, group in groups.items() for each in (group if len(key) == 1 else _told(desired, group)))


def _told(desired: Desired, group: Sequence[Diagnostic]) -> Sequence[Diagnostic]:
    first, addresses = group[0], {each.address for each in group}
    assert first.address is not None  # noqa: S101 - it is among the digests
    if first.source in desired.by_default(first.address).values():
        return (told_by_default(group),)
    share_set = desired.set_of(first.address) if len(addresses) > 1 else None
    if share_set is None:
        return group
    return (replace(first, summary=f"{first.summary} (in {len(addresses):,} shares of {share_set})"),)


def fields_of_change(address: Address, change: FieldChange) -> Iterator[str]:
    """Yield the fields of a document, as dotted paths, that a change of a share or snapshot is about."""
    if change.field == "labels":
        before, after = change.before or {}, change.after or {}
        yield from (f"metadata.labels.{name}" for name in after if before.get(name) != after[name])
        return
    field = SPECS[kind_of(address)].__dataclass_fields__.get("size_bytes" if change.field == "size" else change.field)
    if field is not None:
        yield f"spec.{written_name(field)}"
