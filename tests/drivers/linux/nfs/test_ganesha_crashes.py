"""The agent is killed between any two of its effects on an NFS server: the same calls, repeated, finish the work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sharectl.drivers.linux.agent.contract import Client, Export, Instance
from sharectl.drivers.linux.agent.nfs.ganesha.bus import GaneshaBus
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from tests.drivers.linux.lab import need

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.drivers.linux.lab import Network

KILLED = 9
_STRIDE = 17
_ROOT = Path(__file__).parents[4]
_EFFECTS = frozenset(
    {
        "os.rename",
        "os.remove",
        "os.mkdir",
        "os.kill",
        "subprocess.Popen",
        "socket.connect",
        "fcntl.flock",
        "sharectl.system_call",
    }
)
_MEAN_OTHER_FILES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def work(folder: str, namespace: str, mount_port: int | None) -> dict[int, Export]:
    """Start a server, of NFSv3 too where it has a port for that, and change its exports in each way; return what is in force."""
    server = GaneshaServer(Instance("main", f"{folder}/main", (), namespace), mount_port=mount_port)
    server.ensure_running(lambda _export: True)
    exports = [
        Export(number, f"{folder}/data-{number}", f"/shares/s{number}", frozenset({Client("10.0.0.0/8", "rw")}))
        for number in (1, 2, 3)
    ]
    for export in exports:
        server.put(export)
    server.put(replace(exports[0], clients=frozenset({Client("10.0.0.0/8", "ro")})))
    server.put(replace(exports[1], path=f"{folder}/moved"))
    server.remove(3)
    return dict(server.live())


def die_before(effect: int) -> Callable[[], int]:
    """Kill this process before the effect with this number; return what tells how many there were."""
    count = 0

    def reached() -> None:
        nonlocal count
        if count == effect:
            os._exit(KILLED)
        count += 1

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        is_write = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _MEAN_OTHER_FILES)
        if event in _EFFECTS or is_write:
            reached()

    call_in_order = GaneshaBus.call_in_order

    def counted(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - parts of documents have many types
        reached()
        try:
            return call_in_order(*arguments, **options)
        finally:
            reached()

    GaneshaBus.call_in_order = counted  # type: ignore[method-assign]
    sys.addaudithook(hook)
    return lambda: count


@pytest.mark.parametrize("mount_port", [None, 20048])
def test_the_same_calls_finish_what_a_killed_agent_began(
    network: Network, lab_directory: str, mount_port: int | None
) -> None:
    """Whatever of it was done: one server runs, with the exports that were asked for. One effect of seventeen is tried."""
    need("ganesha.nfsd", "dbus-daemon", "rpcbind")
    for name in ("data-1", "data-2", "data-3", "moved"):
        Path(lab_directory, name).mkdir()
    argv = [sys.executable, "-m", __name__, lab_directory, network.server.namespace_path, str(mount_port or "")]
    total = int(
        subprocess.run([*argv, "-1"], check=True, capture_output=True, text=True, timeout=500, cwd=_ROOT).stdout
    )
    wanted = work(lab_directory, network.server.namespace_path, mount_port)
    assert {number: export.path for number, export in wanted.items()} == {
        1: f"{lab_directory}/data-1",
        2: f"{lab_directory}/moved",
    }
    for effect in range(0, total, _STRIDE):
        GaneshaServer(Instance("main", f"{lab_directory}/main")).stop()
        shutil.rmtree(f"{lab_directory}/main")
        killed = subprocess.run([*argv, str(effect)], check=False, timeout=500, cwd=_ROOT)
        assert killed.returncode in (KILLED, 0)  # 0: this run had fewer effects, for it waited less
        assert work(lab_directory, network.server.namespace_path, mount_port) == wanted
    GaneshaServer(Instance("main", f"{lab_directory}/main")).stop()


if __name__ == "__main__":
    total_of = die_before(int(sys.argv[4]))
    work(sys.argv[1], sys.argv[2], int(sys.argv[3] or 0) or None)
    print(total_of())  # noqa: T201 - a program prints
