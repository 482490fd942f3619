"""The plan while it is being made: everything known, the steps, refusals and diagnostics so far, and the refusals that kinds have in common."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import Severity, error
from sharectl.model.fields import rule_of, written_name
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import KINDS, MANAGED_KINDS, Kind, address_of, is_of, kind_of
from sharectl.model.plans import ACTIONS, Step, UpdateAccess, stated
from sharectl.model.records import Record
from sharectl.model.table import SPECS
from sharectl.model.verbs import Effect, Verb, verbs_that
from sharectl.planner.exports import NO_EXPORTS
from sharectl.planner.records import DEPOSED_MARK
from sharectl.planner.selection import compare, selector
from sharectl.planner.strays import stray_snapshots, strays_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sharectl.drivers.base import Capability
    from sharectl.manifests.desired import Desired
    from sharectl.model.access import AccessRule
    from sharectl.model.codec import Like
    from sharectl.model.diagnostics import Diagnostic, Source
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.kinds import Address
    from sharectl.model.observed import Before, ObservedSnapshot
    from sharectl.model.plans import Action, Work
    from sharectl.model.records import StateView
    from sharectl.model.specs import ShareSpec
    from sharectl.planner.exports import ExportChange, Exports
    from sharectl.planner.observed import Deviation, Observed
    from sharectl.planner.options import PlanOptions
    from sharectl.planner.selection import Comparison
    from sharectl.planner.shares.checks import ShareChecks
    from sharectl.planner.shares.export_names import ExportNames
    from sharectl.planner.strays import Strays

RESIZING: Final = frozenset({Verb.EXTEND_SHARE, Verb.SHRINK_SHARE})
REVERTING: Final = frozenset({Verb.REVERT_SHARE})
REMOVING: Final = verbs_that(Effect.REMOVES, managed=True)
MAKING: Final = verbs_that(Effect.MAKES, Effect.TAKES_OVER, managed=True)
USING: Final = frozenset(Verb) - {Verb.MOVE, Verb.UPDATE_RECORD}
"""Whatever needs the resource itself; its row may follow the manifest all the same."""
SHARE_REMOVALS: Final = (Verb.DELETE_SHARE, Verb.TRASH_SHARE, Verb.FORGET)
CONTENT: Final = RESIZING | REVERTING
"""What touches the data of a share that is there."""
_KIND_AND_BACKEND: Final = itemgetter(Record._fields.index("kind"), Record._fields.index("backend"))


class Refusal(NamedTuple):
    """One thing that is not done: what was said of it, and the verbs that it holds at its address; None holds all of them.

    `former` is the address that the resource had, where a rename is refused: what is there must not be touched either.
    """

    address: Address
    diagnostic: Diagnostic
    verbs: frozenset[Verb] | None = None
    former: Address | None = None


def step_id(verb: Verb, address: Address) -> str:
    """Return the id of the one step that does `verb` to `address`."""
    return verb + ":" + address


@dataclass(slots=True, eq=False, repr=False)
class Draft:
    """What the parts of the planner share; `records` is the state's, with moved resources under their new addresses.

    `recorded_total` counts its shares and snapshots, `held_by_backend` all that is on a backend; `others` are the addresses of the
    other kinds, by kind. `servers` leads from the resource ids of the recorded share servers to their addresses. `awaited` leads from a new resource that
    the plan leaves out to the one without which it cannot be made, and of which is said why. `snapshotted` are the shares that new
    snapshots are of, `unsnapshotted` the hosts of the pools that say that they take none. `set_aside` are the addresses at which a
    replacement was cut short, whose old shares are still there. `verbs` are those of all steps, some of which may be taken out again.
    `room_from` leads from a step that extends a share to those that make the room for it in its pool.
    """

    desired: Desired
    state: StateView
    observed: Observed
    options: PlanOptions
    deviations: Mapping[Address, Deviation]
    records: dict[Address, Record]
    exports: Exports = NO_EXPORTS
    unsnapshotted: frozenset[str] = frozenset()
    moved_from: dict[Address, Address] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    verbs: set[Verb] = field(default_factory=set)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    new: list[Address] = field(default_factory=list)
    replaced: dict[Address, Action] = field(default_factory=dict)
    room_from: dict[str, tuple[str, ...]] = field(default_factory=dict)
    removals: list[Address] = field(default_factory=list)
    recreations: list[Address] = field(default_factory=list)
    revocations: list[Address] = field(default_factory=list)
    servers: dict[str, Address] = field(default_factory=dict)
    recorded_total: int = 0
    held_by_backend: dict[str, int] = field(default_factory=dict)
    others: dict[str, list[Address]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    awaited: dict[Address, Address] = field(default_factory=dict)
    export_changes: dict[Address, ExportChange] = field(default_factory=dict)
    metadata_changes: dict[tuple[Like[ShareSpec], Like[ShareSpec]], tuple[FieldChange, ...]] = field(
        default_factory=dict
    )
    compared: Comparison | None = None
    _known_ids: set[str] | None = None
    _strays: Strays | None = None
    _stray_snapshots: dict[str, dict[str, list[ObservedSnapshot]]] = field(default_factory=dict)
    _holders: dict[str, list[str]] | None = None
    _checks: ShareChecks | None = None
    _export_names: ExportNames | None = None
    _asks_for_export_names: bool | None = None
    _selects: Callable[[Address], bool] | None = None
    _access: dict[Address, tuple[AccessRule, ...]] = field(default_factory=dict)
    snapshotted: frozenset[Address] = frozenset()
    set_aside: frozenset[Address] = frozenset()

    def __post_init__(self) -> None:
        """Look through the state once."""
        self.export_changes = dict(self.exports.changes)
        counts = Counter(map(_KIND_AND_BACKEND, self.records.values()))
        self.recorded_total = sum(count for (kind, _), count in counts.items() if kind in MANAGED_KINDS)
        for (kind, backend), count in counts.items():
            if backend is not None and kind != Kind.BACKEND:
                self.held_by_backend[backend] = self.held_by_backend.get(backend, 0) + count
        if self.recorded_total < len(self.records):
            for address, record in self.records.items():
                if record.kind not in MANAGED_KINDS:
                    self.others.setdefault(record.kind, []).append(address)
        self.servers = {self.records[a].resource_id: a for a in self.others.get(Kind.SHARE_SERVER, ())}

    @property
    def is_stopped(self) -> bool:
        """Tell whether an error is about more than one address, so that nothing of the plan may be done."""
        return sum(found.severity is Severity.ERROR for found in self.diagnostics) > len(self.refusals)

    @property
    def comparison(self) -> Comparison:
        """Manifests and records side by side: as `compared` was handed in, and anew once something has moved."""
        if self.compared is None:
            self.compared = compare(self.desired, self.records, destroy=self.options.destroy)
        return self.compared

    @property
    def known_ids(self) -> AbstractSet[str]:
        """The resource ids of all that the state knows, and of what is being made; the set is built once."""
        if self._known_ids is None:
            self._known_ids = {record.resource_id for record in self.state.records.values()}
            self._known_ids.update(operation.resource_id for operation in self.state.operations)
            self._known_ids |= self.state.arrived
        return self._known_ids

    @property
    def strays_by_name(self) -> Strays:
        """The shares on the backends that the state does not know, by the names that manifests of theirs would have."""
        if self._strays is None:
            self._strays = strays_by_name(self.observed, self.known_ids)
        return self._strays

    def stray_snapshots_of(self, backend: str, share_id: str) -> Sequence[ObservedSnapshot]:
        """Return the snapshots of a share, by the backend's own id of it, that the state does not know; a backend is looked through once."""
        found = self._stray_snapshots.get(backend)
        if found is None:
            found = self._stray_snapshots[backend] = {}
            for snapshot in stray_snapshots(self.observed[backend], self.known_ids):
                found.setdefault(snapshot.share_backend_id, []).append(snapshot)
        return found.get(share_id, ())

    def holders_of(self, name: str) -> tuple[str, ...]:
        """Return the resource ids of the shares of sharectl's that have the name on their backends, sorted, but for those in a trash."""
        if self._holders is None:
            self._holders = {}
            for seen in self.observed.values():
                for resource_id, share in (seen.shares or {}).items():
                    if share.trashed_at is None:
                        self._holders.setdefault(share.name, []).append(resource_id)
        return tuple(sorted(self._holders.get(name, ())))

    @property
    def checks(self) -> ShareChecks:
        """What drivers say of shares before anything is called; made when the first share is new or changed."""
        if self._checks is None:
            from sharectl.planner.shares.checks import ShareChecks  # noqa: PLC0415 - an empty plan needs none

            self._checks = ShareChecks(self.desired)
        return self._checks

    @property
    def export_names(self) -> ExportNames:
        """Who has, or asks for, which name on which server; made when the first share gets a name of its own."""
        if self._export_names is None:
            from sharectl.planner.shares.export_names import ExportNames  # noqa: PLC0415 - most plans need none

            self._export_names = ExportNames(self.desired, self.records, self.observed, self.known_ids, self.servers)
        return self._export_names

    @property
    def asks_for_export_names(self) -> bool:
        """Tell whether any manifest or row has a share with a name for clients that is not its own."""
        if self._asks_for_export_names is None:
            self._asks_for_export_names = (
                self._export_names is not None
                or any(b'"export_name"' in record.spec for record in self.records.values())
                or any(is_of(Kind.SHARE, a) and self.desired.share(a).export_name is not None for a in self.new)
            )
        return self._asks_for_export_names

    def add(  # noqa: PLR0913 - the fields of a step
        self,
        verb: Verb,
        address: Address,
        reason: str,
        *,
        action: Action | None = None,
        backend: str | None = None,
        record: Record | None = None,
        work: Work | None = None,
        changes: tuple[FieldChange, ...] | None = (),
        before: Before | None = None,
    ) -> None:
        """Take a step into the plan, a part of the usual `action` of its verb unless another is given.

        `record` is the row that it expects at its address; no `changes` (None) are those of its work.
        """
        name = step_id(verb, address)
        self.verbs.add(verb)
        if isinstance(work, UpdateAccess) and changes:
            changes = stated(work, changes)
        version = None if record is None else record.version
        self.steps[name] = Step(
            name, address, action or ACTIONS[verb][0], verb, reason, backend, work, changes, version, before=before
        )

    def access(self, address: Address) -> tuple[AccessRule, ...]:
        """Return the access rules of a new share, which are asked for when it is placed and when its steps are made."""
        rules = self._access.get(address)
        if rules is None:
            rules = self._access[address] = self.desired.access(address)
        return rules

    def let_go(self) -> None:
        """Drop all of the manifests that the steps do not hold; whatever is still needed is decoded again."""
        self._access.clear()
        self.desired.let_go(specs=True)

    def has(self, address: Address, *verbs: Verb) -> bool:
        """Tell whether the plan does one of `verbs` to `address`."""
        steps = self.steps
        for verb in verbs:  # noqa: SIM110 - asked several times of each changed share; a generator takes twice the time
            if step_id(verb, address) in steps:
                return True
        return False

    def chooses(self, address: Address, backend: str | None = None) -> bool:
        """Tell whether the plan is about an address, and about the backend that it is on, where that is given."""
        options = self.options
        if not options.narrows:
            return True
        if self._selects is None:
            self._selects = selector(self)
        return self._selects(address) and (backend is None or not options.backends or backend in options.backends)

    def can(self, backend: str | None, capability: Capability) -> bool:
        """Tell whether the backend's driver has the capability."""
        seen = self.observed.get(backend or "")
        return seen is not None and capability in seen.capabilities

    def able(self, backend: str) -> frozenset[Capability]:
        """Return what the driver of a backend that has a manifest can do."""
        return self.observed[backend].capabilities

    def refuse(  # noqa: PLR0913 - the fields of a diagnostic, and how much it holds
        self,
        code: str,
        address: Address,
        summary: str,
        *,
        detail: str = "",
        remedy: str = "",
        path: str = "",
        holds: frozenset[Verb] | None = None,
        former: Address | None = None,
        source: Source | None = None,
    ) -> None:
        """Hold what is wanted of a resource, with an error that is placed at its field `path` (dotted) in the manifest, if it has one.

        The steps at the address that do what `holds` names (None: all) are taken out of the plan, and so is what depends on them;
        all else is done. `former` is held whole as well. What is wrong with more than one address belongs among the diagnostics:
        such an error stops the plan. `source` is a place that is known already.
        """
        source = source or self._source(address, path)
        found = error(code, summary, detail=detail, remedy=remedy, address=address, source=source)
        self.diagnostics.append(found)
        self.refusals.append(Refusal(address, found, holds, former))

    def tell(  # noqa: PLR0913 - the fields of a diagnostic
        self,
        make: Callable[..., Diagnostic],
        code: str,
        summary: str,
        *,
        detail: str = "",
        remedy: str = "",
        address: Address | None = None,
        path: str | None = None,
    ) -> None:
        """Add what `make` makes, an error or a warning; with a `path` (dotted; empty for the name) it is placed in the manifest."""
        source = None if path is None or address is None else self._source(address, path)
        self.diagnostics.append(make(code, summary, detail=detail, remedy=remedy, address=address, source=source))

    def _source(self, address: Address, path: str) -> Source | None:
        if not (address in self.desired.digests or self.desired.describes(address)):
            return None
        if not path:
            return self.desired.source(address)
        return self.desired.field_source(address, *(int(part) if part.isdigit() else part for part in path.split(".")))

    def refuse_found(
        self, found: Diagnostic, address: Address, *, path: str, holds: frozenset[Verb] | None = None
    ) -> None:
        """Refuse, as `refuse` does, for what a check has found without knowing the place."""
        self.refuse(
            found.code, address, found.summary, detail=found.detail, remedy=found.remedy, path=path, holds=holds
        )


