"""A plan as a JSON document: the contract of `plan --output json`, and the content of a saved plan."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from functools import lru_cache
from itertools import chain
from sys import intern
from typing import TYPE_CHECKING, Any, Final, get_args

import orjson

from sharectl.model.access import rule_of
from sharectl.model.backends import BackendSpec
from sharectl.model.candidates import Candidates, Place, shared_place
from sharectl.model.codec import Likes
from sharectl.model.diagnostics import Diagnostic, Severity, Source, has_errors
from sharectl.model.field_changes import FieldChange
from sharectl.model.frozen import NamedTuple
from sharectl.model.kinds import Kind, kind_of
from sharectl.model.observed import Before
from sharectl.model.plans import (
    Action,
    Drift,
    DriftKind,
    Held,
    Origin,
    Plan,
    Step,
    Summary,
    UnreadBackend,
    Work,
    changes_of,
    stated,
    work_class,
)
from sharectl.model.specs import ShareSpec, SnapshotPolicy
from sharectl.model.table import spec_from_plain
from sharectl.model.verbs import Verb
from sharectl.planner.saved.shapes import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sharectl.model.access import AccessRule
    from sharectl.model.candidates import Candidate
    from sharectl.model.canonical import JsonObject

FORMAT: Final = "sharectl-plan"
VERSION: Final = 1

_ACTIONS: Final = {action.word: action for action in Action}


_SHARES: Final = Likes(ShareSpec, 1_000)


class PlanDocumentError(ValueError):
    """A document that is not a plan, or is one of another version."""


def _text_of(plain: object) -> str:
    """Return JSON that is kept: the bytes that orjson makes hold on to four times what they need."""
    return orjson.dumps(plain).decode()


@lru_cache(maxsize=4_000)
def _candidates_in(text: str) -> Candidates:
    """Return the candidates in a JSON text, checked once: of thousands of new shares, few have others than all before."""
    places: list[Place] = []
    weights: list[float] = []
    for each in orjson.loads(text):
        found = checked("candidate", each)
        parts = found["weights"]
        places.append(shared_place(found["backend"], found["pool"], found.get("share_server"), tuple(parts)))
        weights += (found["weight"], *parts.values())
    return Candidates.shared(places, weights)


@lru_cache(maxsize=1_000)
def _rules_in(text: str) -> tuple[AccessRule, ...]:
    """Return the rules in a JSON text, checked once: many shares have the same few lists of them."""
    return tuple(map(_rule, orjson.loads(text)))


class _Part(NamedTuple):
    """How a field of a step's work is written: under which key, what stands there, and how that is read again."""

    key: str
    write: Callable[[Any], Any] = lambda value: value
    read: Callable[[Any], Any] = lambda plain: plain


_PARTS: Final[Mapping[str, _Part]] = {
    "candidates": _Part(
        "candidates",
        lambda each: [_candidate_to_object(c) for c in each],
        lambda plain: _candidates_in(_text_of(plain)),
    ),
    "beside": _Part("beside", list, tuple),
    "rules": _Part(
        "rules", lambda rules: [rule.as_object() for rule in rules], lambda plain: _rules_in(_text_of(plain))
    ),
    "export_settings": _Part("export_settings", dict, lambda plain: tuple(sorted(plain.items()))),
    "policy": _Part("snapshot_policy", lambda policy: policy.as_plain(), SnapshotPolicy.checked),
    "backend_id": _Part("import_id"),
    "allocation_id": _Part("import_id"),
    "resource_id": _Part("import_resource_id"),
    "share_server_id": _Part("import_resource_id"),
    "former": _Part("moved_from"),
    "source_id": _Part("snapshot_id"),
}
_PARTS_OF: Final[Mapping[type, tuple[tuple[str, _Part], ...]]] = {
    work: tuple((part.name, _PARTS.get(part.name) or _Part(part.name)) for part in fields(work) if part.name != "spec")
    for work in get_args(Work)
}
"""How the fields of each step's work are written, but for its spec."""
_WITH_SPEC: Final = frozenset(work for work in get_args(Work) if any(part.name == "spec" for part in fields(work)))


