"""Make what a release consists of, from a checkout: source archive, wheel, bill of materials, manual pages. `python -m tools.package DIR`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
"""The versions of Python that a release is for."""

_LISTER: Final = "cyclonedx-bom>=5"
"""In an environment of its own: what it brings along makes `import jsonschema` take seconds."""


def _run(*command: str | Path, cwd: Path = ROOT) -> None:
    subprocess.run([str(word) for word in command], cwd=cwd, check=True)  # noqa: S603 - programs of the release, named here


def _tool(name: str, *arguments: str | Path) -> None:
    _run(sys.executable, "-m", name, *arguments)


def make(target: Path) -> Path:
    """Write all parts into `target`, an empty folder, and return the wheel. Raises CalledProcessError."""
    _tool("build", "--quiet", "--outdir", target)
    (wheel,) = target.glob("*.whl")
    (source,) = target.glob("*.tar.gz")
    _tool("twine", "check", "--strict", source, wheel)
    with tempfile.TemporaryDirectory() as scratch:
        for version in PYTHONS:
            _resolve(wheel, version, Path(scratch) / version)
        _write_materials(wheel, target, Path(scratch))
        _tool("sphinx", "-q", "-b", "man", "-d", Path(scratch) / "trees", "-c", "docs/site", ".", target / "man")
    return wheel


def _resolve(wheel: Path, version: str, nowhere: Path) -> None:
    """See that there is a ready-made package of everything the wheel needs for this version of Python."""
    choice = ("--python-version", version, "--only-binary=:all:", "--target", nowhere)
    _tool("pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run", *choice, wheel)


def _write_materials(wheel: Path, target: Path, scratch: Path) -> None:
    """Write the CycloneDX bill of materials of an environment that has the wheel, and what it needs, alone."""
    python = _environment(scratch / "wheel", wheel)
    _run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "pip", "setuptools")
    lister = _environment(scratch / "lister", _LISTER)
    written = target / f"{wheel.name.split('-')[0]}-{wheel.name.split('-')[1]}.cdx.json"
    _run(lister, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--output-file", written, python)
    names = {each["name"] for each in json.loads(written.read_text(encoding="utf-8"))["components"]}
    if missing := {"sharectl", "orjson", "rich", "typer"} - names:
        message = f"the bill of materials lacks {', '.join(sorted(missing))}"
        raise RuntimeError(message)


def _environment(directory: Path, package: Path | str) -> Path:
    """Make a virtual environment with a package in it, and return its Python."""
    venv.create(directory, with_pip=True)
    python = directory / "bin/python"
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
    return python


if __name__ == "__main__":
    chosen = Path(sys.argv[1]).resolve()
    chosen.mkdir(parents=True, exist_ok=True)
    print(make(chosen))  # noqa: T201 - which file is the wheel
