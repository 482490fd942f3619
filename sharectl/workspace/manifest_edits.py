"""What the history says of fields and rules, as edits of the manifests that hold them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.manifests.edits import ADD, Edit
from sharectl.manifests.fields import written_of
from sharectl.manifests.rule_options import written_options
from sharectl.model.access import AccessRule, options_of, protocols_in
from sharectl.model.quantities import parse_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sharectl.model.canonical import JsonObject

_GRANT: Final = re.compile(r"(rw|ro|none)(?: \((.+)\))?")


def field_name(name: str) -> str:
    """Return the field that a change of the history is about."""
    return "size_bytes" if name == "size" else name


def plain_value(name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the value of a change as a plain spec has it."""
    return parse_size(value) if name == "size" and isinstance(value, str) else value


def is_same(one: Any, other: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether two values are one, however their lists are held."""
    first, second = (orjson.dumps(each, option=orjson.OPT_SORT_KEYS) for each in (one, other))
    return first == second


def field_edits(cls: type, plain: JsonObject, target: JsonObject) -> list[Edit]:
    """Return the edits that turn a document, which says `plain` now, into `target`."""
    before, after = written_of(cls, plain), written_of(cls, target)
    found: list[Edit] = []
    for holder in (before, after):
        holder.pop("labels", None)
        holder.pop("name", None)
    if before.get("protocol") != after.get("protocol"):
        old, new = protocols_in(before["protocol"]), protocols_in(after["protocol"])
        found.append(Edit(("spec", "protocol" if len(old) == 1 else "protocols"), None))
        found.append(Edit(("spec", "protocol"), new[0]) if len(new) == 1 else Edit(("spec", "protocols"), list(new)))
    for holder in (before, after):
        holder.pop("protocol", None)
    found += _differences(("spec",), before, after)
    found += _differences(("metadata", "labels"), plain.get("labels", {}), target.get("labels", {}))
    return found


def _differences(path: tuple[str | int, ...], before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Edit]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences((*path, name), old, new)
        elif not is_same(old, new):
            yield Edit((*path, name), new)


def rule_in(key: str, grant: str) -> AccessRule | None:
    """Return the rule that a change of the history names; None if that is unclear."""
    match = _GRANT.fullmatch(grant)
    access_type, _, access_to = key.partition(":")
    if match is None or not access_to:
        return None
    options = dict(each.partition(" ")[::2] for each in (match[2] or "").split(", ") if each)
    return AccessRule(access_type, access_to, match[1], options_of(options))


def written_rule(rule: AccessRule) -> JsonObject:
    """Return the rule as a manifest writes it."""
    plain = {"type": str(rule.access_type), "to": rule.access_to, "level": str(rule.access_level)}
    return {**plain, **written_options(rule.options)}


def level_edits(path: tuple[str | int, ...], before: str, after: str) -> list[Edit]:
    """Return the edits that give a rule what it granted before, option by option."""
    old, new = rule_in("ip:any", after), rule_in("ip:any", before)
    if old is None or new is None:
        return []
    written = [
        {key: value for key, value in written_rule(rule).items() if key not in {"type", "to"}} for rule in (old, new)
    ]
    return list(_differences(path, *written))


def edit_text(edit: Edit) -> str:
    """Return an edit in words, for whoever has to make it by hand."""
    steps = [step for step in edit.path if step != ADD]
    name = ".".join(str(step) for step in steps)
    if edit.value is None:
        return f"{name} goes"
    return f"{name} {'gets' if edit.path[-1] == ADD else 'becomes'} {orjson.dumps(edit.value).decode()}"
