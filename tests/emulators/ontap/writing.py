"""POST, PATCH and DELETE: of one object, of many by a query, and of a list of records."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tests.emulators.ontap import jobs, query, reading
from tests.emulators.ontap.errors import GONE, NOTHING_TO_CHANGE, Refused, gone, unexpected
from tests.emulators.ontap.facts import ALSO_IN_BODY, OPERATIONS, JsonObject, Operation, shape_of
from tests.emulators.ontap.jobs import JobRecord
from tests.emulators.ontap.operations import HANDLERS, Call, Done, Job, Login, Outcome, Row
from tests.emulators.ontap.reading import Answer, NotWritten, Pairs
from tests.emulators.ontap.routing import CLI
from tests.emulators.ontap.schema import read_body
from tests.emulators.ontap.tunnel import confine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.emulators.ontap.routing import Route
    from tests.emulators.ontap.world import World

_ALWAYS: Final = frozenset({"return_timeout", "return_records", "pretty", "continue_on_failure", "serial_records"})
"""Parameters that any write may have, also where they change nothing."""
QUERY_TIMEOUT: Final = 15
_REQUIRED: Final = frozenset(
    {
        *("name", "mtu", "gateway", "address", "hostname", "ro_rule", "rw_rule", "clients.match", "match", "type"),
        *("user_or_group", "permission", "path", "privileges", "applications", "pattern", "replacement", "keys"),
    }
)
"""Fields that a POST needs where the table says so; the others there are alternatives, which the handlers tell apart."""


@dataclass(frozen=True, slots=True)
class Write:
    """A request to change something."""

    route: Route
    pairs: Pairs
    body: JsonObject
    login: Login
    scope: str | None
    links: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer that depends on jobs, and how long the caller wants to wait for them."""

    write: Write
    jobs: tuple[str, ...]
    seconds: float
    keys: Mapping[str, object]
    by_query: bool = False
    rest: JsonObject = field(default_factory=dict)
    """The link to what is still to be changed by a query, in `_links`; empty where all was."""


def write(world: World, asked: Write) -> Answer | Pending:
    """Do what is asked, or begin it."""
    operation = asked.route.operation
    timeout = reading.whole_number(asked.pairs, "return_timeout", 0, 0, reading.LONGEST_WAIT)
    if operation.path.startswith(CLI):
        return _concluded(world, asked, _handler(operation)(world, _cli_call(asked)), timeout)
    reading.demand_parent(world, asked.route, asked.scope)
    if isinstance(asked.body.get("records"), list):
        return _records(world, asked, timeout)
    if operation.method != "POST" and not reading.is_single(operation):
        return _by_query(world, asked)
    keys: dict[str, str] = dict(asked.route.keys)
    if operation.method == "POST":
        _demand_no_attributes(asked)
    elif operation.on_instance:
        keys = _keys_of(_row(world, asked), operation)
    call = _call(world, asked, keys)
    return _concluded(world, asked, _handler(operation)(world, call), timeout)


def _handler(operation: Operation) -> Any:  # noqa: ANN401 - a Handler
    handler = HANDLERS.get(operation.name)
    if handler is None:
        raise NotWritten(operation.name)
    return handler


def _cli_call(asked: Write) -> Call:
    parameters = {name: value for name, value in asked.pairs if name not in _ALWAYS}
    return Call(asked.route.operation.name, {}, parameters, dict(asked.body), asked.login, asked.scope)


def _demand_no_attributes(asked: Write) -> None:
    operation = asked.route.operation
    for name, _ in asked.pairs:
        if name in _ALWAYS or name in operation.query:
            continue
        if operation.resource is not None and name in operation.resource.names:
            raise Refused(262211, f'Attribute "{name}" may not be given in the query of a POST.', name)
        raise unexpected(name)


def _row(world: World, asked: Write) -> Row:
    """Return the object that the address names, as far as the parameters let it."""
    filters = reading.filters_of(asked.route, asked.pairs, world.version)
    found = next(reading.matching(reading.rows_at(world, asked.route, asked.scope), filters), None)
    if found is None:
        raise gone(asked.route.operation.keys[-1])
    return found[0]


def _keys_of(row: Row, operation: Operation) -> dict[str, str]:
    return {name: str(row.keys[name]) for name in operation.keys}


