"""What a saved plan must be before it is applied: whole, with steps that show what they do, and not overtaken by what has changed since."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn, cast

from sharectl.model.access import AccessLevel, AccessType
from sharectl.model.candidates import backends_in
from sharectl.model.diagnostics import DiagnosticError, Severity, error, listed, warning
from sharectl.model.field_changes import RULE_FIELD
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import MANAGED_KINDS, Kind, kind_of
from sharectl.model.plans import (
    ACTIONS,
    REPLACING,
    Action,
    CreateShare,
    Held,
    PrepareBackend,
    ResizeShare,
    ScheduleSnapshots,
    UpdateAccess,
)
from sharectl.model.quantities import format_size
from sharectl.model.verbs import VERBS, Effect, Verb, verbs_that
from sharectl.planner.draft import MAKING, RESIZING, SHARE_REMOVALS
from sharectl.planner.records import DEPOSED_MARK, policy_in
from sharectl.planner.report import summarize
from sharectl.planner.saved.surroundings import changed_surroundings
from sharectl.state.rows import share_spec_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Plan, Step
    from sharectl.model.records import Record, RuleRecord
    from sharectl.model.specs import ShareSpec

    _CauseOf = Callable[[Step], Address | None]
    """Tells the address that is in the way of a step."""

_RECORDED: Final = MANAGED_KINDS | {Kind.SHARE_SERVER, Kind.BACKEND}
_WITHOUT_BACKEND: Final = frozenset({Verb.FORGET, Verb.MOVE, Verb.UPDATE_RECORD, Verb.CREATE_SHARE})
_TYPES: Final = frozenset(map(str, AccessType))
_LEVELS: Final = frozenset(map(str, AccessLevel))
_NAMED: Final = 3
STALE: Final = "plan.stale"
NEW_PLAN: Final = "make a new plan with `sharectl plan --out FILE`, look at it, and apply that"
_REMOVES: Final = verbs_that(Effect.REMOVES)
_SNAPSHOT_REMOVAL: Final = f"{Verb.DELETE_SNAPSHOT}:"


class UnsoundPlanError(ValueError):
    """A plan that sharectl would never have written; `str()` says where and why."""


def check_plan(plan: Plan) -> None:
    """Raise UnsoundPlanError at the first thing that is not as sharectl writes it, types apart. Linear in the steps."""
    for name, backend in plan.backends.items():
        if backend.name != name:
            _fail(f"backend {name}", f"it calls itself {backend.name!r}")
        if backend.step_timeout_seconds <= 0:
            _fail(f"backend {name}", "its timeout is 0")
    known: set[str] = set()
    for step in plan.steps:
        where = f"step {step.step_id}"
        _check_step(step, where)
        if step.step_id in known:
            _fail(where, "occurs twice")
        missing = [name for name in step.waits_for if name not in known]
        if missing:
            _fail(where, f"waits for {missing[0]!r}, which is not a step before it")
        known.add(step.step_id)
        _check_places(step, plan, where)
        _check_shown(step, where)
    expected = summarize(plan.steps, plan.summary.unchanged)
    if plan.summary != expected:
        _fail("summary", f"counts {plan.summary}, and the steps are {expected}")


def _check_step(step: Step, where: str) -> None:
    if step.step_id != f"{step.verb.value}:{step.address}":
        _fail(where, "its id does not say what it does to which address")
    if step.expected_version == 0:
        _fail(where, "it expects version 0, which no row has")
    if step.action not in ACTIONS[step.verb]:
        _fail(where, f"{step.verb.value} is not a part of the action {step.action.word}")
    kind, wanted = _kind(step.address, where), VERBS[step.verb].kind
    if kind not in (_RECORDED if wanted is None else {wanted}):
        _fail(where, f"{step.verb.value} cannot be done to a {kind.value}")
    if step.former is not None and _kind(step.former, where) is not kind:
        _fail(where, f"{step.former} is another kind")
    if isinstance(step.work, UpdateAccess):
        _check_rules(step, step.work, where)


def _kind(address: str, where: str) -> Kind:
    try:
        return kind_of(address)
    except ValueError:
        _fail(where, f"{address!r} is not an address")


def _check_rules(step: Step, work: UpdateAccess, where: str) -> None:
    for rule in work.rules:
        if rule.access_type not in _TYPES or rule.access_level not in _LEVELS:
            _fail(where, f"nobody can be given {rule.access_level!r} as {rule.access_type!r}")
    if len({rule[:2] for rule in work.rules}) != len(work.rules):
        _fail(where, "a rule occurs twice")
    if step.stated_changes is None:  # what is shown follows from the rules
        return
    grants = {rule.key: rule.grant for rule in work.rules}
    shown = {name.removeprefix(RULE_FIELD): after for name, _, after in step.changes if name.startswith(RULE_FIELD)}
    for key, after in shown.items():
        if grants.get(key) != after:
            _fail(where, f"it shows access/{key} as {after}, and would make it {grants.get(key)}")
    if step.action in {Action.CREATE, *REPLACING} and not work.repairs and grants.keys() - shown:
        _fail(where, f"{RULE_FIELD}{min(grants.keys() - shown)} is not shown")


def _check_places(step: Step, plan: Plan, where: str) -> None:
    if step.backend is None and step.verb not in _WITHOUT_BACKEND:
        _fail(where, "it names no backend")
    if step.verb is Verb.CREATE_SHARE and not step.candidates:
        _fail(where, "it names no pool for the new share")
    missing = backends_in(step.candidates) - plan.backends.keys()
    if step.backend is not None and step.backend not in plan.backends:
        missing.add(step.backend)
    if missing:
        _fail(where, f"its backend {min(missing)} is not in the plan")


def _check_shown(step: Step, where: str) -> None:
    """Hold what is printed against what would be done."""
    if isinstance(step.work, CreateShare | ResizeShare) and step.stated_changes is not None:
        wanted = format_size(step.work.spec.size_bytes)
        sizes = [change.after for change in step.changes if change.field == "size"]
        if sizes != [wanted]:
            _fail(where, f"it shows the size {sizes[0] if sizes else 'of nothing'}, and would make it {wanted}")
    if isinstance(step.work, UpdateAccess) and step.work.spec is not None:
        spec = step.work.spec
        made = {"export_name": spec.export_name or spec.name, "protocol": str(spec.protocol)}
        seen = {change.field: change.after for change in step.changes if change.field in made}
        wrong = next((name for name in seen if seen[name] != made[name]), None if seen else "export_name")
        if wrong is not None:
            _fail(where, f"it shows the {wrong} {seen.get(wrong, 'of nothing')}, and would make it {made[wrong]}")
    if step.former is not None and step.action is Action.MOVE:
        shown = [(change.before, change.after) for change in step.changes if change.field == "address"]
        if shown != [(step.former, step.address)]:
            _fail(where, "it shows another move than it would do")


def _fail(where: str, what: str) -> NoReturn:
    message = f"{where}: {what}"
    raise UnsoundPlanError(message)


class CurrentRows(NamedTuple):
    """What the state holds now of the addresses in a plan; `inside` are the snapshots of a share, and the shares on a share server, that are to go."""

    lineage: str
    records: Mapping[Address, Record]
    rules: Mapping[Address, tuple[RuleRecord, ...]]
    inside: Mapping[Address, Mapping[Address, Record]] = {}


def current_part(plan: Plan, rows: CurrentRows) -> Plan:
    """Return the part of a saved plan that can be done as it was reviewed, with what is left out, and why.

    Steps at an address where all that was asked for is recorded are done; those at one that has changed in another way since are held,
    with what depends on them. Raises DiagnosticError where the plan is of no use: made from another state, or nothing in it can
    be done because of what has changed.
    """
    if plan.lineage and rows.lineage and plan.lineage != rows.lineage:
        summary = "the plan was made from another state, and nothing of it was done"
        raise DiagnosticError(error("plan.other-state", summary, remedy=NEW_PLAN))
    done, changed = _sorted_out(plan, rows)
    if not done and not changed:
        return plan
    plan = _without_done(plan, done, rows)
    left = [step for step in plan.steps if step.address not in done]
    kept, entries = held_by(left, changed, STALE)
    held = {step.step_id for step in left} - {step.step_id for step in kept}
    found = tuple(_diagnostics(plan, done, changed, held, rows))
    if changed and not kept:
        raise DiagnosticError(*found)
    return rest_of(plan, kept, entries, found)


def _without_done(plan: Plan, done: AbstractSet[Address], rows: CurrentRows) -> Plan:
    """Return the plan without the drift that it has mended already, with what it has made or changed among what is as it should be."""
    mended = {step.step_id for step in plan.steps if step.address in done}
    return replace(
        plan,
        drift=tuple(drift for drift in plan.drift if drift.repaired_by not in mended),
        summary=replace(plan.summary, unchanged=plan.summary.unchanged + len(done & rows.records.keys())),
    )


def rest_of(plan: Plan, kept: tuple[Step, ...], held: Iterable[Held], found: Iterable[Diagnostic]) -> Plan:
    """Return the plan with the steps that are kept, what is held besides, and what was found of that."""
    return replace(
        plan,
        steps=kept,
        summary=summarize(kept, plan.summary.unchanged),
        held=(*plan.held, *held),
        diagnostics=(*plan.diagnostics, *found),
    )


def held_by(
    steps: Sequence[Step], reasons: Mapping[Address, str], code: str, cause_of: _CauseOf | None = None
) -> tuple[tuple[Step, ...], tuple[Held, ...]]:
    """Return the steps that can be done, and what is held, with what depends on it: at the addresses that have reasons, or where `cause_of` names one of these."""
    held = _held_now(steps, cause_of or _at(reasons))
    entries = tuple(
        Held(address, reasons[cause] if address == cause else f"it depends on {cause}", cause, code, verbs)
        for (address, cause), verbs in sorted(_by_address(steps, held).items())
    )
    return tuple(step for step in steps if step.step_id not in held), entries


def with_replacements(steps: Iterable[Step], reasons: Mapping[Address, str]) -> dict[Address, str]:
    """Return the reasons with those of what is one thing with their addresses: an old share that is set aside for a new one, which stays as it is."""
    found = dict(reasons)
    for step in steps:
        owner, mark, _ = step.address.partition(DEPOSED_MARK)
        cause = owner if owner in reasons else step.former or ""
        if mark and cause in reasons:
            found.setdefault(step.address, reasons[cause])
    return found


def row_of(step: Step, origins: Mapping[Address, Address]) -> Address:
    """Return the address that the step's row had when the plan was made; `origins` are the former addresses of those that move."""
    address = step.address
    for _ in range(len(origins)):  # a share may be renamed and then pushed aside; no further than that
        if address not in origins:
            break
        address = origins[address]
    return address


