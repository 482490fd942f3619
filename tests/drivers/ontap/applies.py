"""`sharectl apply` in processes of its own, each killed or stopped by Ctrl-C in the middle of a call that changes the emulated array."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.cli.console import COMMAND, PATIENCE_SECONDS, environment
from tests.emulators.ontap.calls import operation_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulators.ontap.gateway import Request
    from tests.emulators.ontap.server import Emulator

CANCELLED: Final = 130
MOST_APPLIES: Final = 60
KILLED: Final = ("killed, and the call is made", "killed, and the call is not made")
INTERRUPTED: Final = ("Ctrl-C", "Ctrl-C twice")
Document = tuple[str, str, str]


def text_of(*documents: Document) -> str:
    """Return manifests, each a kind, a name and a spec."""
    return "".join(
        f"---\napiVersion: sharectl/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        for kind, name, spec in documents
    )


@dataclass
class Applies:
    """Applies manifests in processes that are ended in each kind of change that none was ended in before, in one way after the other."""

    emulator: Emulator
    folder: Path
    endings: tuple[str, ...]
    within: str = ""
    """Only calls whose operation this pattern finds."""
    login: str = "admin"
    met: dict[str, str] = field(default_factory=dict)
    """How an apply was ended at each kind of change."""
    process: subprocess.Popen[bytes] | None = None

    def __call__(self, request: Request) -> bool:
        """End the process in the middle of this call, if it is of a new kind; tell whether the call is made."""
        operation = operation_of(request.method, request.raw_path)
        if self.process is None or request.method == "GET" or not re.search(self.within, operation):
            return True
        kind = " ".join((operation, *sorted(json.loads(request.body or b"{}"))))
        if kind in self.met:
            return True
        ending = self.met[kind] = self.endings[len(self.met) % len(self.endings)]
        process, self.process = self.process, None
        if ending == "Ctrl-C":
            process.send_signal(signal.SIGINT)
            return True
        deadline = time.monotonic() + PATIENCE_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT if "Ctrl-C" in ending else signal.SIGKILL)
            time.sleep(0.02)
        return "not made" not in ending

    def _applied(self) -> int:
        with (self.folder / "told").open("wb") as told:
            process = self.process = subprocess.Popen(
                [*COMMAND, "apply", "--yes", "--allow-deletions", "9", "--allow-empty"],
                cwd=self.folder,
                env=environment(PASSWORD=self.emulator.login_of(self.login).password, JOINER="Secret-2"),
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
            )
            code = process.wait(PATIENCE_SECONDS)
            self.process = None
        return code

    def reach(self, *documents: Document) -> None:
        """Apply these until an apply comes to its end."""
        (self.folder / "manifests.yaml").write_text(text_of(*documents), encoding="utf-8")
        for _ in range(MOST_APPLIES):
            before = len(self.met)
            code = self._applied()
            said = (self.folder / "told").read_text(encoding="utf-8")
            if len(self.met) == before:
                assert code == 0, said
                return
            assert code in {0, CANCELLED, -signal.SIGKILL}, said
        raise AssertionError


def repository(folder: Path) -> Path:
    """Make an empty repository."""
    folder.mkdir()
    (folder / "sharectl.yaml").write_text("apiVersion: sharectl/v1\nkind: Project\n", encoding="utf-8")
    return folder
