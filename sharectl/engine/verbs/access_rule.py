"""Access to shares: the whole set of rules at once, and its end when a share is forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from sharectl.drivers.base import BackendUnavailableError, DriverError, NotFoundError, TransientError
from sharectl.drivers.ignoring import rules_to_end
from sharectl.engine.answers import all_expected, unmeasured
from sharectl.engine.verbs.base import Calls, Entry, Executions, Intent, Outcome, Result, Runner, Site, put, removed
from sharectl.engine.verbs.share import recover_change
from sharectl.executors.answers import AccessUpdated, RuleOutcome
from sharectl.executors.calls import UpdateAccess, ask
from sharectl.model.access import BOTH
from sharectl.model.canonical import canonical_json
from sharectl.model.observed import ObservedShare
from sharectl.model.records import RuleRecord
from sharectl.model.verbs import Verb
from sharectl.planner.records import as_exported, share_attributes, with_access, with_export_settings, with_spec
from sharectl.state.rows import share_ref, share_spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sharectl.engine.verbs.base import Task
    from sharectl.executors.answers import Answer
    from sharectl.model import plans
    from sharectl.model.access import AccessRule, ExportSettings
    from sharectl.model.specs import ShareSpec

_NO_LOCATIONS: Final = canonical_json({"export_locations": ()})[1:-1]
"""Stands in the attributes of a share without export locations, and nowhere else: a quote within a text is escaped."""


def _given(task: Task) -> tuple[AccessRule, ...]:
    return tuple(rule.rule for rule in task.rules if rule.status == "active")


def _export_settings(task: Task) -> ExportSettings | None:
    """Return the settings that the share's export is to have; None where the share was made on another backend than planned."""
    return cast("plans.UpdateAccess", task.step.work).export_settings if task.backend == task.step.backend else None


def _update(task: Task) -> Calls[Answer]:
    work, record = cast("plans.UpdateAccess", task.step.work), task.known_record
    share = share_ref(record)
    if (settings := _export_settings(task)) is not None:
        share = replace(share, export_settings=dict(settings))
    # A share that was taken over may get its export locations only now, with its first access.
    lists = work.spec is not None or _NO_LOCATIONS in record.attributes
    call = UpdateAccess(share, work.rules, _given(task), work.repairs, lists=lists)
    return ask(call if work.spec is None else _reexported(call, share_spec_of(record), work.spec))


def _reexported(call: UpdateAccess, recorded: ShareSpec, wanted: ShareSpec) -> UpdateAccess:
    """Return the call with the name and the protocols that the export is to have first, each where it may be another."""
    name = wanted.export_name or (wanted.name if recorded.export_name is not None else None)
    protocol = str(wanted.protocol)
    is_same = protocol == recorded.protocol
    return replace(
        call,
        share=replace(call.share, protocol=protocol),
        repairs=call.repairs or not is_same,  # a protocol that was just added has none of the rules yet
        export_name=name,
        protocol=None if is_same and BOTH not in {protocol, recorded.protocol} else protocol,
    )


def _updated(task: Task, answer: AccessUpdated) -> Result:
    work, record = cast("plans.UpdateAccess", task.step.work), task.known_record
    if answer.share is not None:
        record = record._replace(attributes=share_attributes(answer.share))
        if work.spec is not None:
            named = replace(share_spec_of(record), export_name=work.spec.export_name, protocol=work.spec.protocol)
            record = with_spec(record, as_exported(named, answer.share))
    rules = tuple(RuleRecord(outcome.rule, outcome.status, outcome.reason) for outcome in answer.rules)
    active = [rule.rule for rule in rules if rule.status == "active"]
    refused = "; ".join(f"{rule.rule.key}: {rule.reason}" for rule in rules if rule.status != "active")
    record = with_access(with_export_settings(record, _export_settings(task)), active, refused=bool(refused))
    return put(record, rules, refused=refused)


def _end(task: Task) -> Calls[Answer]:
    return ask(UpdateAccess(share_ref(task.known_record), (), _given(task), repairs=True, may_be_gone=True))


def _recover_end(_intent: Intent) -> Calls[Outcome]:
    """Leave the share in the state: whether its access has ended the next plan sees, which forgets it then."""
    yield from ()
    return Outcome((), "it was not forgotten; the next plan ends what access it still has, and forgets it")


TABLE: Final[Mapping[Verb, Entry]] = {
    Verb.UPDATE_ACCESS: Entry(Runner.DRIVER, _update, _updated, recover_change),
    Verb.FORGET: Entry(Runner.DRIVER, _end, removed, _recover_end),
}


def _execute(site: Site, call: UpdateAccess) -> AccessUpdated:
    given = set(call.given)
    add, delete = [rule for rule in call.rules if rule not in given], sorted(given - set(call.rules))
    if call.repairs:
        # The backend holds something else than `given`: with no change to rely on, it makes the whole set so.
        add, delete = [], rules_to_end(site.driver, given, call.rules)
    try:
        statuses = _statuses(site.driver, call, add, delete)
    except NotFoundError:
        if not call.may_be_gone:
            raise
        statuses = {}
    listed: list[ObservedShare] = []
    if call.lists:
        found = site.driver.list_shares([call.share.resource_id])
        listed = [unmeasured(share) for share in all_expected("list_shares", ObservedShare, found)]
    outcomes = tuple(_outcome(rule, statuses.get(rule)) for rule in call.rules)
    return AccessUpdated(outcomes, next(iter(listed), None))


def _statuses(
    driver: Any,  # noqa: ANN401 - anybody's
    call: UpdateAccess,
    add: list[AccessRule],
    delete: list[AccessRule],
) -> Mapping[AccessRule, Any]:
    """Have the driver make `rules` the access of the share; what it cannot add never keeps anybody in who should be out.

    Where it fails as a whole, it is asked once more for the revocations alone, with what is in force already and stays.
    """
    is_exported_so = False
    try:
        _export_anew(driver, call)
        is_exported_so = True
        return cast("Mapping[AccessRule, Any]", driver.update_access(call.share, call.rules, add, delete))
    except (NotFoundError, BackendUnavailableError):
        raise
    except DriverError as problem:
        kept = [rule for rule in call.rules if rule in call.given]
        if not (delete or call.repairs) or (is_exported_so and len(kept) == len(call.rules)):
            raise
        narrowed = driver.update_access(call.share, kept, [], delete)
        if isinstance(problem, TransientError) or not is_exported_so:
            raise
        return {**dict.fromkeys(call.rules, ("error", str(problem))), **narrowed}


def _export_anew(driver: Any, call: UpdateAccess) -> None:  # noqa: ANN401 - as above
    """Give the export its name and its protocols: only the new name is one that all protocols take, and the old one may be free to go.

    So the name comes first where the share is to have both, and the protocols where it is to have one.
    """
    if call.export_name is not None and call.protocol == BOTH:
        driver.rename_export(call.share, call.export_name)
    if call.protocol is not None:
        driver.change_protocols(call.share, call.protocol)
    if call.export_name is not None and call.protocol != BOTH:
        driver.rename_export(call.share, call.export_name)


def _outcome(rule: AccessRule, status: object) -> RuleOutcome:
    if not isinstance(status, tuple) or not all(isinstance(part, str) for part in status):
        return RuleOutcome(rule, "error", "the driver said nothing of this rule")
    return RuleOutcome(rule, status[0], status[1])


EXECUTIONS: Final[Executions] = {UpdateAccess: _execute}