def lacks(draft: Draft, backend: str | None, capability: Capability) -> bool:
    """Tell whether the backend's driver is known to be without the capability; of a backend without manifest nothing is known."""
    return backend in draft.desired.backends and not draft.can(backend, capability)


def removal_reason(draft: Draft) -> str:
    """Return why a resource is removed, for people."""
    return "destroy was asked for" if draft.options.destroy else "its manifest is gone"


def may_remove(draft: Draft, address: Address, record: Record, reason: str = "") -> bool:
    """Tell whether the resource may go; refuse, with the reason, where it is protected.

    A share that a replacement set aside counts under its old name.
    """
    if not is_protected(draft, address, record):
        return True
    draft.refuse(
        "safety.protected",
        address,
        f"{address} is protected and would be removed ({reason or removal_reason(draft)})",
        detail="protection is kept in the state and holds after the manifest is gone.",
        remedy=f"restore its manifest, or apply it with protect: false first, or pass --override-protection {address}",
        holds=REMOVING,
    )
    return False


def own_place(desired: Desired, address: Address, field: str) -> str:
    """If a share has the `field` by default, return a note that its own document is meant, and where that is; else nothing, since the diagnostic's place says so."""
    if f"spec.{field}" not in desired.by_default(address):
        return ""
    return f" in the share's own document ({address}: {desired.source(address)})"


