"""The state for people and programs: its resources, open operations, lock and copies, and the trash of the backends."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from sharectl.model.diagnostics import counted, listed
from sharectl.model.events import worker_name
from sharectl.model.quantities import format_size
from sharectl.render.formats import document, named_fields
from sharectl.render.sentences import shown_field
from sharectl.render.tables import Cell, Column, table_lines
from sharectl.render.text import PLAIN, paint, visible
from sharectl.state.rows import attributes_of, plain_columns_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.model.records import LockStatus, OperationRecord, Promise, Record, RuleRecord, StateView
    from sharectl.render.text import Look
    from sharectl.state.sqlite.copies import Copy
    from sharectl.workspace.trash import TrashedShare

_RECORD_COLUMNS: Final = (
    Column("ADDRESS"),
    Column("PLACE"),
    Column("SIZE", right=True),
    Column("VERSION", right=True, optional=True),
    Column("", optional=True),
)


def state_lines(
    view: StateView, rules: Mapping[Address, Sequence[RuleRecord]] | None, look: Look = PLAIN
) -> Iterator[str]:
    """Yield the resources by address, their access rules under them where `rules` are given, and the open intents."""
    rows: list[list[Cell | str]] = []
    for address, record in sorted(view.records.items()):
        protected = "protected" if record.protect else ""
        rows.append([visible(address), visible(place_of(record)), size_of(record), str(record.version), protected])
        if rules is not None:
            rows += [[f"  access {rule_text(rule)}", "", "", "", ""] for rule in rules.get(address, ())]
    if rows:
        yield from table_lines(_RECORD_COLUMNS, rows, look)
    else:
        yield "The state holds nothing."
    for operation in view.operations:
        yield f"open intent: {_intent_text(operation)}"
    if view.operations:
        count = counted(len(view.operations), "operation")
        if view.writer is not None:
            writer = view.writer
            who = visible(writer.holder.name)
            yield f"{count} not ended; {who} has been at work since {visible(writer.acquired_at)}."
            return
        yield f"{count} of an earlier run unresolved; the next `sharectl apply` asks the backends and resolves them."


def state_object(view: StateView, rules: Mapping[Address, Sequence[RuleRecord]] | None) -> JsonObject:
    """Return the state as a JSON object, `sharectl-state` version 1; `access` is there where `rules` are given."""
    resources = []
    for address, record in sorted(view.records.items()):
        plain = record_fields(record)
        if rules is not None:
            plain["access"] = rules_list(rules.get(address, ()))
        resources.append(plain)
    return document(
        "state",
        lineage=view.lineage,
        serial=view.serial,
        resources=resources,
        operations=[named_fields(operation, *_OPERATION_FIELDS) for operation in view.operations],
    )


def record_lines(record: Record, rules: Sequence[RuleRecord], look: Look = PLAIN) -> Iterator[str]:
    """Yield one row of the state, with what was applied and what the backend answered."""
    yield paint(visible(record.address), "heading", look.color)
    named = (
        ("kind", record.kind),
        ("place", place_of(record)),
        ("size", size_of(record)),
        ("resource id", record.resource_id),
        ("version", str(record.version)),
        ("protected", "yes" if record.protect else "no"),
    )
    for key, value in named:
        if value:
            yield f"  {key:<14} {visible(value)}"
    for title, plain in (("applied", spec_object_of(record)), ("backend says", attributes_of(record))):
        yield f"  {title}"
        for key, value in plain.items():
            if value != {}:
                yield f"    {visible(key):<18} {shown_field(key, value)}"
    if rules:
        yield "  access"
        yield from (f"    {rule_text(rule)}" for rule in rules)


def record_object(record: Record, rules: Iterable[RuleRecord]) -> JsonObject:
    """Return one row of the state as a JSON object, `sharectl-record` version 1."""
    resource = {**record_fields(record), "access": rules_list(rules)}
    return document("record", resource=resource)


def record_fields(record: Record) -> JsonObject:
    """Return the row as JSON fields; what the state keeps as JSON text is JSON here, the digest is hexadecimal."""
    return {**plain_columns_of(record), "spec": spec_object_of(record), "attributes": attributes_of(record)}


def rules_list(rules: Iterable[RuleRecord]) -> list[JsonObject]:
    """Return access rules with their status as JSON objects."""
    return [{**each.rule.as_object(), "status": each.status, "reason": each.reason} for each in rules]


def rule_text(record: RuleRecord) -> str:
    """Return `ip:10.0.0.0/8 rw`, with the reason where the backend refused it."""
    text = f"{visible(record.rule.key)} {visible(record.rule.grant)}"
    if record.status == "active":
        return text
    return f"{text}  {visible(record.status)}{f': {visible(record.reason)}' if record.reason else ''}"


def place_of(row: Record | OperationRecord) -> str:
    """Return `backend#pool`, or what there is of it."""
    return "#".join(part for part in (row.backend, row.pool) if part)


def size_of(record: Record) -> str:
    """Return the size with its unit, or nothing."""
    return "" if record.size_bytes is None else format_size(record.size_bytes)


def _intent_text(operation: OperationRecord) -> str:
    where = place_of(operation)
    words = f"{operation.verb} {operation.address}{f' on {where}' if where else ''}, since {operation.started_at}"
    return visible(words)


_OPERATION_FIELDS: Final = (
    "operation_id",
    "run_id",
    "address",
    "verb",
    "resource_id",
    "backend",
    "pool",
    "started_at",
)
_OPERATION_COLUMNS: Final = (
    Column("OPERATION"),
    Column("ADDRESS"),
    Column("WHAT", whole=True),
    Column("PLACE", optional=True),
    Column("SINCE", optional=True, whole=True),
    Column("WORKER", optional=True, whole=True),
)


def operations_lines(
    operations: Sequence[OperationRecord], makers: Mapping[str, str], look: Look = PLAIN
) -> Iterator[str]:
    """Yield the open operations, oldest first, each with the worker that makes its call now, if one does."""
    if not operations:
        yield "No operation is open."
        return
    rows = [
        (
            visible(operation.operation_id),
            visible(operation.address),
            visible(operation.verb),
            visible(place_of(operation)),
            visible(operation.started_at),
            visible(worker_name(makers.get(operation.operation_id, ""))),
        )
        for operation in operations
    ]
    yield from table_lines(_OPERATION_COLUMNS, rows, look)


def operations_object(operations: Sequence[OperationRecord], makers: Mapping[str, str]) -> JsonObject:
    """Return the open operations as a JSON object, `sharectl-operations` version 1."""
    shown = [
        {**named_fields(operation, *_OPERATION_FIELDS), "worker": makers.get(operation.operation_id)}
        for operation in operations
    ]
    return document("operations", operations=shown)


_HELD_SHOWN: Final = 8
"""How many addresses of a lease are shown by name."""


def lock_lines(held: Sequence[LockStatus], promises: Sequence[Promise] = (), look: Look = PLAIN) -> Iterator[str]:
    """Yield who holds the lock: each lease and what it is for, with the room that is promised under it, the oldest first."""
    if not held:
        yield "Nobody holds the lock."
    for number, status in enumerate(held):
        if number:
            yield ""
        yield from _lease_lines(status, _promised_under(status, promises), look)


def _promised_under(status: LockStatus, promises: Sequence[Promise]) -> list[Promise]:
    return sorted(each for each in promises if each.status.token == status.token)


def _lease_lines(status: LockStatus, promised: Sequence[Promise], look: Look) -> Iterator[str]:
    holder = status.holder
    holds = f"{visible(holder.name)} holds the lock (process {holder.process_id})"
    yield paint(holds, "heading", look.color)
    yield f"  running      {visible(holder.command)}"
    if holder.actor is not None:
        yield f"  started by   {visible(holder.actor)}"
    if holder.ci_job_url is not None:
        yield f"  in CI job    {visible(holder.ci_job_url)}"
    yield f"  since        {visible(status.acquired_at)}"
    yield f"  last sign    {visible(status.heartbeat_at)}"
    if not status.scope.is_everything:
        found = listed(sorted(map(visible, status.scope.addresses or status.scope.backends)), _HELD_SHOWN)
        yield f"  for          {found}"
        yield f"  token        {status.token}"
    for each in promised:
        yield f"  promised     {format_size(each.size_bytes)} of {visible(each.backend)}#{visible(each.pool)}"
    taken = "can be taken over" if status.expired else "held"
    yield f"  status       {taken}{f': {visible(status.reason)}' if status.reason else ''}"


def lock_object(held: Sequence[LockStatus], promises: Sequence[Promise] = ()) -> JsonObject:
    """Return the lock as a JSON object, `sharectl-lock` version 1: all `locks`, and as `lock` the oldest, null where nobody holds one."""
    locks = [_lock_fields(status, _promised_under(status, promises)) for status in held]
    return document("lock", lock=locks[0] if locks else None, locks=locks)


def _lock_fields(status: LockStatus, promised: Sequence[Promise]) -> JsonObject:
    scope = {"backends": sorted(status.scope.backends), "addresses": sorted(status.scope.addresses)}
    room = [named_fields(each, "backend", "pool", "size_bytes") for each in promised]
    return {**asdict(status), "scope": scope, "promised": room}


_COPY_COLUMNS: Final = (
    Column("COPY"),
    Column("WHEN", whole=True),
    Column("SERIAL", right=True),
    Column("RESOURCES", right=True, optional=True),
    Column("LINEAGE", optional=True),
    Column("LAST RUN", optional=True),
)


def copies_lines(own: Sequence[Copy], others: Sequence[Copy], look: Look = PLAIN) -> Iterator[str]:
    """Yield the copies of this project, newest first, and after them those of others."""
    if not own and not others:
        yield "No copies of a state are kept here."
    if own:
        yield "Copies of the state of this project, newest first:"
        yield from _copies_table(own, look)
    elif others:
        yield "No copies of the state of this project are kept here."
    if others:
        yield "Copies of other projects on this machine:"
        yield from _copies_table(others, look)


def _copies_table(copies: Sequence[Copy], look: Look) -> Iterator[str]:
    rows = [(c.name, c.taken_at, str(c.serial), str(c.mark.resources), c.lineage, visible(_run_of(c))) for c in copies]
    yield from table_lines(_COPY_COLUMNS, rows, look)


def _run_of(copy: Copy) -> str:
    return f"{copy.command} by {copy.user}@{copy.host}" if copy.command else "-"


def copies_object(own: Sequence[Copy], others: Sequence[Copy]) -> JsonObject:
    """Return the copies as a JSON object, `sharectl-copies` version 1."""
    return document(
        "copies",
        copies=[_copy_fields(copy, own=True) for copy in own] + [_copy_fields(copy, own=False) for copy in others],
    )


def _copy_fields(copy: Copy, *, own: bool) -> JsonObject:
    named = named_fields(copy, "name", "taken_at", "lineage", "serial", "operations", "command", "user", "host")
    return {**named, "of_this_project": own, "resources": copy.mark.resources, "path": str(copy.path)}


_TRASH_COLUMNS: Final = (
    Column("SINCE", whole=True),
    Column("ADDRESS"),
    Column("BACKEND", whole=True),
    Column("ID", whole=True),
    Column("SIZE", right=True),
    Column("NOTE"),
)
"""An id is copied into `import` and `purge`, and nobody purges without knowing since when a share lies there, and whose it is: nothing is left out."""


def trash_lines(shares: Sequence[TrashedShare], look: Look = PLAIN, *, is_whole: bool = True) -> Iterator[str]:
    """Yield a line for each share in the trash, in the order given; where not all could be looked into, it may not be empty."""
    if not shares:
        yield (
            "The trash is empty."
            if is_whole
            else "Nothing is known to be in the trash: not all of it could be looked into."
        )
        return
    rows = [
        [
            visible((trashed.share.trashed_at or "").replace("+00:00", "Z")),
            visible(trashed.address),
            visible(trashed.backend),
            visible(trashed.share.backend_id),
            "" if trashed.share.size_bytes is None else format_size(trashed.share.size_bytes),
            _remark_on(trashed),
        ]
        for trashed in shares
    ]
    yield from table_lines(_TRASH_COLUMNS, rows, look)


def _remark_on(trashed: TrashedShare) -> str:
    if trashed.held_by is not None:
        return f"held by the state: {visible(trashed.held_by)}"
    return "" if trashed.is_ours else "put there by another than this state"


def strangers_in_trash(shares: Sequence[TrashedShare]) -> str:
    """Return what is said of what lies in the trash and was put there by nobody whom the state knows."""
    names = listed([visible(f"{one.share.backend_id} on {one.backend}") for one in shares], _HELD_SHOWN)
    return (
        f"Left alone: {counted(len(shares), 'share')} that this state did not put into the trash: {names}. "
        "It may be another project's; `sharectl trash purge ID` removes one of them."
    )


def trash_object(shares: Sequence[TrashedShare]) -> JsonObject:
    """Return the trash as a JSON object, `sharectl-trash` version 1."""
    of_share = "backend_id", "resource_id", "name", "pool", "size_bytes", "protocol", "trashed_at"
    return document(
        "trash",
        shares=[
            named_fields(trashed, "address", "backend", "held_by", "is_ours") | named_fields(trashed.share, *of_share)
            for trashed in shares
        ],
    )
