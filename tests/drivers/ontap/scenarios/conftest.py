"""The ground of each scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.console import Console

from ..arrays import open_driver  # noqa: TID252 - the folder above is of the same tests
from .ground import Ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.emulators.ontap.server import Emulator


@pytest.fixture
def ground(emulator: Emulator) -> Iterator[Ground]:
    """Give a prepared backend on the SVM `vs1`, on which is nothing yet."""
    driver = open_driver(emulator)
    driver.prepare()
    found = Ground(emulator, driver)
    emulator.calls.clear()
    yield found
    found.driver.close()


@pytest.fixture
def console(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Console:
    """Give a repository with a backend on the array, and nothing else."""
    monkeypatch.setenv("PASSWORD", ground.emulator.login.password)
    console = Console(tmp_path, capsys)
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    emulator = ground.emulator
    console.write(
        "filer.yaml",
        "apiVersion: sharectl/v1\nkind: Backend\nmetadata: {name: filer}\n"
        f"spec: {{driver: ontap, config: {{address: 127.0.0.1, port: {emulator.port}, caFile: {emulator.ca_file}, "
        "user: admin, password: {env: PASSWORD}, svm: vs1}}\n",
    )
    return console
