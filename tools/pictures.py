"""Make pictures of what commands draw on a terminal, to be looked at: `python -m tools.pictures DIRECTORY [SCENE…]`.

Each scene is a real command in a repository of 200 shares on simulated backends that are slow, with names that are long or not
ASCII, at several widths, light and dark. Nothing compares these pictures: what is held is in `tests/render/test_screens.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tools.terminal import THEMES, Session, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTHS: Final = (40, 80, 120, 200)
_SHARES: Final = 200
_ROWS: Final = 100
_PROJECT: Final = "apiVersion: sharectl/v1\nkind: Project\n"
_BACKEND: Final = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {{name: {name}}}
spec:
  driver: simulated
  lanes: 4
  config:
    stateFile: {name}.db
    pools: [{{name: aggr, count: 3, total: 10TiB, capabilities: {{ssd: {ssd}}}}}]
    latency: {{default: {latency}, create_share: {creation}}}
    faults: {faults}
"""
_SHARE: Final = """\
---
apiVersion: sharectl/v1
kind: Share
metadata: {{name: {name}, labels: {{team: {team}, env: prod}}}}
spec:
  size: {size}GiB
  protocol: {protocol}
  deletionPolicy: trash
  access: [{{type: {kind}, to: {to}, level: rw}}]
"""
_LONG: Final = "measurements-of-the-large-telescope-in-the-northern-hemisphere"
_NAMES: Final = ("projects", "home", _LONG, "scratch", "media", "backups")
_USERS: Final = ("müller", "田中", "oconnor")
_TEAMS: Final = ("research", "finance", "video")


def _backend(name: str, *, latency: str = "0ms", creation: str = "0ms", ssd: str = "true", faults: str = "[]") -> str:
    return _BACKEND.format(name=name, latency=latency, creation=creation, ssd=ssd, faults=faults)


def _shares(count: int, first: int = 0) -> str:
    return "".join(_share(number) for number in range(first, first + count))


def _share(number: int) -> str:
    name = _NAMES[number] if number < len(_NAMES) else f"{_TEAMS[number % 3]}-{number:03}"
    is_smb = number % 4 == 3  # noqa: PLR2004 - every fourth
    return _SHARE.format(
        name=name,
        team=_TEAMS[number % 3],
        size=(number % 40 + 1) * 5,
        protocol="CIFS" if is_smb else "NFS",
        kind="user" if is_smb else "ip",
        to=f"'CORP\\{_USERS[number % 3]}{number}'" if is_smb else f"10.0.{number % 16}.0/24",
    )


