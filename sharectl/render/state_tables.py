"""The state as it is: its resources, their access rules, and the intents that are still open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.quantities import format_size
from sharectl.render.formats import document
from sharectl.render.paint import paint
from sharectl.render.tables import Cell, Column, table_lines
from sharectl.render.text import PLAIN, counted, visible
from sharectl.render.values import shown_value
from sharectl.state.rows import attributes_of, plain_columns_of, spec_object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sharectl.model.canonical import JsonObject
    from sharectl.model.kinds import Address
    from sharectl.model.records import OperationRecord, Record, RuleRecord, StateView
    from sharectl.render.text import Look

_COLUMNS: Final = (
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
        yield from table_lines(_COLUMNS, rows, look)
    else:
        yield "The state holds nothing."
    for operation in view.operations:
        yield f"open intent: {_intent_text(operation)}"
    if view.operations:
        count = counted(len(view.operations), "operation")
        if view.writer is not None:
            writer = view.writer
            who = visible(f"{writer.holder.user}@{writer.holder.host}")
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
        operations=[
            {
                "operation_id": operation.operation_id,
                "run_id": operation.run_id,
                "address": operation.address,
                "verb": operation.verb,
                "resource_id": operation.resource_id,
                "backend": operation.backend,
                "pool": operation.pool,
                "started_at": operation.started_at,
            }
            for operation in view.operations
        ],
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
                yield f"    {visible(key):<18} {shown_value(value)}"
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
    return [{**each.rule._asdict(), "status": each.status, "reason": each.reason} for each in rules]


def rule_text(record: RuleRecord) -> str:
    """Return `ip:10.0.0.0/8 rw`, with the reason where the backend refused it."""
    text = f"{visible(record.rule.key)} {visible(record.rule.access_level)}"
    if record.status == "active":
        return text
    return f"{text}  {visible(record.status)}{f': {visible(record.reason)}' if record.reason else ''}"


def place_of(record: Record) -> str:
    """Return `backend#pool`, or what there is of it."""
    return "#".join(part for part in (record.backend, record.pool) if part)


def size_of(record: Record) -> str:
    """Return the size with its unit, or nothing."""
    return "" if record.size_bytes is None else format_size(record.size_bytes)


def _intent_text(operation: OperationRecord) -> str:
    where = "#".join(part for part in (operation.backend, operation.pool) if part)
    words = f"{operation.verb} {operation.address}{f' on {where}' if where else ''}, since {operation.started_at}"
    return visible(words)
