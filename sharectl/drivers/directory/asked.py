"""What was asked for, as a comment in a fragment whose other lines do not say it."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.access import rule_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sharectl.model.access import AccessRule

_MARK: Final = "# sharectl: "


def asked_comment(rules: Collection[AccessRule], options: Sequence[str] = ()) -> str:
    """Return the line with the rules of a share, and with the options that all clients have who have none of their own."""
    return f"{_MARK}{json.dumps({'options': ','.join(options), 'rules': [rule.as_plain() for rule in sorted(rules)]})}"


def rules_asked(text: str) -> tuple[AccessRule, ...]:
    """Return the rules in the comment of a fragment; none where there is no comment, or one that was not written so."""
    asked = _asked(text)
    try:
        rules = tuple(map(rule_of, asked["rules"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()
    parts = (part for rule in rules for part in (*rule[:3], *itertools.chain(*rule.options)))
    return rules if all(type(part) is str for part in parts) else ()


def options_asked(text: str) -> str | None:
    """Return the options in the comment of a fragment; None where there is no comment."""
    options = _asked(text).get("options")
    return options if isinstance(options, str) else None


def _asked(text: str) -> dict[str, Any]:
    line = next((line for line in text.split("\n") if line.startswith(_MARK)), "")
    try:
        found = json.loads(line.removeprefix(_MARK))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