def plan_to_document(plan: Plan) -> JsonObject:
    """Return the plan as a JSON object from which `plan_from_document` makes an equal plan."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "lineage": plan.lineage,
        "serial": plan.serial,
        "summary": asdict(plan.summary),
        "drift": [
            {**_plain_fields(drift), "kind": drift.kind.value, "changes": changes_to_list(drift.changes)}
            for drift in plan.drift
        ],
        "diagnostics": [diagnostic_to_object(diagnostic) for diagnostic in plan.diagnostics],
        "held": held_to_list(plan.held),
        "stopped": plan.is_stopped,
        "backends": {name: asdict(backend) for name, backend in sorted(plan.backends.items())},
        "extra_specs": {name: dict(specs) for name, specs in sorted(plan.extra_specs.items())},
        "unreadable": unread_to_list(plan),
        **({"overridden": list(plan.overridden)} if plan.overridden else {}),
        **({} if plan.origin is None else {"origin": asdict(plan.origin)}),
        "steps": [step_to_object(step) for step in plan.steps],
    }


def streamed_document(plan: Plan) -> JsonObject:
    """Return the same with an iterator of the objects of the steps: all of them at once take more memory than the plan."""
    return {**plan_to_document(replace(plan, steps=())), "steps": map(step_to_object, plan.steps)}


def unread_to_list(plan: Plan) -> list[JsonObject]:
    """Return the backends that could not be read, as JSON objects."""
    return [unread._asdict() for unread in plan.unread]


def plan_from_document(document: object, more_steps: Iterable[object] = ()) -> Plan:
    """Return the plan of a document, whatever it is, with the objects of steps that were read apart. Raises PlanDocumentError."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        message = "it is not a plan of sharectl"
        raise PlanDocumentError(message)
    if document.get("version") != VERSION:
        message = f"its version is {document.get('version')!r}, and this sharectl reads {VERSION}"
        raise PlanDocumentError(message)
    try:
        plain = checked("plan", document)
        diagnostics = tuple(map(_diagnostic, plain["diagnostics"]))
        origin = plain.get("origin")
        return Plan(
            lineage=plain["lineage"],
            serial=plain["serial"],
            steps=tuple(map(_step, chain(plain["steps"], more_steps))),
            drift=tuple(map(_drift, plain["drift"])),
            diagnostics=diagnostics,
            held=tuple(map(_held, plain.get("held") or ())),
            is_stopped=has_errors(diagnostics) if (stopped := plain.get("stopped")) is None else stopped,
            summary=Summary(**checked("summary", plain["summary"])),
            backends={name: BackendSpec.checked(backend) for name, backend in plain["backends"].items()},
            extra_specs=plain["extra_specs"],
            unread=tuple(map(_unread, plain.get("unreadable") or ())),
            overridden=tuple(plain.get("overridden") or ()),
            origin=None if origin is None else Origin(**checked("origin", origin)),
        )
    except ValueError as error:
        message = f"it is damaged: {error}"
        raise PlanDocumentError(message) from error
    except (KeyError, TypeError, AttributeError) as error:
        message = "it is damaged: a part of it is missing, or is not what stands there in a plan"
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
    }
    plain = {key: value for key, value in plain.items() if value not in (None, [])}
    for name, part in () if step.work is None else _PARTS_OF[type(step.work)]:
        value = getattr(step.work, name)
        if value is not None and value is not False:
            plain[part.key] = part.write(value)
    if step.spec is not None:
        plain["spec"] = step.spec.as_plain()
    if step.verb is Verb.FORGET and step.backend is not None:
        plain["rules"] = []
    if step.before is not None:
        plain["before"] = _before_to_object(step.before)
    return plain


def _before_to_object(before: Before) -> JsonObject:
    plain = before._asdict()
    if not before.is_recorded:
        del plain["is_recorded"]
    if before.scheduled_number is None:
        del plain["scheduled_number"]
    return {
        **plain,
        "access": None if before.access is None else [rule.as_object() for rule in before.access],
        "others": [rule.as_object() for rule in before.others],
    }


def _candidate_to_object(candidate: Candidate) -> JsonObject:
    plain = {**candidate._asdict(), "weights": dict(candidate.weights)}
    return {key: value for key, value in plain.items() if value is not None}


def held_to_list(held: Iterable[Held]) -> list[JsonObject]:
    """Return what a plan leaves undone as JSON objects."""
    return [{**_plain_fields(each), "verbs": [verb.value for verb in each.verbs]} for each in held]


