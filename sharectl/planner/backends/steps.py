"""Steps for backends: made ready before their first use, forgotten when nothing is left on them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sharectl.model.access import AccessType
from sharectl.model.diagnostics import error, warning
from sharectl.model.kinds import Kind, address_of, name_of
from sharectl.model.plans import PrepareBackend, UpdateAccess, backends_of
from sharectl.model.verbs import Verb
from sharectl.planner.backends.findings import recorded_on
from sharectl.planner.draft import Refusal

if TYPE_CHECKING:
    from sharectl.model.checks import ConfigProblem
    from sharectl.model.diagnostics import Diagnostic
    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step
    from sharectl.planner.draft import Draft


def plan_backends(draft: Draft) -> None:
    """Add the steps for backends, when all other steps are known; refuse steps on a backend that has no manifest."""
    _prepare_backends(draft)
    _forget_backends(draft)
    _refuse_undeclared(draft)
    note_undeclared_backends(draft)
    _refuse_without_secrets(draft)


def _refuse_without_secrets(draft: Draft) -> None:
    """Refuse the steps that need secrets that are not there, before the first of them begins.

    Where it is the password of a user, these are the steps that give users access; else all on the backend.
    """
    steps: dict[str, list[Step]] = {}
    for step in draft.steps.values():
        if step.backend is not None and (seen := draft.observed.get(step.backend)) is not None and seen.missing_secrets:
            steps.setdefault(step.backend, []).append(step)
    for name in sorted(steps):
        backend, seen = address_of(Kind.BACKEND, name), draft.observed[name]
        admitting = tuple(sorted({step.address for step in steps[name] if _admits_users(step)}))
        for problem in seen.missing_secrets:
            is_password = problem in seen.missing_passwords
            held, verbs = (admitting, frozenset({Verb.UPDATE_ACCESS})) if is_password else ((backend,), None)
            if held:
                found = _secret_error(draft, name, problem, "give a user access" if is_password else "be used")
                draft.diagnostics.append(found)
                draft.refusals += (Refusal(address, found, verbs) for address in held)


def _secret_error(draft: Draft, name: str, problem: ConfigProblem, purpose: str) -> Diagnostic:
    backend = address_of(Kind.BACKEND, name)
    source = draft.desired.field_source(backend, "spec", *problem.path) if draft.desired.describes(backend) else None
    summary = f"backend {name} cannot {purpose}: {problem.summary}"
    return error("backend.secret", summary, remedy=problem.remedy, address=backend, source=source)


def _admits_users(step: Step) -> bool:
    return isinstance(step.work, UpdateAccess) and any(rule.access_type != AccessType.IP for rule in step.work.rules)


def _prepare_backends(draft: Draft) -> None:
    """Add a step for each backend that has never been prepared; of a narrowed plan, for each that its steps may use."""
    used = set(backends_of(draft.steps.values()))
    for name, spec in sorted(draft.desired.backends.items()):
        address = address_of(Kind.BACKEND, name)
        wanted = name in used or (draft.chooses(address, name) and spec.enabled and not draft.options.destroy)
        seen = draft.observed.get(name)
        if wanted and address not in draft.records:
            draft.add(
                Verb.PREPARE_BACKEND,
                address,
                f"never used before; {spec.driver} makes it ready and the state pins its identity",
                backend=name,
                work=PrepareBackend(None if seen is None or seen.report is None else seen.report.identity),
            )


def _forget_backends(draft: Draft) -> None:
    """Add a step for each recorded backend that has no manifest and that nothing is on once the plan is done."""
    undeclared = [
        address
        for address in sorted(draft.others.get(Kind.BACKEND, ()))
        if name_of(address) not in draft.desired.backends
    ]
    if not undeclared:
        return
    needed = {
        record.backend
        for address, record in draft.records.items()
        if record.kind != Kind.BACKEND and not draft.has(address, Verb.FORGET)
    }
    for address in undeclared:
        name = name_of(address)
        if name not in needed and draft.chooses(address, name) and not draft.options.described_elsewhere(address):
            reason = "its manifest is gone and nothing of the state is on it"
            draft.add(Verb.FORGET, address, reason, record=draft.records[address])


def _refuse_undeclared(draft: Draft) -> None:
    """Refuse steps on a backend that has no manifest: there is no way to reach it. What is only recorded goes on."""
    missing: dict[str, set[Address]] = {}
    for step in draft.steps.values():
        if step.backend is not None and step.backend not in draft.desired.backends:
            missing.setdefault(step.backend, set()).add(step.address)
    for backend, addresses in sorted(missing.items()):
        one = len(addresses) == 1
        address = address_of(Kind.BACKEND, backend)
        named = draft.options.described_elsewhere(address)
        draft.refuse(
            "backend.undeclared",
            address,
            f"backend {backend} has no manifest {'in the files named with -f' if named else 'any more'}, and {len(addresses)} {'resource' if one else 'resources'} on it "
            f"{'needs' if one else 'need'} a change",
            detail=f"{'it is' if one else 'the first of them is'} {min(addresses)}.",
            remedy=f"name the file with the Backend {backend} with -f too, or leave -f out"
            if named
            else f"restore the Backend manifest of {backend} until nothing is left on it",
        )


def note_undeclared_backends(draft: Draft) -> None:
    """Tell of each backend that has no manifest while something stays on it, unless an error tells of it already."""
    undeclared = draft.held_by_backend.keys() - draft.desired.backends.keys()
    if not undeclared:
        return
    held = Counter(
        str(record.backend)
        for address, record in draft.records.items()
        if record.backend in undeclared and record.kind != Kind.BACKEND and not draft.has(address, Verb.FORGET)
    )
    told = {found.address for found in draft.diagnostics if found.code == "backend.undeclared"}
    renamed = [found.remedy for found in draft.diagnostics if found.code == "backend.renamed"]
    for name, count in sorted(held.items()):
        address = address_of(Kind.BACKEND, name)
        if address in told or any(f" {address} " in remedy for remedy in renamed):
            continue
        named = draft.options.described_elsewhere(address)
        them = "it is" if count == 1 else "they are"
        draft.tell(
            warning,
            "backend.manifest-gone",
            f"backend {name} has no manifest{' in the files named with -f' if named else ''}, and {recorded_on(count)} on it",
            detail=f"nobody asks that backend: whether {them} there, as recorded, is not known, and no change gets there.",
            remedy=f"name the file with the Backend {name} with -f too, or leave -f out"
            if named
            else f"restore the Backend manifest; if it has another name now, `sharectl state mv {address} backend/NEW-NAME`; "
            "to forget what is on it, `sharectl state rm` each",
            address=address,
        )
