"""Settings of exports: which ones a backend's configuration and a share type ask for, and which shares are exported otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from sharectl.model.access import NO_ACCESS_DIGEST
from sharectl.model.diagnostics import warning
from sharectl.model.kinds import Kind
from sharectl.model.plans import FieldChange
from sharectl.planner.drift import identity_problem
from sharectl.planner.selection import selector
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sharectl.drivers.base import ObservedShare
    from sharectl.model.access import AccessRule, ExportSettings
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.records import Record
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import BackendObservation

PREFIX: Final = "export/"
"""What the field of a change begins with that is one of an export's settings."""


@dataclass(frozen=True, slots=True)
class ExportWishes:
    """The export settings that one backend is to use: those of its configuration by protocol, and those of share types that ask for others.

    `by_type` is by protocol and share type.
    """

    by_protocol: Mapping[str, ExportSettings]
    by_type: Mapping[tuple[str, str], ExportSettings] = field(default_factory=dict)

    def of(self, protocol: str | None, share_type: str | None) -> ExportSettings | None:
        """Return the settings of a share of this protocol and type; None where nothing is known of the protocol."""
        special = self.by_type.get((protocol or "", share_type or ""))
        return self.by_protocol.get(protocol or "") if special is None else special


def export_wishes(
    settings_of: Callable[[str, Mapping[str, str]], ExportSettings],
    protocols: tuple[str, ...],
    extra_specs: Mapping[str, Mapping[str, str]],
) -> ExportWishes:
    """Return the wishes of a backend whose driver says by `settings_of` what a protocol and extra specs come to; types are by name."""
    plain = {protocol: settings_of(protocol, {}) for protocol in protocols}
    special = {
        (protocol, name): settings
        for name, specs in extra_specs.items()
        for protocol in protocols
        if (settings := settings_of(protocol, specs)) != plain[protocol]
    }
    return ExportWishes(plain, special)


class ExportChange(NamedTuple):
    """What is to change in the export of a share, and who has access by it now."""

    changes: tuple[FieldChange, ...]
    access: tuple[AccessRule, ...]


def find_export_changes(draft: Draft, wishes: Mapping[str, ExportWishes]) -> dict[Address, ExportChange]:
    """Return what is to change in the exports of the shares that are listed with other settings than they are to have.

    Linear, and a comparison for each share; a share's type is looked up only where some type asks for settings of its own.
    """
    differing: dict[str, set[str]] = {}
    for name, wished in wishes.items():
        seen = draft.observed.get(name)
        if seen is not None and seen.shares is not None and identity_problem(draft.state, seen) is None:
            found = _suspects(seen, wished)
            if found:
                differing[name] = found
    if not differing:
        return {}
    found_changes: dict[Address, ExportChange] = {}
    for address, record in draft.records.items():
        if record.kind == Kind.SHARE and record.resource_id in differing.get(record.backend or "", ()):
            share = (draft.observed[record.backend or ""].shares or {})[record.resource_id]
            changes = _changes(share, record, wishes[record.backend or ""])
            if changes and share.trashed_at is None:
                found_changes[address] = ExportChange(changes, share.access)
    return found_changes


def unseen_exports(draft: Draft) -> list[Diagnostic]:
    """Warn, for each backend, of exports whose settings this plan has not looked at, so that a changed one is not taken for done.

    Where a backend could not be read, other messages say what was left out. Linear.
    """
    if draft.options.destroy:
        return []
    selects, counts = selector(draft), Counter[str]()
    for address, record in draft.records.items():
        if (
            record.kind == Kind.SHARE
            and (selects is None or selects(address))
            and record.backend in draft.export_wishes
            and record.digest[16:] != NO_ACCESS_DIGEST
        ):
            seen = draft.observed.get(record.backend or "")
            if (
                seen is not None
                and seen.error is None
                and record.resource_id not in (seen.shares or {})
                and (seen.shares is None or seen.asked_ids is not None)
            ):
                counts[record.backend or ""] += 1
    return [
        warning(
            "export.unseen",
            f"the export settings of {count} share{'' if count == 1 else 's'} on backend {name} were not looked at",
            detail=(
                "a squash, security flavour or anonymous user that was changed, in the backend or in a share type, "
                "may not be in force there."
            ),
            remedy="plan without --refresh, which compares them and carries them out",
            address=f"{Kind.BACKEND}/{name}",
        )
        for name, count in sorted(counts.items())
    ]


def settings_for(draft: Draft, record: Record) -> ExportSettings | None:
    """Return the export settings that a recorded share is to have; None where its driver says nothing of them."""
    wished = draft.export_wishes.get(record.backend or "")
    if wished is None:
        return None
    spec = spec_object_of(record)
    return wished.of(spec["protocol"], spec.get("share_type"))


def _suspects(seen: BackendObservation, wished: ExportWishes) -> set[str]:
    """Return the ids of the shares that may be exported otherwise than they are to be."""
    plain, has_special = wished.by_protocol, bool(wished.by_type)
    return {
        resource_id
        for resource_id, share in (seen.shares or {}).items()
        if share.export_settings is not None
        and (has_special or share.export_settings != plain.get(share.protocol or "", share.export_settings))
    }


def _changes(share: ObservedShare, record: Record, wished: ExportWishes) -> tuple[FieldChange, ...]:
    wanted = wished.of(share.protocol, spec_object_of(record).get("share_type"))
    if wanted is None or wanted == share.export_settings:
        return ()
    before, after = dict(share.export_settings or ()), dict(wanted)
    return tuple(
        FieldChange(f"{PREFIX}{name}", before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )
