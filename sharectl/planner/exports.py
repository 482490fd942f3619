"""Settings of exports: which ones a backend's configuration and a share type ask for, and which exports differ."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from sharectl.model.access import NO_ACCESS_DIGEST
from sharectl.model.diagnostics import counted, warning
from sharectl.model.field_changes import FieldChange
from sharectl.model.frozen import NamedTuple, dataclass, field
from sharectl.model.kinds import Kind, address_of
from sharectl.planner.observed import identity_problem
from sharectl.planner.records import RECORDED_SETTINGS, settings_in
from sharectl.state.rows import spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from sharectl.model.access import AccessRule, ExportSettings
    from sharectl.model.kinds import Address
    from sharectl.model.observed import ObservedShare
    from sharectl.model.records import Record, StateView
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.draft import Draft
    from sharectl.planner.observed import Observed

PREFIX: Final = "export/"
"""What the field of a change begins with that is one of an export's settings."""


@dataclass(frozen=True, slots=True)
class ExportPolicy:
    """The export settings that one backend is to use: those of its configuration by protocol, and those of share types that ask for others.

    `by_type` is by protocol and share type; `by_rule`, by protocol, are those of shares with an access rule of this key alone.
    """

    by_protocol: Mapping[str, ExportSettings]
    by_type: Mapping[tuple[str, str], ExportSettings] = field(default_factory=dict)
    by_rule: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, protocol: str | None, share_type: str | None, keys: Collection[str] = ()) -> ExportSettings | None:
        """Return the settings of a share of this protocol and type; None where nothing is known of the protocol.

        `keys` are those of its rules, in lower case, as far as they matter.
        """
        found = self.by_type.get((protocol or "", share_type or ""), self.by_protocol.get(protocol or ""))
        by_rule = self.by_rule.get(protocol or "")
        if found is None or not by_rule or by_rule.keys().isdisjoint(keys):
            return found
        return tuple(sorted((*found, *((key, by_rule[key]) for key in by_rule.keys() & keys))))


def export_policy(
    settings_of: Callable[[str, Mapping[str, str]], ExportSettings],
    protocols: tuple[str, ...],
    extra_specs: Mapping[str, Mapping[str, str]],
) -> ExportPolicy:
    """Return the policy of a backend whose driver says by `settings_of` what a protocol and extra specs come to; types are by name."""
    whole = {protocol: settings_of(protocol, {}) for protocol in protocols}
    special = {
        (protocol, name): _of_all(settings)
        for name, specs in extra_specs.items()
        for protocol in protocols
        if (settings := settings_of(protocol, specs)) != whole[protocol]
    }
    by_rule = {
        protocol: found
        for protocol, settings in whole.items()
        if (found := {name: value for name, value in settings if is_of_rule(name)})
    }
    return ExportPolicy({protocol: _of_all(settings) for protocol, settings in whole.items()}, special, by_rule)


def is_of_rule(name: str) -> bool:
    """Tell whether a setting applies only to shares with a certain access rule: it has the name of that rule's key."""
    return ":" in name


def _of_all(settings: ExportSettings) -> ExportSettings:
    return tuple((name, value) for name, value in settings if not is_of_rule(name))


class ExportChange(NamedTuple):
    """What is to change in the export of a share."""

    changes: tuple[FieldChange, ...]

    def explains(self, current: Iterable[AccessRule], wanted: Iterable[AccessRule]) -> bool:
        """Tell whether the rules in force differ from the wanted ones only by the effect of such a setting."""
        changed = {change.field.removeprefix(PREFIX) for change in self.changes}
        return {rule.key.casefold() for rule in set(current) ^ set(wanted)} <= changed

    @property
    def reason(self) -> str:
        """What differs, in words."""
        return "its export's settings differ from its backend's and share type's: " + ", ".join(
            f"{change.field.removeprefix(PREFIX)} {change.before or 'not set'} → {change.after or 'not set'}"
            for change in self.changes
        )


@dataclass(frozen=True, slots=True)
class Exports:
    """The export settings that each backend is to use, by its name, and what is to change in the exports that exist."""

    policies: Mapping[str, ExportPolicy] = field(default_factory=dict)
    changes: Mapping[Address, ExportChange] = field(default_factory=dict)

    def settings(self, backend: str | None, spec: ShareSpec, rules: Iterable[AccessRule]) -> ExportSettings | None:
        """Return the settings that a share on the backend is to have with these rules; None where its driver says nothing of them."""
        policy = self.policies.get(backend or "")
        keys = {rule.key.casefold() for rule in rules}
        return None if policy is None else policy.of(spec.protocol, spec.share_type, keys)


NO_EXPORTS: Final = Exports()


def find_exports(state: StateView, observed: Observed, policies: Mapping[str, ExportPolicy]) -> Exports:
    """Compare the settings of exports with those that they are to have: as listed, or, where a share is not, as last put in force.

    Linear.
    """
    trusted = {
        name: seen for name in policies if (seen := observed.get(name)) is None or identity_problem(state, seen) is None
    }
    changes: dict[Address, ExportChange] = {}
    for address, record in state.records.items() if trusted else ():
        backend = record.backend or ""
        if record.kind != Kind.SHARE or backend not in trusted or not _has_access(record):
            continue
        seen = trusted[backend]
        share = None if seen is None or seen.shares is None else seen.shares.get(record.resource_id)
        if share is not None and share.trashed_at is not None:
            continue
        found = _changes(record, share, policies[backend])
        if found:
            changes[address] = ExportChange(found)
    return Exports(policies, changes)


def _changes(record: Record, share: ObservedShare | None, policy: ExportPolicy) -> tuple[FieldChange, ...]:
    """Return what is to change in the export of a share; nothing where neither a listing nor the state says what it has.

    Whom its rules mean is as recorded, where it is not listed: then they are not in force.
    """
    listed = None if share is None else share.export_settings
    protocol = None if share is None else share.protocol
    is_usual = share is not None and listed == policy.by_protocol.get(protocol or "", ())
    if is_usual and not policy.by_type and not policy.by_rule.get(protocol or ""):
        return ()
    recorded = settings_in(record)
    if listed is None and recorded is None:
        return ()
    before = dict(recorded or ())
    if listed is not None:
        before = {**{name: value for name, value in before.items() if is_of_rule(name)}, **dict(listed)}
    spec = spec_object_of(record)
    after = policy.of(spec["protocol"], spec.get("share_type"), [name for name in before if is_of_rule(name)])
    return () if after is None or before == dict(after) else _differences(before, dict(after))


def changed_with_protocols(
    exports: Exports, record: Record, share: ObservedShare | None, spec: ShareSpec
) -> tuple[FieldChange, ...]:
    """Return which of the settings that a share's export has now become others since it gets the protocols in `spec`."""
    listed = None if share is None else share.export_settings
    before = settings_in(record) if listed is None else listed
    after = exports.settings(record.backend, spec, ())
    if before is None or after is None:
        return ()
    stays = {name for name, _ in before} & {name for name, _ in after}
    of_both = [{name: value for name, value in settings if name in stays} for settings in (before, after)]
    return _differences(*of_both)


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(f"{PREFIX}{name}", before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _has_access(record: Record) -> bool:
    return record.access_digest != NO_ACCESS_DIGEST


def tell_unseen_exports(draft: Draft) -> None:
    """Warn, for each backend, of exports whose settings are neither listed nor recorded, so that a changed one is not taken for done.

    Where a backend could not be read, other messages say what was left out. Linear.
    """
    if draft.options.destroy or not draft.exports.policies:
        return
    counts = Counter[str]()
    for address, record in draft.records.items():
        backend = record.backend or ""
        if (
            record.kind == Kind.SHARE
            and backend in draft.exports.policies
            and draft.chooses(address)
            and _has_access(record)
            and RECORDED_SETTINGS not in record.attributes
        ):
            seen = draft.observed.get(backend)
            if (
                seen is not None
                and seen.error is None
                and record.resource_id not in (seen.shares or {})
                and (seen.shares is None or seen.asked_ids is not None)
            ):
                counts[backend] += 1
    for name, count in sorted(counts.items()):
        draft.tell(
            warning,
            "export.unseen",
            f"the export settings of {counted(count, 'share')} on backend {name} are not known",
            detail=(
                "the state has not recorded them yet, and this plan has not looked: a squash, security flavour or anonymous "
                "user that was changed, in the backend or in a share type, may not be in force there."
            ),
            remedy="plan without --refresh, which compares them; each change of access records them",
            address=address_of(Kind.BACKEND, name),
        )
