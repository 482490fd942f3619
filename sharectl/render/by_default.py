"""The fields that the project's defaults have given a resource, and where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sharectl.model.canonical import JsonObject
    from sharectl.model.diagnostics import Source


def default_facts(by_default: Mapping[str, Source | None]) -> Iterator[tuple[str, str]]:
    """Yield the fields that the project's defaults have given, those of one line of its file together."""
    lines: dict[str, list[str]] = {}
    for name, source in by_default.items():
        place = "sharectl.yaml" if source is None else f"{source.path}:{source.line}"
        lines.setdefault(place, []).append(name.removeprefix("spec.").removeprefix("metadata."))
    for place, names in lines.items():
        yield "by default", f"{', '.join(names)} ({place})"


def default_objects(by_default: Mapping[str, Source | None]) -> list[JsonObject]:
    """Return the same for programs."""
    return [{"field": name, "source": None if source is None else str(source)} for name, source in by_default.items()]
