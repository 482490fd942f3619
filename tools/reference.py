"""Write the reference of all kinds, `docs/reference/kinds.md`, from the schemas and the examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sharectl.manifests.schemas import schema_name_of, schema_of
from sharectl.model.kinds import KIND_OF_DOCUMENT
from tools import set_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
REFERENCE: Final = ROOT / "docs" / "reference" / "kinds.md"

_INTRODUCTION: Final = """# Kinds

Every manifest has `apiVersion: sharectl/v1`, a `kind`, `metadata` with a `name` (and, if you like, `labels` and `annotations`), and
a `spec`, whose fields are listed here. A file may hold several documents, separated by `---`. Fields in **bold** are required.

This page is made from the schemas by `python -m tools.reference`; editors show the same texts when a file begins with
`# yaml-language-server: $schema=…`, as those of `sharectl init` do. `sharectl schema --write .sharectl/schemas` writes the schemas
again, with the settings of the drivers that are installed: in another checkout, and after an update.
"""


def reference() -> str:
    """Return the page as Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(kind) for kind in (*KIND_OF_DOCUMENT, "Project"))])


def _section(kind: str) -> str:
    schema = schema_of(kind)
    spec = schema["properties"]["spec"]
    rows = "\n".join(_rows(spec, "", set(spec.get("required", ()))))
    name = "sharectl" if kind == "Project" else schema_name_of(kind)
    example = (ROOT / "examples" / "kinds" / f"{name}.yaml").read_text(encoding="utf-8").partition("\n")[2]
    table = f"| field of `spec` | value | meaning |\n|---|---|---|\n{rows}"
    return f"## {kind}\n\n{schema['description']}\n\n```yaml\n{example}```\n\n{table}\n"


def _rows(schema: dict[str, Any], prefix: str, required: set[str]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        path = f"`{prefix}{name}`"
        meaning = field.get("description", "").replace("|", "\\|")
        default = f" Default: `{_plain(field['default'])}`." if "default" in field else ""
        yield f"| {f'**{path}**' if name in required else path} | {_value(field)} | {meaning}{default} |"
        if "$comment" in field:  # its fields are described elsewhere
            continue
        items = field.get("items", {})
        inner = items if field.get("type") == "array" else field
        yield from _rows(inner, f"{prefix}{name}{'[]' if inner is items else ''}.", set(inner.get("required", ())))


def _value(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f"`{choice}`" for choice in field["enum"])
    kind = field.get("type")
    low, high = field.get("minimum"), field.get("maximum")
    limits = f" from {low} to {high}" if high is not None else f", at least {low}" if low is not None else ""
    names = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "`true` or `false`",
        "array": "list",
        "object": "mapping",
    }
    return names[str(kind)] + limits


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).replace("'", '"')


def main() -> None:
    """Write the page, and before it the schema that follows from another."""
    set_schema.main()
    REFERENCE.parent.mkdir(parents=True, exist_ok=True)
    REFERENCE.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
