"""What a client or a user may reach, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sharectl.model.access import AccessType, protocol_words
from sharectl.model.diagnostics import counted, listed
from sharectl.model.kinds import rule_address
from sharectl.render.formats import document
from sharectl.render.freshness import freshness_object
from sharectl.render.tables import Cell, Column, table_lines
from sharectl.render.text import PLAIN, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Source
    from sharectl.mounting.inquiry import WhoView
    from sharectl.mounting.who import Verdict
    from sharectl.render.text import Look

_COLUMNS: Final = (
    Column("SHARE"),
    Column("MAY", whole=True),
    Column("OVER", whole=True, optional=True),
    Column("WHO", optional=True),
    Column("BY"),
    Column("WHERE"),
    Column("WITH", optional=True),
)
_NAMED: Final = 8


def who_lines(view: WhoView, look: Look = PLAIN) -> Iterator[str]:
    """Yield what it may reach, then what shuts it out, and what else is to be known."""
    reaching = [each for each in view.verdicts if not each.is_shut_out]
    shut_out = [each for each in view.verdicts if each.is_shut_out]
    if view.verdicts:
        yield from table_lines(_COLUMNS, [_row(view, each) for each in (*reaching, *shut_out)], look)
    else:
        yield f"No access rule in force is about {visible(view.subject.text)}."
    for address, record in view.refused:
        rule = f"{visible(record.rule.key)} {visible(record.rule.grant)}"
        yield f"Not in force: {rule} of {visible(address)}, which its backend refused: {visible(record.reason)}"
    for operation in view.unresolved:
        yield (
            f"Not known: {visible(operation.verb)} of {visible(operation.address)} began at {visible(operation.started_at)}, "
            "and its end is not recorded; access may be that before it or after it."
        )


def who_notes(view: WhoView) -> Iterator[str]:
    """Yield what the answer does not say."""
    if view.unapplied:
        count = counted(len(view.unapplied), "share")
        names = listed([visible(address) for address in view.unapplied], _NAMED)
        yield f"The manifests of {count} want other access, which is not applied yet: {names}."
    if view.subject.access_type is AccessType.IP:
        yield "Shares of SMB without address rules, whose users come from everywhere, are not listed: ask for the user."
    elif view.subject.access_type is AccessType.USER:
        yield "Shares of SMB with address rules alone, open from there to every user of their server, are not listed: ask for the address."
        if not view.subject.groups:
            yield "Who is in a group is not known here: add --group NAME for each group of the user."


def who_object(view: WhoView) -> JsonObject:
    """Return the same as a JSON object, `sharectl-who` version 1."""
    subject = view.subject
    return document(
        "who",
        subject={"text": subject.text, "access_type": str(subject.access_type), "groups": list(subject.groups)},
        view=freshness_object(view.freshness),
        refused=[
            {"address": address, **record.rule.as_object(), "status": record.status, "reason": record.reason}
            for address, record in view.refused
        ],
        unresolved=[operation.operation_id for operation in view.unresolved],
        unapplied=list(view.unapplied),
        verdicts=(_verdict_object(view, each) for each in view.verdicts),
    )


def _verdict_object(view: WhoView, each: Verdict) -> JsonObject:
    address = None if each.rule is None else rule_address(each.address, each.rule.key)
    source = view.sources.get(address or "")
    return {
        "address": each.address,
        "protocol": each.protocol,
        "client": each.client,
        "access_level": each.level,
        "rule": None if each.rule is None else each.rule.as_object(),
        "beside": [rule.as_object() for rule in each.beside],
        "why": each.why,
        "client_list": view.lists.get(address or ""),
        "source": None if source is None else _source_object(source),
    }


def _source_object(source: Source) -> JsonObject:
    return {"path": source.path, "line": source.line, "column": source.column, "document": source.document}


def _row(view: WhoView, each: Verdict) -> list[Cell | str]:
    address = "" if each.rule is None else rule_address(each.address, each.rule.key)
    source, client_list = view.sources.get(address), view.lists.get(address)
    level = Cell(each.level, "error") if each.is_shut_out else Cell(each.level)
    by = "" if each.rule is None else f"{visible(each.rule.key)} {visible(each.rule.grant)}"
    where = "" if source is None else f"{visible(source.path)}:{source.line}"
    if client_list is not None:
        by += f" ({visible(client_list)})"
    return [visible(each.address), level, protocol_words(each.protocol), visible(each.client), by, where, _with(each)]


def _with(each: Verdict) -> str:
    words = "as" if each.rule is None or each.rule.access_type == AccessType.IP else "from"
    named = listed([f"{visible(rule.key)} {visible(rule.grant)}" for rule in each.beside], _NAMED)
    return " ".join(part for part in (f"{words} {named}" if named else "", each.why) if part)