def _call(world: World, asked: Write, keys: Mapping[str, str]) -> Call:
    operation = asked.route.operation
    parameters = {name: value for name, value in asked.pairs if name in operation.query and name not in _ALWAYS}
    body: JsonObject = dict(asked.body)
    if operation.resource is not None and operation.method != "DELETE":
        mode = "c" if operation.method == "POST" else "u"
        allowed = (operation.query - _ALWAYS) | ALSO_IN_BODY[operation.resource.name]
        body, found = read_body(operation.resource, mode, world.version, allowed, body)
        parameters |= found
        confine(world, body, asked.scope, asked.login)
        if mode == "c":
            _demand_required(operation, body)
        elif not body and not parameters:
            raise Refused(NOTHING_TO_CHANGE, "No fields to modify were given.")
    elif operation.resource is not None and body:
        body, found = _delete_body(world, operation, body)
        parameters |= found
    return Call(operation.name, dict(keys), parameters, body, asked.login, asked.scope)


def _demand_required(operation: Operation, body: JsonObject) -> None:
    for name in OPERATIONS[operation.name].get("required", ()):
        in_path = any(key.rpartition(".")[2] == name for key in operation.keys)
        if name in _REQUIRED and not in_path and not query.has(body, name):
            raise Refused(262212, f'Field "{name}" is required.', name)


def _delete_body(world: World, operation: Operation, body: JsonObject) -> tuple[JsonObject, dict[str, str]]:
    assert operation.resource is not None
    allowed = (operation.query - _ALWAYS) | ALSO_IN_BODY[operation.resource.name]
    try:
        return read_body(operation.resource, "c", world.version, allowed, body)
    except Refused as refused:
        raise Refused(262198, "A body is not supported for this method.", refused.target) from None


def _concluded(world: World, asked: Write, outcome: Outcome, timeout: int) -> Answer | Pending:
    operation = asked.route.operation
    _hide(world, operation, outcome)
    if isinstance(outcome, Done):
        return _success(world, asked, outcome.keys, ())
    assert 202 in operation.ok or operation.path.startswith(CLI), f"{operation.name} is never a job"
    job = jobs.start(world, outcome, operation.method, asked.route.path, asked.scope)
    return Pending(asked, (job.uuid,), timeout, outcome.keys)


def _hide(world: World, operation: Operation, outcome: Outcome) -> None:
    seconds = world.settings.hidden_after_post_seconds
    if seconds and operation.method == "POST" and outcome.keys:
        key = reading.hidden_key(shape_of(operation.collection), outcome.keys)
        world.hidden[key] = world.clock.now() + seconds


def conclude(world: World, pending: Pending) -> Answer:
    """Answer when the jobs have ended, or the caller has waited for as long as it wanted."""
    ended = [world[JobRecord].get(uuid) for uuid in pending.jobs]
    refusal = next((each.refusal for each in ended if each is not None and each.refusal is not None), None)
    if refusal is not None and pending.seconds:
        raise refusal
    running = any(each is not None and each.ended is None for each in ended)
    if pending.by_query:
        links = [_job_link(uuid) for uuid in pending.jobs]
        body: JsonObject = {"jobs": links, "num_records": len(links), **pending.rest}
        return Answer(202 if running or not pending.seconds else 200, body)
    if not running and pending.seconds:
        return _success(world, pending.write, pending.keys, pending.jobs)
    body = {"job": _job_link(pending.jobs[0])}
    return Answer(202, body, _location(pending.write, pending.keys))


def _job_link(uuid: str) -> JsonObject:
    """Return a job as answers show it: with its link, whatever the client accepts, as some know it by that alone."""
    return {"uuid": uuid, "_links": {"self": {"href": f"/api/cluster/jobs/{uuid}"}}}