def refuse_immutable(draft: Draft, address: Address, change: FieldChange, holds: frozenset[Verb]) -> None:
    """Refuse the change of a field that cannot change in place, with the reason and the remedy in the table of kinds."""
    kind = kind_of(address)
    entry, field = KINDS[kind], SPECS[kind].__dataclass_fields__[change.field]
    rule, written = rule_of(field), written_name(field)
    renamed = ""
    if change.field == "share_type" and change.before is not None and change.before not in draft.desired.share_types:
        renamed = f"; {address_of(Kind.SHARE_TYPE, change.before)} has no manifest any more: if it was renamed, give it that name again, which it keeps while shares have it"
    draft.refuse(
        f"{kind}.immutable",
        address,
        f"{address}: {written} cannot change in place, from {change.before} to {change.after}",
        detail=(rule.because or entry.because).format(address=address),
        remedy=(rule.way_out or entry.way_out).format(address=address, place=own_place(draft.desired, address, written))
        + renamed,
        path=f"spec.{written}",
        holds=holds,
    )


def is_protected(draft: Draft, address: Address, record: Record) -> bool:
    """Tell whether the resource is protected, and the user has not overridden that."""
    overridden = draft.options.override_protection
    return record.protect and address not in overridden and address.partition(DEPOSED_MARK)[0] not in overridden


def refuse_left_out(draft: Draft, address: Address, needed: Address, holds: frozenset[Verb] | None = None) -> None:
    """Refuse a resource that cannot be made, or what `holds` names, without another one, which is not part of this plan."""
    draft.refuse(
        "plan.left-out",
        address,
        f"{address} needs {needed}, which is not there yet and which this plan leaves out",
        detail="the targets, labels or exclusions of this plan do not cover it.",
        remedy=f"plan {needed} too, or first",
        holds=holds,
    )
