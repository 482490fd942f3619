"""OpenStack's services as processes of their own, started by tests from a folder each, on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from tests.ports import free_ports

HERE: Final = Path(__file__).resolve().parent
PATIENCE_SECONDS: Final = 300.0


def openstack_python(environment: str) -> str:
    """Return the Python of a virtual environment that .ci/openstack makes, or skip the test where there is none."""
    root = Path(os.environ.get("SHARECTL_OPENSTACK") or Path.home() / ".cache" / "sharectl" / "openstack")
    python = root / environment / "bin" / "python"
    if not (root / environment / "complete").exists():
        pytest.skip(f"needs the services that .ci/openstack/setup installs (no {python})")
    return str(python)


class Service:
    """One service: a program of tests/network/openstack that serves from `folder` and writes the port there."""

    def __init__(self, python: str, program: str, folder: Path, *arguments: str) -> None:
        """Start nothing yet."""
        self.folder = folder
        self.port = 0
        self._command = [python, str(HERE / "openstack" / program), str(folder)]
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address at which it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, on the port that it had before if it ran already, and wait until it answers."""
        told = self.folder / "port"
        told.unlink(missing_ok=True)
        if not self.port:
            (self.port,) = free_ports(1)  # no client takes it while the service is away
        arguments = self._arguments or (str(self.port),)
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*self._command, *arguments],
                stdout=output,
                stderr=output,
                stdin=subprocess.PIPE,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": str(HERE / "openstack"),
                    "PYTHONWARNINGS": "ignore",
                },
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not told.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"{self._command[1]} does not start: {(self.folder / 'output').read_text()[-2000:]}")
            time.sleep(0.02)
        self.port = int(told.read_text())

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Any:  # noqa: ANN401 - parts of documents have many types
        """Send a request as another user of the cloud would, and return what the answer holds."""
        request = urllib.request.Request(  # noqa: S310 - an address of the test itself
            f"{self.url}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - an address of the test itself
                content = answer.read()
                self.last_headers = answer.headers
        except urllib.error.HTTPError as refusal:
            with refusal:
                pytest.fail(f"{method} {path}: {refusal.code} {refusal.read().decode()[:500]}")
        return json.loads(content) if content else None
