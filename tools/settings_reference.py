"""Writes the tables of settings in `docs/reference/linux-driver.md` and `docs/reference/ontap-driver.md` from the drivers' schemas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.schema import CONFIG_SCHEMA as LINUX
from sharectl.drivers.ontap.schema import CONFIG_SCHEMA as ONTAP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"
SCHEMAS: Final[Mapping[Path, dict[str, Any]]] = {
    _FOLDER / "linux-driver.md": LINUX,
    _FOLDER / "ontap-driver.md": ONTAP,
}
BEGIN: Final = "<!-- This table is made by `python -m tools.settings_reference`. -->\n"
END: Final = "<!-- Here the table ends. -->\n"

_KINDS: Final = {
    "string": "text",
    "integer": "whole number",
    "boolean": "`true` or `false`",
    "array": "list",
    "object": "mapping",
}


def table(schema: dict[str, Any]) -> str:
    """Return the settings as Markdown; a name in angle brackets stands for one that the user chooses."""
    return "\n".join(["| key | value | meaning |", "|---|---|---|", *_rows(schema, ""), ""])


def current_page(page: Path) -> str:
    """Return the page as it should be: what people wrote, with the table of today between the marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(SCHEMAS[page])}\n{END}{after}"


def _rows(schema: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        key = f"`{prefix}{name}`"
        is_required = name in schema.get("required", ())
        yield f"| {f'**{key}**' if is_required else key} | {_value(field)} | {_meaning(field)} |"
        if not field.get("writeOnly"):  # a reference to a secret has the same two fields everywhere
            yield from _rows(field, f"{prefix}{name}.")
        if isinstance(field.get("additionalProperties"), dict):
            yield from _rows(field["additionalProperties"], f"{prefix}{name}.<NAME>.")


def _value(field: dict[str, Any]) -> str:
    if "enum" in field:
        return _choices(field)
    if field["type"] == "array" and "enum" in field["items"]:
        return f"list of {_choices(field['items'])}"
    limits = f", {field['minimum']} to {field['maximum']}" if "maximum" in field else ""
    return _KINDS[field["type"]] + limits


def _choices(field: dict[str, Any]) -> str:
    return " or ".join(f"`{choice}`" for choice in field["enum"])


def _meaning(field: dict[str, Any]) -> str:
    return str(field.get("description", "")).replace("|", "\\|")


def main() -> None:
    """Write the pages."""
    for page in SCHEMAS:
        page.write_text(current_page(page), encoding="utf-8")


if __name__ == "__main__":
    main()