def changes_to_list(changes: Iterable[FieldChange]) -> list[JsonObject]:
    """Return field changes as JSON objects."""
    return [{"field": change.field, "before": change.before, "after": change.after} for change in changes]


def diagnostic_to_object(diagnostic: Diagnostic) -> JsonObject:
    """Return a diagnostic as a JSON object; fields that say nothing are left out."""
    source = None if diagnostic.source is None else asdict(diagnostic.source)
    plain = {**_plain_fields(diagnostic), "severity": diagnostic.severity.value, "source": source}
    return {key: value for key, value in plain.items() if value not in (None, "")}


def _plain_fields(value: Drift | Held | Diagnostic) -> JsonObject:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _step(plain: object) -> Step:
    found = checked("step", plain)
    verb = Verb(found["verb"])
    work = _work(verb, found)
    return Step(
        step_id=intern(found["id"]),  # each text once, however many steps have it
        address=intern(found["address"]),
        action=_ACTIONS[found["action"]],
        verb=verb,
        reason=intern(found["reason"]),
        backend=found.get("backend") and intern(found["backend"]),
        work=work,
        stated_changes=_stated(work, found.get("changes")),
        expected_version=found.get("expected_version"),
        waits_for=tuple(map(intern, found.get("waits_for") or ())),
        before=None if found.get("before") is None else _before(found["before"]),
    )


def _before(plain: object) -> Before:
    found = checked("former standing", plain)
    access = found.get("access")
    return Before(
        found.get("protocol"),
        None if access is None else tuple(map(_rule, access)),
        tuple(map(_rule, found.get("others") or ())),
        found.get("size_bytes"),
        found.get("used_bytes"),
        bool(found.get("is_recorded")),
        found.get("scheduled_number"),
    )


def _stated(work: Work | None, plain: Any) -> tuple[FieldChange, ...] | None:  # noqa: ANN401 - whatever stands in the document
    """Return the changes that a step states; None, without decoding them, where they are as they follow from its work."""
    return None if plain and plain == changes_to_list(changes_of(work)) else stated(work, _changes(plain))


def _work(verb: Verb, plain: Mapping[str, Any]) -> Work | None:
    made = work_class(verb)
    if made is None:
        return None
    parts = {name: part.read(plain[part.key]) for name, part in _PARTS_OF[made] if plain.get(part.key) is not None}
    if "spec" in plain and made in _WITH_SPEC:
        parts["spec"] = _spec(kind_of(plain["address"]), plain["spec"])
    found: Work = made(**parts)
    return found


def _spec(kind: Kind, plain: object) -> Any:  # noqa: ANN401 - of the class that the kind has
    """Return a spec; of shares that differ in their names alone, one is checked."""
    if kind is Kind.SHARE and type(plain) is dict and plain.get("name"):
        return _SHARES.read(orjson.dumps(plain), lambda: ShareSpec.checked(plain))
    return spec_from_plain(kind, plain)


def _rule(plain: object) -> AccessRule:
    found = checked("access rule", plain)
    return rule_of((found["access_type"], found["access_to"], found["access_level"], found.get("options") or {}))


def _changes(plain: Iterable[object] | None) -> tuple[FieldChange, ...]:
    found = (checked("change", change) for change in plain or ())
    return tuple(FieldChange(change["field"], change["before"], change["after"]) for change in found)


def _drift(plain: object) -> Drift:
    found = checked("drift", plain)
    kind, changes = DriftKind(found["kind"]), _changes(found["changes"])
    return Drift(found["address"], kind, found["summary"], changes, found.get("repaired_by"))


def _held(plain: object) -> Held:
    found = checked("held resource", plain)
    verbs = tuple(map(Verb, found["verbs"]))
    return Held(found["address"], found["reason"], found["cause"], found["code"], verbs)


def _unread(plain: object) -> UnreadBackend:
    found = checked("unreadable backend", plain)
    return UnreadBackend(found["backend"], found["allowed"])


def _diagnostic(plain: object) -> Diagnostic:
    found = {key: value for key, value in checked("diagnostic", plain).items() if value is not None}
    source = found.get("source")
    return Diagnostic(
        severity=Severity(found["severity"]),
        code=found["code"],
        summary=found["summary"],
        detail=found.get("detail", ""),
        remedy=found.get("remedy", ""),
        address=found.get("address"),
        source=None if source is None else Source(**checked("source", source)),
    )
