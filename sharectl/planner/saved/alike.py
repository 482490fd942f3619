"""What many steps of a saved plan have alike: it is read and checked once, and let go of with the reading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from sharectl.model.codec import Likes
from sharectl.model.field_changes import plain_changes, rule_changes
from sharectl.model.plans import CreateShare, UpdateAccess
from sharectl.model.specs import ShareSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sharectl.model.access import AccessRule
    from sharectl.model.canonical import JsonObject
    from sharectl.model.codec import Likeness
    from sharectl.model.field_changes import FieldChange
    from sharectl.model.plans import Work

_MOST: Final = 2_000


class Alike:
    """The new shares and lists of access rules that were read so far, with the changes that they stand for, as JSON objects."""

    __slots__ = ("_new", "_rules", "_shares", "_shown_rules")

    def __init__(self) -> None:
        """Know none yet."""
        self._shares: Likes[ShareSpec] = Likes(ShareSpec)
        self._new: dict[Likeness, tuple[list[JsonObject], list[JsonObject]]] = {}
        self._rules: dict[bytes, tuple[AccessRule, ...]] = {}
        self._shown_rules: dict[tuple[AccessRule, ...], list[JsonObject]] = {}

    def share(self, plain: Any, decode: Callable[[], ShareSpec]) -> ShareSpec:  # noqa: ANN401 - whatever stands in the document
        """Return the spec in a JSON object, which `decode` reads and checks where none was that differs in its name alone."""
        name = plain.get("name") if type(plain) is dict else None
        return self._shares.read(orjson.dumps(plain), name, decode) if name and type(name) is str else decode()

    def rules(self, plain: Any, decode: Callable[[Any], AccessRule]) -> tuple[AccessRule, ...]:  # noqa: ANN401 - as above
        """Return the access rules in a list, each of which `decode` reads and checks where the whole list was not read before."""
        text = orjson.dumps(plain)
        found = self._rules.get(text)
        if found is None:
            found = tuple(map(decode, plain))
            if len(self._rules) < _MOST:
                self._rules[text] = found
        return found

    def changes_of(self, work: Work | None, step: Mapping[str, Any]) -> list[JsonObject] | None:
        """Return the changes that follow from the work that was read from a step, as JSON objects; None where none do."""
        if isinstance(work, CreateShare):
            return self._changes_of_share(step["spec"], work.spec)
        return self._changes_of_rules(work.rules) if isinstance(work, UpdateAccess) else None

    def _changes_of_share(self, plain: JsonObject, spec: ShareSpec) -> list[JsonObject]:
        key = self._shares.likeness(orjson.dumps(plain), spec.name)
        known = None if key is None else self._new.get(key)
        if known is not None:
            before, after = known
            return [*before, {"field": "name", "before": None, "after": spec.name}, *after]
        found = changes_to_list(plain_changes({}, spec.as_plain()))
        if key is not None and len(self._new) < _MOST:
            at = next(number for number, change in enumerate(found) if change["field"] == "name")
            self._new[key] = found[:at], found[at + 1 :]
        return found

    def _changes_of_rules(self, rules: tuple[AccessRule, ...]) -> list[JsonObject]:
        found = self._shown_rules.get(rules)
        if found is None:
            found = changes_to_list(rule_changes((), rules))
            if len(self._shown_rules) < _MOST:
                self._shown_rules[rules] = found
        return found


def changes_to_list(changes: Iterable[FieldChange]) -> list[JsonObject]:
    """Return field changes as JSON objects."""
    return [{"field": change.field, "before": change.before, "after": change.after} for change in changes]
