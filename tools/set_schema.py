"""Write the schema of ShareSets, `schemas/share-set.schema.json`, from that of Shares, whose fields a set gives to many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from sharectl.manifests.defaults import NULLABLE

ROOT: Final = Path(__file__).resolve().parent.parent
SCHEMAS: Final = ROOT / "schemas"
SCHEMA: Final = SCHEMAS / "share-set.schema.json"

_KEY: Final = r"^([a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?|[a-z0-9._-]{0,63}\[[0-9,-]{1,1000}\][a-z0-9._-]{0,63})$"
_NAMES: Final = (
    "a name is 1 to 63 lower-case letters, digits, '-', '_' or '.', and starts and ends with a letter or digit; "
    "several are written as scratch-[01-40]"
)

Schema = dict[str, Any]


def share_set_schema() -> str:
    """Return the schema as JSON text."""
    share: Schema = json.loads((SCHEMAS / "share.schema.json").read_text(encoding="utf-8"))
    fields = {name: _partial(field) for name, field in share["properties"]["spec"]["properties"].items()}
    metadata = share["properties"]["metadata"]
    kept = {name: metadata["properties"][name] for name in ("labels", "annotations")}
    template = {
        "type": "object",
        "$comment": "What is described elsewhere: the fields of a Share's spec.",
        "description": "What all shares have: any fields of the `spec` of a Share.",
        "additionalProperties": False,
        "properties": {name: _removable(field) if name in NULLABLE else field for name, field in fields.items()},
    }
    entry = {
        "type": "object",
        "description": "Where the share differs from the template; `{}` where it does not.",
        "errorMessage": "write where the share differs, such as {size: 50GiB}, or {} where it does not",
        "additionalProperties": False,
        "properties": {name: _removable(field) for name, field in {**kept, **fields}.items()},
    }
    spec = {
        "type": "object",
        "description": "What all shares have, and their names.",
        "required": ["shares"],
        "additionalProperties": False,
        "properties": {
            "template": template,
            "shares": {
                "type": "object",
                "minProperties": 1,
                "errorMessage": "name shares as `home-alice: {}`; where none is to be left, remove the document",
                "propertyNames": {"pattern": _KEY, "errorMessage": _NAMES},
                "additionalProperties": entry,
                "description": "The shares: the name of each, and what it has in place of the template's: `labels`, `annotations`, and fields of `spec`. "
                "A mapping is merged with the template's, field by field; `null` takes a field away; everything else, lists too (`access`), is put "
                "in the template's place, as a whole. `scratch-[01-40]: {}` stands for 40 shares, `scratch-[01-06,09]` for seven.",
            },
        },
    }
    schema = {
        **share,
        "title": "Share set",
        "description": "Many similar shares in one document. Each is a share like any other, with an address of its own (`share/home-alice`); "
        "the set has none, and its name is for people. A name that is taken out is a share whose document is gone.",
        "properties": {
            **share["properties"],
            "kind": {"const": "ShareSet", "description": "What this document describes."},
            "metadata": {
                **metadata,
                "description": "The set's name, and what each of its shares is given.",
                "properties": {
                    "name": {
                        **metadata["properties"]["name"],
                        "description": "The set's name, which no share has to do with.",
                    },
                    "labels": {**kept["labels"], "description": "The labels of each share."},
                    "annotations": {**kept["annotations"], "description": "The annotations of each share."},
                },
            },
            "spec": spec,
        },
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _partial(schema: Schema) -> Schema:
    """Return the schema of a value of which another place may say the rest."""
    found = {key: value for key, value in schema.items() if key not in {"required", "oneOf"}}
    if "properties" in found:
        found["properties"] = {name: _partial(field) for name, field in found["properties"].items()}
    return found


def _removable(schema: Schema) -> Schema:
    """Return the schema of a value that may be `null`, and so may all fields in it."""
    found = dict(schema)
    if "type" in found:
        found["type"] = [found["type"], "null"]
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    if "properties" in found:
        found["properties"] = {name: _removable(field) for name, field in found["properties"].items()}
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = _removable(found["additionalProperties"])
    return found


def main() -> None:
    """Write the schema."""
    SCHEMA.write_text(share_set_schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