def _sorted_out(plan: Plan, rows: CurrentRows) -> tuple[set[Address], dict[Address, str]]:
    """Return the addresses at which all is done, and why each of the others that are stale has to be held."""
    origins = {step.address: step.former for step in plan.steps if step.former is not None}
    by_row: dict[Address, list[Step]] = {}
    rows_of_steps = {step.step_id: row_of(step, origins) for step in plan.steps}
    for step in plan.steps:
        by_row.setdefault(rows_of_steps[step.step_id], []).append(step)
    done: set[Address] = set()
    changed: dict[Address, str] = {}
    for row, steps in by_row.items():
        expected = steps[0].expected_version
        record = rows.records.get(row)
        version = None if record is None else record.version
        if version == expected:
            continue
        addresses = {step.address for step in steps}
        if all(_is_done(step, steps, rows) for step in steps):
            done |= addresses
        else:
            reason = f"changed since the plan was made (version {expected or 'none'} then, {version or 'none'} now)"
            changed.update(dict.fromkeys(addresses, reason))
    for row, reason in changed_surroundings(plan, rows.records, rows.inside, rows_of_steps):
        for step in by_row[row]:
            if step.address not in done:
                changed.setdefault(step.address, reason)
    return done, changed


def _is_done(step: Step, steps: Sequence[Step], rows: CurrentRows) -> bool:
    """Tell whether the state records what the step was to do; in doubt it does not."""
    record = rows.records.get(step.address)
    if step.verb in _REMOVES:
        return record is None or any(other.verb in MAKING for other in steps if other is not step)
    return record is not None and _is_recorded(step, record, rows)


