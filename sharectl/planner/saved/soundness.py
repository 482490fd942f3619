"""What a saved plan must be before it is applied: sound in each field, whole, and showing what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from sharectl.model.access import AccessLevel, AccessType
from sharectl.model.kinds import MANAGED_KINDS, Kind, kind_of
from sharectl.model.plans import (
    Action,
    Adopt,
    CreateShare,
    Move,
    PrepareBackend,
    ReleaseAllocation,
    ResizeShare,
    UpdateAccess,
)
from sharectl.model.quantities import format_size
from sharectl.model.table import SPECS
from sharectl.model.verbs import VERBS, Effect, Verb
from sharectl.planner.report import summarize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sharectl.model.backends import BackendSpec
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.plans import Plan, Step

_REPLACING: Final = frozenset({Action.CREATE_THEN_DELETE, Action.DELETE_THEN_CREATE})
_CREATING: Final = _REPLACING | {Action.CREATE}
_REMOVING: Final = _REPLACING | {Action.DELETE}
_OF_EFFECT: Final[Mapping[Effect, frozenset[Action]]] = {
    Effect.MAKES: _CREATING,
    Effect.TAKES_OVER: frozenset({Action.ADOPT}),
    Effect.CHANGES: frozenset({Action.UPDATE}),
    Effect.RECORDS: frozenset({Action.UPDATE}),
    Effect.REMOVES: _REMOVING,
}
_ACTIONS: Final[Mapping[Verb, frozenset[Action]]] = {
    **{verb: _OF_EFFECT[entry.effect] for verb, entry in VERBS.items()},
    Verb.PREPARE_BACKEND: frozenset({Action.CREATE}),
    Verb.REVERT_SHARE: frozenset({Action.REVERT}),
    Verb.UPDATE_ACCESS: _CREATING | {Action.UPDATE, Action.ADOPT, Action.FORGET},
    Verb.FORGET: _REPLACING | {Action.FORGET},
    Verb.MOVE: _REPLACING | {Action.MOVE},
    Verb.CREATE_SHARE_SERVER: frozenset({Action.CREATE}),
    Verb.DELETE_SHARE_SERVER: frozenset({Action.DELETE}),
    Verb.RELEASE_ALLOCATION: frozenset({Action.DELETE}),
}
_RECORDED: Final = MANAGED_KINDS | {Kind.SHARE_SERVER, Kind.BACKEND}
_WITHOUT_BACKEND: Final = frozenset({Verb.FORGET, Verb.MOVE, Verb.UPDATE_RECORD, Verb.CREATE_SHARE})
_LARGEST: Final = 1 << 63


class UnsoundPlanError(ValueError):
    """A plan that sharectl would never have written; `str()` says where and why."""


def check_plan(plan: Plan) -> None:
    """Raise UnsoundPlanError at the first thing that is not as sharectl writes it. Linear in the steps."""
    _text(plan.lineage, "lineage")
    _whole(plan.serial, "serial", 0)
    _flag(plan.is_stopped, "stopped")
    _check_words(plan)
    if plan.origin is not None:
        _all_texts((plan.origin.state_path, plan.origin.commit or "", plan.origin.folder), "origin")
    for name, backend in plan.backends.items():
        _check_backend(name, backend)
    for name, specs in plan.extra_specs.items():
        _texts(specs, f"extra_specs.{name}")
    known: set[str] = set()
    for step in plan.steps:
        where = f"step {step.step_id}"
        _check_step(step, where)
        if step.step_id in known:
            _fail(where, "occurs twice")
        missing = [name for name in step.waits_for if name not in known]
        if missing:
            _fail(where, f"waits for {missing[0]!r}, which is no step before it")
        known.add(step.step_id)
        _check_places(step, plan, where)
    _check_shown(plan)


def _check_words(plan: Plan) -> None:
    """Look at what is only printed."""
    for drift in plan.drift:
        _all_texts((drift.address, drift.summary, drift.repaired_by or "", *(c.field for c in drift.changes)), "drift")
    for held in plan.held:
        _all_texts((held.address, held.reason, held.cause, held.code), "held")
    for unread in plan.unread:
        _text(unread.backend, "unreadable")
        _flag(unread.allowed, "unreadable")
    for found in plan.diagnostics:
        _all_texts((found.code, found.summary, found.detail, found.remedy, found.address or ""), "diagnostics")
        if found.source is not None:
            _all_texts((found.source.path, found.source.excerpt or ""), "diagnostics.source")
            _whole(found.source.line, "diagnostics.source.line", 0)
            _whole(found.source.column, "diagnostics.source.column", 0)


def _all_texts(values: Iterable[object], where: str) -> None:
    for value in values:
        _text(value, where)


def _check_step(step: Step, where: str) -> None:
    for name in ("step_id", "address", "reason"):
        _text(getattr(step, name), f"{where}.{name}")
    _optional_text(step.backend, f"{where}.backend")
    _check_ids(step, where)
    if step.expected_version is not None:
        _whole(step.expected_version, f"{where}.expected_version", 1)
    if step.step_id != f"{step.verb.value}:{step.address}":
        _fail(where, "its id does not say what it does to which address")
    if step.action not in _ACTIONS[step.verb]:
        _fail(where, f"{step.verb.value} is no part of the action {step.action.word}")
    kind = _kind(step.address, where)
    wanted = VERBS[step.verb].kind
    if kind not in (_RECORDED if wanted is None else {wanted}):
        _fail(where, f"{step.verb.value} is nothing to be done to {kind.value}")
    if step.former is not None and _kind(step.former, where) is not kind:
        _fail(where, f"{step.former} is another kind")
    _check_spec(step, kind, where)
    if isinstance(step.work, UpdateAccess):
        _check_rules(step, step.work, where)


def _check_ids(step: Step, where: str) -> None:
    match step.work:
        case PrepareBackend(identity):
            _optional_text(identity, f"{where}.identity")
        case Adopt(_, backend_id, resource_id):
            _text(backend_id, f"{where}.import_id")
            _optional_text(resource_id, f"{where}.import_resource_id")
        case ReleaseAllocation(allocation_id, server_id):
            _all_texts((allocation_id, server_id), f"{where}.import_id")
        case Move(former, _):
            _text(former, f"{where}.moved_from")
        case _:
            pass


def _kind(address: str, where: str) -> Kind:
    try:
        return kind_of(address)
    except ValueError:
        _fail(where, f"{address!r} is no address")


def _check_spec(step: Step, kind: Kind, where: str) -> None:
    spec = step.spec
    if spec is None:
        return
    wanted = SPECS.get(kind)
    if wanted is None or not isinstance(spec, wanted):
        _fail(where, "its spec is that of another kind")


def _check_rules(step: Step, work: UpdateAccess, where: str) -> None:
    rules = work.rules
    _flag(work.repairs, f"{where}.repairs")
    for rule in rules:
        _one_of(rule.access_type, AccessType, f"{where}.rules")
        _one_of(rule.access_level, AccessLevel, f"{where}.rules")
        _text(rule.access_to, f"{where}.rules")
    levels = {rule.key: rule.access_level for rule in rules}
    if len(levels) != len(rules):
        _fail(where, "a rule occurs twice")
    for change in _changes(step, "access/", where):
        if levels.get(change.field.removeprefix("access/")) != change.after:
            _fail(where, f"{change.field} is shown otherwise than it would be done")
    if step.action in _CREATING and not work.repairs:
        shown = {change.field.removeprefix("access/") for change in _changes(step, "access/", where)}
        if levels.keys() - shown:
            _fail(where, f"access/{min(levels.keys() - shown)} is not shown")


def _changes(step: Step, prefix: str, where: str) -> Iterable[FieldChange]:
    for change in step.changes:
        _text(change.field, f"{where}.changes")
        if change.field.startswith(prefix):
            yield change


def _check_places(step: Step, plan: Plan, where: str) -> None:
    if step.backend is None and step.verb not in _WITHOUT_BACKEND:
        _fail(where, "it names no backend")
    if step.verb is Verb.CREATE_SHARE and not step.candidates:
        _fail(where, "it names no pool for the new share")
    if isinstance(step.work, CreateShare) and step.work.beside is not None:
        _all_texts(step.work.beside, f"{where}.beside")
    for candidate in step.candidates:
        for text in (candidate.backend, candidate.pool):
            _text(text, f"{where}.candidates")
        _number(candidate.weight, f"{where}.candidates")
        for name, part in candidate.weights:
            _text(name, f"{where}.candidates")
            _number(part, f"{where}.candidates")
        if candidate.share_server is not None:
            _text(candidate.share_server, f"{where}.candidates")
    for backend in (*(candidate.backend for candidate in step.candidates), step.backend):
        if backend is not None and backend not in plan.backends:
            _fail(where, f"its backend {backend} is not in the plan")


def _check_shown(plan: Plan) -> None:
    """Hold what is printed against what would be done."""
    for step in plan.steps:
        where = f"step {step.step_id}"
        if isinstance(step.work, CreateShare | ResizeShare):
            wanted = format_size(step.work.spec.size_bytes)
            sizes = [change.after for change in _changes(step, "size", where) if change.field == "size"]
            if sizes != [wanted]:
                _fail(where, f"it shows the size {sizes[0] if sizes else 'of nothing'}, and would make it {wanted}")
        if step.former is not None and step.action is Action.MOVE:
            shown = [(change.before, change.after) for change in step.changes if change.field == "address"]
            if shown != [(step.former, step.address)]:
                _fail(where, "it shows another move than it would do")
    _whole(plan.summary.unchanged, "summary.unchanged", 0)
    expected = summarize(plan.steps, plan.summary.unchanged)
    for name in ("by_action", "rules_by_action"):
        found = getattr(plan.summary, name)
        if not isinstance(found, dict) or found != getattr(expected, name):
            _fail(f"summary.{name}", f"counts otherwise than the steps do ({found!r})")


def _check_backend(name: str, backend: BackendSpec) -> None:
    where = f"backend {name}"
    if backend.name != name:
        _fail(where, f"it calls itself {backend.name!r}")
    if backend.step_timeout_seconds <= 0:
        _fail(where, "its timeout is none")


def _fail(where: str, what: str) -> NoReturn:
    message = f"{where}: {what}"
    raise UnsoundPlanError(message)


def _text(value: object, where: str) -> None:
    if not isinstance(value, str):
        _fail(where, f"must be a text, and is {value!r}")


def _optional_text(value: object, where: str) -> None:
    if value is not None:
        _text(value, where)


def _texts(value: object, where: str) -> None:
    if not isinstance(value, dict) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        _fail(where, "must hold texts")


def _flag(value: object, where: str) -> None:
    if not isinstance(value, bool):
        _fail(where, f"must be true or false, and is {value!r}")


def _whole(value: object, where: str, least: int) -> None:
    if type(value) is not int or not least <= value < _LARGEST:
        _fail(where, f"must be a whole number of {least} or more, and is {value!r}")


def _number(value: object, where: str) -> float:
    if type(value) not in {int, float}:
        _fail(where, f"must be a number, and is {value!r}")
    return float(value)  # type: ignore[arg-type]


def _one_of(value: object, words: type[AccessType | AccessLevel], where: str) -> None:
    if not isinstance(value, str) or value not in {word.value for word in words}:
        _fail(where, f"{value!r} is none of {', '.join(word.value for word in words)}")
