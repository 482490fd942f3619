"""A plan as a JSON document: the contract of `plan --output json`, and the content of a saved plan."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.access import AccessRule
from sharectl.model.backends import BackendSpec
from sharectl.model.diagnostics import Diagnostic, Severity, Source, has_errors
from sharectl.model.field_changes import FieldChange
from sharectl.model.kinds import kind_of
from sharectl.model.plans import (
    Action,
    Adopt,
    Candidate,
    CreateShare,
    Drift,
    DriftKind,
    Held,
    Move,
    Origin,
    Plan,
    PrepareBackend,
    ReleaseAllocation,
    ResizeShare,
    RevertShare,
    SetUp,
    Step,
    Summary,
    UnreadBackend,
    UpdateAccess,
    UpdateRecord,
    stated,
)
from sharectl.model.table import spec_from_plain
from sharectl.model.verbs import VERBS, Effect, Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sharectl.model.canonical import JsonObject
    from sharectl.model.plans import Work

FORMAT: Final = "sharectl-plan"
VERSION: Final = 1
_ACTIONS: Final = {action.word: action for action in Action}


class PlanDocumentError(ValueError):
    """A document that is no plan, or one of another version."""


def plan_to_document(plan: Plan) -> JsonObject:
    """Return the plan as a JSON object from which `plan_from_document` makes an equal plan."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "lineage": plan.lineage,
        "serial": plan.serial,
        "summary": {
            "by_action": dict(plan.summary.by_action),
            "rules_by_action": dict(plan.summary.rules_by_action),
            "unchanged": plan.summary.unchanged,
        },
        "steps": [step_to_object(step) for step in plan.steps],
        "drift": [_drift_to_object(drift) for drift in plan.drift],
        "diagnostics": [diagnostic_to_object(diagnostic) for diagnostic in plan.diagnostics],
        "held": held_to_list(plan.held),
        "stopped": plan.is_stopped,
        "backends": {name: asdict(backend) for name, backend in sorted(plan.backends.items())},
        "extra_specs": {name: dict(specs) for name, specs in sorted(plan.extra_specs.items())},
        "unreadable": unread_to_list(plan),
        **({} if plan.origin is None else {"origin": asdict(plan.origin)}),
    }


def unread_to_list(plan: Plan) -> list[JsonObject]:
    """Return the backends that could not be read, as JSON objects."""
    return [unread._asdict() for unread in plan.unread]