def _is_recorded(step: Step, record: Record, rows: CurrentRows) -> bool:
    is_recorded = False
    match step.verb:
        case Verb.PREPARE_BACKEND:
            identity = step.work.identity if isinstance(step.work, PrepareBackend) else None
            is_recorded = identity is None or identity == record.resource_id
        case Verb.MOVE:
            is_recorded = step.former not in rows.records
        case Verb.UPDATE_ACCESS:
            rules = rows.rules.get(step.address, ())
            wanted = step.work.rules if isinstance(step.work, UpdateAccess) else ()
            are_wanted = {rule.rule for rule in rules} == set(wanted)
            recorded, wanted_spec = spec_object_of(record), None if step.spec is None else step.spec.as_plain()
            is_named = wanted_spec is None or all(
                recorded.get(name) == wanted_spec.get(name) for name in ("export_name", "protocol")
            )
            is_recorded = are_wanted and is_named and all(rule.status == "active" for rule in rules)
        case Verb.SCHEDULE_SNAPSHOTS:
            wanted_policy = step.work.policy if isinstance(step.work, ScheduleSnapshots) else None
            is_recorded = policy_in(record) == wanted_policy
        case Verb.CREATE_SHARE_SERVER:
            is_recorded = record.kind == Kind.SHARE_SERVER
        case _ if step.spec is not None and record.kind == Kind.SHARE:
            is_recorded = _is_as_wanted(step, share_spec_of(record), record)
        case _ if step.spec is not None and record.kind in MANAGED_KINDS:
            is_recorded = step.spec.as_plain() == spec_object_of(record)
        case _:
            pass
    return is_recorded


