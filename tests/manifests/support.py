"""What the tests of manifests share: short documents, and loading them from real files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sharectl.manifests.loader import Loaded, load
from sharectl.manifests.schemas import DriverSchemas

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from sharectl.manifests.cache import ManifestCache
    from sharectl.manifests.defaults import Defaults
    from sharectl.model.diagnostics import Diagnostic

SCHEMAS: dict[str, dict[str, Any]] = {
    "simulated": {
        "type": "object",
        "properties": {"seed": {"type": "integer"}, "login": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "additionalProperties": False,
    },
    "open": {"type": "object"},
}


def document(kind: str, name: str, spec: str = "{}", metadata: str = "") -> str:
    """Return a manifest with its spec in flow style, ended by `---`."""
    return f"apiVersion: sharectl/v1\nkind: {kind}\nmetadata: {{name: {name}{metadata}}}\nspec: {spec}\n---\n"


def share(name: str, more: str = "", metadata: str = "") -> str:
    """Return a small NFS share."""
    return document("Share", name, f"{{size: 1GiB, protocol: NFS{more}}}", metadata)


def cifs(name: str, more: str = "") -> str:
    """Return a small CIFS share."""
    return document("Share", name, f"{{size: 1GiB, protocol: CIFS{more}}}")


def load_text(
    folder: Path,
    text: str | bytes,
    *,
    cache: ManifestCache | None = None,
    only: Collection[str] | None = None,
    defaults: Defaults | None = None,
) -> Loaded:
    """Write one file and load its folder."""
    folder.mkdir(exist_ok=True)
    (folder / "a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_folder(folder, cache=cache, only=only, defaults=defaults)


def load_folder(
    folder: Path,
    *sources: str,
    cache: ManifestCache | None = None,
    only: Collection[str] | None = None,
    defaults: Defaults | None = None,
) -> Loaded:
    """Load a folder, or some sources in it."""
    return load(
        sources or ["."],
        base_directory=folder,
        cache=cache,
        drivers=DriverSchemas(SCHEMAS.get, lambda: tuple(SCHEMAS)),
        only=only,
        defaults=defaults,
    )


def brief(diagnostic: Diagnostic) -> tuple[str, str]:
    """Return place and code."""
    return str(diagnostic.source), diagnostic.code


def codes(loaded: Loaded) -> list[str]:
    """Return the codes of all diagnostics, in order."""
    return [diagnostic.code.removeprefix("manifest.") for diagnostic in loaded.diagnostics]