def plan_from_document(document: object) -> Plan:
    """Return the plan of a document, whatever it is. Raises PlanDocumentError."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        message = "it is not a plan of sharectl"
        raise PlanDocumentError(message)
    if document.get("version") != VERSION:
        message = f"its version is {document.get('version')!r}, and this sharectl reads {VERSION}"
        raise PlanDocumentError(message)
    try:
        diagnostics = tuple(_diagnostic(plain) for plain in document["diagnostics"])
        return Plan(
            lineage=document["lineage"],
            serial=document["serial"],
            steps=tuple(_step(plain) for plain in document["steps"]),
            drift=tuple(_drift(plain) for plain in document["drift"]),
            diagnostics=diagnostics,
            held=tuple(_held(plain) for plain in document.get("held", ())),
            is_stopped=document.get("stopped", has_errors(diagnostics)),
            summary=Summary(**document["summary"]),
            backends={name: BackendSpec.checked(plain) for name, plain in document["backends"].items()},
            extra_specs=document["extra_specs"],
            unread=tuple(UnreadBackend(plain["backend"], plain["allowed"]) for plain in document.get("unreadable", ())),
            origin=None if document.get("origin") is None else Origin(**document["origin"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"it is damaged: {type(error).__name__}: {error}"
        raise PlanDocumentError(message) from error


def step_to_object(step: Step) -> JsonObject:
    """Return a step as a JSON object; fields that say nothing are left out."""
    plain: JsonObject = {
        "id": step.step_id,
        "address": step.address,
        "action": step.action.word,
        "verb": step.verb.value,
        "reason": step.reason,
        "backend": step.backend,
        "waits_for": list(step.waits_for),
        "expected_version": step.expected_version,
        "changes": changes_to_list(step.changes),
        **_work_to_object(step.work),
    }
    plain = {key: value for key, value in plain.items() if value not in (None, [])}
    if step.spec is not None:
        plain["spec"] = step.spec.as_plain()
    if isinstance(step.work, UpdateAccess):
        plain["rules"] = [rule._asdict() for rule in step.work.rules]
        if step.work.export_settings is not None:
            plain["export_settings"] = dict(step.work.export_settings)
    if isinstance(step.work, CreateShare) and step.work.beside is not None:
        plain["beside"] = list(step.work.beside)
    if step.verb is Verb.FORGET and step.backend is not None:
        plain["rules"] = []
    return plain


def _work_to_object(work: Work | None) -> JsonObject:
    match work:
        case PrepareBackend(identity):
            return {"identity": identity}
        case CreateShare(_, candidates, _):
            return {"candidates": [_candidate_to_object(candidate) for candidate in candidates]}
        case UpdateAccess(_, repairs, _):
            return {"repairs": repairs or None}
        case Adopt(_, backend_id, resource_id) | ReleaseAllocation(backend_id, resource_id):
            return {"import_id": backend_id, "import_resource_id": resource_id}
        case Move(former, _):
            return {"moved_from": former}
        case _:
            return {}


def _candidate_to_object(candidate: Candidate) -> JsonObject:
    plain = {
        "backend": candidate.backend,
        "pool": candidate.pool,
        "weight": candidate.weight,
        "weights": dict(candidate.weights),
    }
    return plain if candidate.share_server is None else {**plain, "share_server": candidate.share_server}


def held_to_list(held: Iterable[Held]) -> list[JsonObject]:
    """Return what a plan leaves undone as JSON objects."""
    return [
        {
            "address": each.address,
            "reason": each.reason,
            "cause": each.cause,
            "code": each.code,
            "verbs": [verb.value for verb in each.verbs],
        }
        for each in held
    ]


def _held(plain: Mapping[str, Any]) -> Held:
    verbs = tuple(Verb(word) for word in plain["verbs"])
    return Held(plain["address"], plain["reason"], plain["cause"], plain["code"], verbs)


def changes_to_list(changes: Iterable[FieldChange]) -> list[JsonObject]:
    """Return field changes as JSON objects."""
    return [{"field": change.field, "before": change.before, "after": change.after} for change in changes]


def diagnostic_to_object(diagnostic: Diagnostic) -> JsonObject:
    """Return a diagnostic as a JSON object; fields that say nothing are left out."""
    plain: JsonObject = {
        "severity": diagnostic.severity.value,
        "code": diagnostic.code,
        "summary": diagnostic.summary,
        "detail": diagnostic.detail,
        "remedy": diagnostic.remedy,
        "address": diagnostic.address,
        "source": None if diagnostic.source is None else asdict(diagnostic.source),
    }
    return {key: value for key, value in plain.items() if value not in (None, "")}


def _drift_to_object(drift: Drift) -> JsonObject:
    return {
        "address": drift.address,
        "kind": drift.kind.value,
        "summary": drift.summary,
        "changes": changes_to_list(drift.changes),
        "repaired_by": drift.repaired_by,
    }


def _step(plain: Mapping[str, Any]) -> Step:
    verb = Verb(plain["verb"])
    work = _work(verb, plain)
    return Step(
        step_id=plain["id"],
        address=plain["address"],
        action=_ACTIONS[plain["action"]],
        verb=verb,
        reason=plain["reason"],
        backend=plain.get("backend"),
        work=work,
        stated_changes=stated(work, _changes(plain.get("changes", ()))),
        expected_version=plain.get("expected_version"),
        waits_for=tuple(plain.get("waits_for", ())),
    )


def _spec(plain: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of the class that the kind has
    return spec_from_plain(kind_of(plain["address"]), plain["spec"])


def _candidate(plain: Mapping[str, Any]) -> Candidate:
    weights = tuple(plain["weights"].items())
    return Candidate(plain["backend"], plain["pool"], plain["weight"], weights, plain.get("share_server"))


def _new_share(plain: Mapping[str, Any]) -> CreateShare:
    beside = plain.get("beside")
    return CreateShare(
        _spec(plain), tuple(map(_candidate, plain["candidates"])), None if beside is None else tuple(beside)
    )


def _access(plain: Mapping[str, Any]) -> UpdateAccess:
    settings = plain.get("export_settings")
    rules = tuple(AccessRule(**rule) for rule in plain["rules"])
    return UpdateAccess(
        rules, plain.get("repairs", False), None if settings is None else tuple(sorted(settings.items()))
    )


_WORK: Final[Mapping[Verb, Callable[[Mapping[str, Any]], Work]]] = {
    Verb.PREPARE_BACKEND: lambda plain: PrepareBackend(plain.get("identity")),
    Verb.CREATE_SHARE: _new_share,
    Verb.EXTEND_SHARE: lambda plain: ResizeShare(_spec(plain)),
    Verb.SHRINK_SHARE: lambda plain: ResizeShare(_spec(plain)),
    Verb.REVERT_SHARE: lambda plain: RevertShare(_spec(plain)),
    Verb.UPDATE_ACCESS: _access,
    Verb.UPDATE_RECORD: lambda plain: UpdateRecord(_spec(plain)),
    Verb.ADOPT: lambda plain: Adopt(_spec(plain), plain["import_id"], plain.get("import_resource_id")),
    Verb.RESTORE_SHARE: lambda plain: Adopt(_spec(plain), plain["import_id"], plain.get("import_resource_id")),
    Verb.MOVE: lambda plain: Move(plain["moved_from"], _spec(plain) if "spec" in plain else None),
    Verb.RELEASE_ALLOCATION: lambda plain: ReleaseAllocation(plain["import_id"], plain["import_resource_id"]),
}


def _work(verb: Verb, plain: Mapping[str, Any]) -> Work | None:
    if verb in _WORK:
        return _WORK[verb](plain)
    return SetUp(_spec(plain)) if VERBS[verb].effect in {Effect.MAKES, Effect.CHANGES} else None


def _changes(plain: Iterable[Mapping[str, Any]]) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(change["field"], change["before"], change["after"]) for change in plain)


def _drift(plain: Mapping[str, Any]) -> Drift:
    return Drift(
        plain["address"], DriftKind(plain["kind"]), plain["summary"], _changes(plain["changes"]), plain["repaired_by"]
    )


def _diagnostic(plain: Mapping[str, Any]) -> Diagnostic:
    source = plain.get("source")
    return Diagnostic(
        severity=Severity(plain["severity"]),
        code=plain["code"],
        summary=plain["summary"],
        detail=plain.get("detail", ""),
        remedy=plain.get("remedy", ""),
        address=plain.get("address"),
        source=None if source is None else Source(**source),
    )
