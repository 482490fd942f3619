"""The settings of a linux backend that say whom rules for several people mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sharectl.model.canonical import JsonObject

GROUPS: Final[JsonObject] = {
    "type": "object",
    "propertyNames": {
        "pattern": "^[A-Za-z0-9_]([A-Za-z0-9_. -]{0,62}[A-Za-z0-9_-])?$",
        "errorMessage": "a group's name is up to 64 letters, digits, `_`, `.`, `-` and spaces, without a domain",
    },
    "description": "Groups that access rules can name (`type: group`), by name, whatever its case: for each, the names of its users.",
    "additionalProperties": {
        "type": "array",
        "maxItems": 10000,
        "uniqueItems": True,
        "description": "Members, of `users`.",
        "items": {"type": "string", "minLength": 1, "maxLength": 64, "description": "The name of a user."},
    },
}
GUESTS: Final[JsonObject] = {
    "type": "boolean",
    "description": "Whether a rule can let in who comes without a password (`type: guest`). Default: false.",
}