def _is_as_wanted(step: Step, recorded: ShareSpec, record: Record) -> bool:
    wanted = cast("ShareSpec", step.spec)
    if step.verb in RESIZING:
        return record.size_bytes == wanted.size_bytes
    if step.verb is Verb.REVERT_SHARE:
        return recorded.revert_to == wanted.revert_to
    if step.verb in {Verb.CREATE_SHARE, Verb.UPDATE_RECORD}:
        if step.verb is Verb.CREATE_SHARE and wanted.size_bytes not in {recorded.size_bytes, record.size_bytes}:
            return False  # made, and resized since: what is there is not what was reviewed
        return replace(recorded, size_bytes=0, revert_to=None) == replace(wanted, size_bytes=0, revert_to=None)
    return step.verb in {Verb.ADOPT, Verb.RESTORE_SHARE} and recorded.name == wanted.name


def _at(addresses: Container[Address]) -> _CauseOf:
    return lambda step: step.address if step.address in addresses else None


def _held_now(steps: Sequence[Step], cause_of: _CauseOf) -> dict[str, Address]:
    """Return the steps that cannot be done, each with the address that is in its way. Steps come after what they wait for.

    Where a share stays whose manifest was gone, so do its snapshots, which were to go because of that.
    """
    held: dict[str, Address] = {}
    for step in steps:
        cause = cause_of(step) or next((held[name] for name in step.waits_for if name in held), None)
        if cause is None:
            continue
        held[step.step_id] = cause
        if step.verb in SHARE_REMOVALS and step.action not in REPLACING:
            snapshots = (name for name in step.waits_for if name.startswith(_SNAPSHOT_REMOVAL))
            held.update((name, cause) for name in snapshots if name not in held)
    return held


def _by_address(steps: Iterable[Step], held: Mapping[str, Address]) -> dict[tuple[Address, Address], tuple[Verb, ...]]:
    found: dict[tuple[Address, Address], tuple[Verb, ...]] = {}
    for step in steps:
        if step.step_id in held:
            key = (step.address, held[step.step_id])
            found[key] = (*found.get(key, ()), step.verb)
    return found


def _diagnostics(
    plan: Plan, done: set[Address], changed: Mapping[Address, str], held: AbstractSet[str], rows: CurrentRows
) -> Iterable[Diagnostic]:
    counts = Counter(step.address in done for step in plan.steps)
    if done and counts[True] == len(plan.steps):
        yield _note("this plan has been applied already: all of it is recorded in the state")
    elif done:
        summary = f"{counts[True]} of {len(plan.steps)} steps are done already: {listed(sorted(done), _NAMED)}"
        yield _note(summary)
    if not changed:
        return
    wasted = len(held) == len(plan.steps) - counts[True]
    ends = {step.address for step in plan.steps if step.step_id in held and _would_end_access(step, rows)}
    yield error(
        STALE,
        f"the state has changed since this plan was made: {listed(sorted(changed), _NAMED)}",
        detail=(
            f"{len(held)} of {len(plan.steps)} steps are not done because of that; "
            + ("no other is left, and nothing was begun." if wasted else "the others do not depend on them.")
            + (f" Access that they would have ended goes on: {listed(sorted(ends), _NAMED)}." if ends else "")
        ),
        remedy=NEW_PLAN,
    )


def _would_end_access(step: Step, rows: CurrentRows) -> bool:
    """Tell whether somebody has access now whom the step was to shut out."""
    in_force = {f"{RULE_FIELD}{rule.rule.key}" for rule in rows.rules.get(step.address, ())}
    return any(change.after is None and change.field in in_force for change in step.changes)


def _note(summary: str) -> Diagnostic:
    return replace(warning("plan.applied", summary), severity=Severity.NOTE)
