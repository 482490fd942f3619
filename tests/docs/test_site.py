"""The documentation as a site and as manual pages: whole, every link in it leads somewhere, and nothing is loaded from outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sharectl.cli.commands import COMMANDS
from tools.sessions import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_LOADED = re.compile(r"""(?:\bsrc|<link[^>]*\bhref)=["']?(?:https?:)?//""")


def build(builder: str, target: Path) -> None:
    """Build the pages; whatever Sphinx warns of, such as a link that leads nowhere, is a failure."""
    pytest.importorskip("furo", reason="needs furo (pip install sharectl[docs])")
    pytest.importorskip("myst_parser", reason="needs myst-parser (pip install sharectl[docs])")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-b", builder]
    command += ["-d", f"{target}.trees", "-c", "docs/site", ".", str(target)]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_site_is_whole_and_loads_nothing_from_outside(tmp_path: Path) -> None:
    """Each page of the documentation is in it."""
    site = tmp_path / "site"
    build("html", site)
    pages = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    written = {path.relative_to(ROOT).with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    assert written <= pages
    for path in site.rglob("*.html"):
        assert _LOADED.search(path.read_text(encoding="utf-8")) is None, path.name


def test_the_manual_page_has_every_command(tmp_path: Path) -> None:
    """And that of the manifests every kind."""
    build("man", tmp_path / "man")
    page = (tmp_path / "man/sharectl.1").read_text(encoding="utf-8").replace("\\-", "-")
    assert [name for name in COMMANDS if f"sharectl {name}".upper() not in page.upper()] == []
    assert "ShareNetwork" in (tmp_path / "man/sharectl-manifests.5").read_text(encoding="utf-8")