class Repository:
    """A repository that scenes work in, each in a copy of its own."""

    def __init__(self, folder: Path) -> None:
        """Have nothing but a project file."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.write("sharectl.yaml", _PROJECT)

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> None:
        """Run a command of which nothing is shown."""
        self.session(200, *arguments).end()

    def session(self, columns: int, *arguments: str, rows: int = _ROWS) -> Session:
        """Start a command on a terminal."""
        environ = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS", "LINES"}}
        environ |= {"TERM": "xterm-256color", "XDG_STATE_HOME": str(self.folder / ".copies")}
        command = [sys.executable, "-m", "sharectl", *arguments]
        return Session(command, columns=columns, rows=rows, cwd=self.folder, environ=environ)


def _fast(repository: Repository, shares: int = _SHARES) -> None:
    repository.write("backends.yaml", _backend("filer-1") + "---\n" + _backend("filer-2", ssd="false"))
    repository.write("shares.yaml", _shares(shares))


def _applied(repository: Repository) -> None:
    _fast(repository)
    repository.run("apply", "--yes")


def _slow(repository: Repository) -> None:
    faults = "[{call: create_share, name: home, effect: hang}, {call: update_access, every: 9, effect: transient}, {call: create_share, name: media, effect: error}]"
    slow = _backend("filer-1", latency="200ms", creation="900ms", faults=faults)
    repository.write("backends.yaml", slow + "---\n" + _backend("filer-2", creation="400ms", ssd="false"))
    repository.write("shares.yaml", _shares(_SHARES))


def _silent(repository: Repository) -> None:
    _fast(repository)
    silent = _backend("filer-2", faults="[{call: '*', effect: hang}]")
    repository.write("backends.yaml", _backend("filer-1") + "---\n" + silent)


def _changed(repository: Repository) -> None:
    """Change access and sizes, leave out some, add some."""
    _applied(repository)
    text = _shares(_SHARES - 20, 10) + _shares(6, 300)
    repository.write("shares.yaml", text.replace("10.0.3.0/24", "10.0.3.0/25").replace("size: 35GiB", "size: 36GiB"))


def _mistaken(repository: Repository) -> None:
    _fast(repository)
    text = _shares(20).replace("size: 15GiB", "size: 15Gib").replace("protocol: CIFS", "protocol: SMBv3", 1)
    repository.write("shares.yaml", text.replace("deletionPolicy", "deletePolicy", 2))


def _stale(repository: Repository) -> None:
    _fast(repository, 12)
    repository.run("apply", "--yes")
    repository.write("shares.yaml", _shares(40).replace("size: 35GiB", "size: 36GiB"))
    repository.run("plan", "--out", "p.plan")
    repository.write("shares.yaml", _shares(14).replace("size: 35GiB", "size: 37GiB"))
    repository.run("apply", "--yes")


def _over_limit(repository: Repository) -> None:
    _applied(repository)
    repository.write("shares.yaml", _shares(20))


def _in_trash(repository: Repository) -> None:
    _applied(repository)
    repository.write("shares.yaml", _shares(_SHARES - 12, 12))
    repository.run("apply", "--yes", "--allow-deletions", "50", "--allow-revocations", "100")


def _ended(_: Terminal) -> bool:
    return False


def _far(screen: Terminal) -> bool:
    return any(_LATER.search(line) for line in screen.lines)


_LATER: Final = re.compile(r"[0-9]+ of [0-9]+.*, (9|1[0-9])\.[0-9] s")


def _waiting(screen: Terminal) -> bool:
    return any("5 s" in line for line in screen.lines)


class Scene(NamedTuple):
    """A repository, a command, and the moment at which it is looked at (by default its end)."""

    prepare: Callable[[Repository], None]
    command: tuple[str, ...]
    moment: Callable[[Terminal], bool] = _ended
    rows: int = _ROWS


SCENES: Final = {
    "plan": Scene(_fast, ("plan",)),
    "plan-changes": Scene(_changed, ("plan", "--allow-deletions", "50", "--allow-revocations", "100")),
    "plan-limit": Scene(_over_limit, ("plan",)),
    "progress": Scene(_slow, ("apply", "--yes"), _far, 30),
    "progress-low": Scene(_slow, ("apply", "--yes"), _far, 10),
    "progress-waiting": Scene(_silent, ("refresh",), _waiting, 10),
    "list": Scene(_applied, ("list",)),
    "show": Scene(_applied, ("show", "share/projects")),
    "show-long": Scene(_applied, ("show", f"share/{_LONG}")),
    "who": Scene(_applied, ("who", "10.0.2.5")),
    "history": Scene(_changed, ("history",)),
    "pools": Scene(_applied, ("pools",)),
    "validate": Scene(_mistaken, ("validate",)),
    "stale": Scene(_stale, ("apply", "p.plan")),
    "limit": Scene(_over_limit, ("apply", "--yes")),
    "trash": Scene(_in_trash, ("trash", "list")),
}


def screens(folder: Path, names: tuple[str, ...]) -> Iterator[tuple[str, Terminal]]:
    """Yield the scenes of these names at each width, with a name for the picture."""
    prepared: dict[Callable[[Repository], None], Path] = {}
    for name in names:
        scene = SCENES[name]
        if scene.prepare not in prepared:
            prepared[scene.prepare] = folder / scene.prepare.__name__
            scene.prepare(Repository(prepared[scene.prepare]))
        for width in WIDTHS:
            copy = folder / f"{name}-{width}"
            shutil.copytree(prepared[scene.prepare], copy)
            session = Repository(copy).session(width, *scene.command, rows=scene.rows)
            if not session.look_until(scene.moment):
                session.end()
            else:
                session.process.kill()
            yield f"{name}-{width}", session.terminal


def main(arguments: list[str]) -> None:
    """Make the pictures of the scenes that are named, or of all."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only for pictures

    target = Path(arguments[0])
    target.mkdir(parents=True, exist_ok=True)
    names = tuple(arguments[1:]) or tuple(SCENES)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        tab = browser.new_page()
        for name, terminal in screens(Path(folder), names):
            for theme in ("light", "dark"):
                tab.set_content(terminal.page(THEMES[theme]))
                tab.locator("pre").screenshot(path=target / f"{name}-{theme}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