def _location(asked: Write, keys: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    operation = asked.route.operation
    instance = reading.instance_of(operation)
    if operation.method != "POST" or instance is None or not keys:
        return ()
    path = instance.path
    known: dict[str, object] = {**dict(zip(instance.keys, asked.route.keys.values(), strict=False)), **keys}
    for name in instance.keys:
        path = path.replace(f"{{{name}}}", quote(str(known[name]), safe=""), 1)
    return (("location", f"/api{path}"),)


def _success(world: World, asked: Write, keys: Mapping[str, object], job_uuids: Sequence[str]) -> Answer:
    operation = asked.route.operation
    body: JsonObject = {}
    if job_uuids:
        body["job"] = _job_link(job_uuids[0])
    if reading.flag(asked.pairs, "return_records", default=False):
        records = _shown(world, asked, keys)
        body |= {"num_records": len(records), "records": records}
    status = 201 if operation.method == "POST" and 201 in operation.ok else 200
    return Answer(status, body, _location(asked, keys))


def _shown(world: World, asked: Write, keys: Mapping[str, object]) -> list[JsonObject]:
    """Return the object as it is now, for `return_records`."""
    instance = reading.instance_of(asked.route.operation)
    if instance is None:
        return []
    known = {**dict(zip(instance.keys, map(str, asked.route.keys.values()), strict=False))}
    known |= {name: str(value) for name, value in keys.items() if name in instance.keys}
    if len(known) < len(instance.keys):
        return []
    route = dataclasses.replace(asked.route, operation=instance, keys=known)
    view = reading.view_of(route, (), world.version, links=asked.links)
    return [view.show(row, row.record()) for row in reading.rows_at(world, route, asked.scope)]


# --- many at once


def _by_query(world: World, asked: Write) -> Answer | Pending:
    """Do the same to all objects that match, or to as many as there is time for: then a link says where to go on."""
    operation = asked.route.operation
    filters = reading.filters_of(asked.route, asked.pairs, world.version)
    if not filters:
        raise Refused(262212, "A query is required to change or delete several records.")
    single = reading.instance_of(operation, operation.method)
    if single is None:
        raise NotWritten(operation.name)
    handler = _handler(single)
    timeout = reading.whole_number(asked.pairs, "return_timeout", QUERY_TIMEOUT, 0, reading.LONGEST_WAIT)
    start = {name: value for name, value in asked.pairs if name.startswith("start.")}
    _, found = reading.around(list(reading.rows_at(world, asked.route, asked.scope)), filters, start, ())
    cut = world.faults.take("page_short", operation.method, asked.route.path, world.clock.now())
    matched = [entry.row for entry in islice(found, None if cut is None else int(cut.values.get("records", 1)))]
    left = next(found, None)
    rest: JsonObject = {}
    if left is not None:
        following = query.next_link(f"/api{asked.route.path}", asked.pairs, query.start_of(left, ()))
        rest = {"_links": {"next": {"href": following}}}
    if not matched:
        if world.settings.empty_query_status == 404:
            raise Refused(GONE, "entry doesn't exist")
        return Answer(200, {"num_records": 0})
    each = dataclasses.replace(asked, route=dataclasses.replace(asked.route, operation=single))
    outcomes = [handler(world, _call(world, each, _keys_of(row, single))) for row in matched]
    begun = [
        jobs.start(
            world, outcome, operation.method, reading.href_of(single, row).removeprefix("/api"), asked.scope
        ).uuid
        for row, outcome in zip(matched, outcomes, strict=True)
        if isinstance(outcome, Job)
    ]
    if not begun:
        return Answer(200, {"num_records": len(matched), **rest})
    return Pending(asked, tuple(begun), timeout, {}, by_query=True, rest=rest)


def _records(world: World, asked: Write, timeout: int) -> Answer | Pending:
    """Do what a list of records asks for, as one job: all of it, or nothing unless `continue_on_failure`."""
    operation = asked.route.operation
    single = operation if operation.method == "POST" else reading.instance_of(operation, operation.method)
    if single is None or len(asked.body) > 1:
        raise Refused(262186, 'A body with "records" may hold nothing else.', "records")
    handler = _handler(single)
    calls = [_record_call(world, asked, single, each) for each in asked.body["records"]]
    keep_going = reading.flag(asked.pairs, "continue_on_failure", default=False)

    def work(world: World) -> None:
        failure = None
        for call in calls:
            try:
                outcome = handler(world, call)
                if isinstance(outcome, Job):
                    outcome.work(world)
            except Refused as refused:
                failure = failure or refused
                if not keep_going:
                    break
        if failure is not None:
            raise failure

    job = jobs.start(
        world,
        Job(len(calls), world.all_or_nothing(work, partly=keep_going)),
        operation.method,
        asked.route.path,
        asked.scope,
    )
    return Pending(asked, (job.uuid,), timeout, {})


def _record_call(world: World, asked: Write, single: Operation, record: JsonObject) -> Call:
    body = dict(record)
    keys = dict(asked.route.keys)
    for name in single.own_keys if single is not asked.route.operation else ():
        found = query.values_at(body, name) or [body.get(name)]
        if found[0] is None:
            raise Refused(262212, f'Field "{name}" is required in each record.', name)
        keys[name] = str(found[0])
        body.pop(name, None)
    route = dataclasses.replace(asked.route, operation=single, keys=keys)
    each = dataclasses.replace(asked, route=route, body=body, pairs=())
    if single is not asked.route.operation:
        keys = _keys_of(_row(world, each), single)
    return _call(world, each, keys)
