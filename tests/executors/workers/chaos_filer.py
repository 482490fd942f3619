"""A filer that tells of each change when it was made, by whom and under which fence; and the driver that workers speak to it with."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
from random import Random
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from sharectl.drivers.base import Capability, TransientError, fenced
from sharectl.model.access import rule_of
from sharectl.model.observed import BackendReport, ObservedShare, PoolReport
from sharectl.model.requests import RuleStatus
from tests.executors.workers.chaos_gates import pass_gate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from sharectl.drivers.base import DriverEnvironment
    from sharectl.model.access import AccessRule
    from sharectl.model.backends import BackendSpec
    from sharectl.model.requests import ShareRef, ShareRequest

GIB = 1 << 30
PATIENCE_SECONDS = 300.0
ENTRY_POINTS = "[sharectl.drivers]\nchaos = tests.executors.workers.chaos_filer:FACTORY\n"


class Effect(NamedTuple):
    """A change that was made: which, of the share with this name and id, and by the process that asked for it."""

    backend: str
    name: str
    resource_id: str
    change: str
    value: Any
    process_id: int


class Filer:
    """Serves the drivers of all backends on a socket, in threads of this process; a change is made and noted under one lock.

    What was asked for is done, also where whoever asked is gone by then.
    """

    def __init__(self, path: Path, seed: int, longest_seconds: float) -> None:
        """Listen at `path`; each change takes up to so long, before it is made or after."""
        self.effects: list[Effect] = []
        self.begun: list[tuple[int, str]] = []
        self.refused = 0
        self.made: Callable[[int, str], None] = lambda _process_id, _resource_id: None
        self._mutex = threading.Lock()
        self._fences: dict[tuple[str, str], int] = {}
        self._shares: dict[tuple[str, str], dict[str, Any]] = {}
        self._random = Random(seed)  # noqa: S311 - a repeatable test
        self._longest_seconds = longest_seconds
        filer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                line = self.rfile.readline()
                if not line.endswith(b"\n"):
                    return  # whoever asked was killed
                asked = json.loads(line)
                try:
                    answer: Any = filer.answer(**asked)
                except Exception as error:  # noqa: BLE001 - the driver raises it
                    answer = {"error": type(error).__name__, "message": str(error)}
                try:
                    self.wfile.write(json.dumps(answer).encode() + b"\n")
                except OSError:
                    return

        class Listener(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

        self._listener = Listener(str(path), Handler)
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._listener.shutdown()
        self._listener.server_close()

    def shares(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what is there, by backend and resource id."""
        with self._mutex:
            return {key: dict(share) for key, share in self._shares.items()}

    def answer(self, backend: str, process: int, fence: list[Any] | None, call: str, given: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Do what a driver asks for."""
        if call == "list":
            with self._mutex:
                return [share for (where, _), share in self._shares.items() if where == backend]
        if call == "fence":
            with self._mutex:
                self._expect_fence(backend, fence)
                self._fences[backend, given["lineage"]] = given["fence"]
            return None
        with self._mutex:
            self.begun.append((process, given["resource_id"]))
            before_seconds = self._random.uniform(0, self._longest_seconds)
            after_seconds = self._random.uniform(0, self._longest_seconds - before_seconds)
        sleep(before_seconds)
        with self._mutex:
            self._expect_fence(backend, fence)
            change = self._change(backend, call, given)
            if change is not None:
                self.effects.append(Effect(backend, *change, process))
        self.made(process, given["resource_id"])
        sleep(after_seconds)
        return None

    def _expect_fence(self, backend: str, fence: list[Any] | None) -> None:
        if fence is not None and (found := self._fences.get((backend, fence[0]), 0)) > fence[1]:
            self.refused += 1
            raise fenced(fence[1], found)

    def _change(self, backend: str, call: str, given: dict[str, Any]) -> tuple[str, str, str, Any] | None:
        """Make a change, and return what it was; None where everything was so already."""
        resource_id = given["resource_id"]
        share = self._shares.get((backend, resource_id))
        if call == "create":
            if share is not None:
                return None
            self._shares[backend, resource_id] = {**given, "access": []}
            return given["name"], resource_id, "create", given["size_bytes"]
        if call == "delete":
            if share is None:
                return None
            del self._shares[backend, resource_id]
            return share["name"], resource_id, "delete", None
        if share is None:
            message = f"no share {resource_id}"
            raise TransientError(message)
        key, value = (
            ("size_bytes", max(given["value"], share["size_bytes"])) if call == "extend" else ("access", given["value"])
        )
        if share[key] == value:
            return None
        share[key] = value
        return share["name"], resource_id, call, value


class ChaosDriver:
    """Asks the filer on a socket, which no partition of the network cuts off."""

    def __init__(self, backend: str, path: str) -> None:
        """Speak for `backend`."""
        self._backend = backend
        self._path = path
        self._fence: tuple[str, int] | None = None

    def _ask(self, call: str, **given: object) -> Any:  # noqa: ANN401 - JSON
        asked = {"backend": self._backend, "process": os.getpid(), "fence": self._fence, "call": call, "given": given}
        if "resource_id" in given:
            pass_gate("begun")
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(PATIENCE_SECONDS)
                connection.connect(self._path)
                connection.sendall(json.dumps(asked).encode() + b"\n")
                answer = json.loads(connection.makefile().readline())
        except (OSError, ValueError) as error:
            message = f"the filer does not answer: {error}"
            raise TransientError(message) from error
        if isinstance(answer, dict):
            if answer["error"] == "FencedError":
                raise fenced(0, 0)
            raise TransientError(answer["message"])
        return answer

    def report(self) -> BackendReport:
        """As in the contract."""
        return BackendReport(f"chaos-{self._backend}", ("NFS",))

    def prepare(self) -> str:
        """As in the contract."""
        return f"chaos-{self._backend}"

    def raise_fence(self, lineage: str, fence: int) -> None:
        """As in the contract."""
        self._fence = (lineage, fence)
        self._ask("fence", lineage=lineage, fence=fence)

    def pools(self) -> Sequence[PoolReport]:
        """As in the contract."""
        return [PoolReport("pool", "infinite", "infinite")]

    def list_shares(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:
        """As in the contract."""
        return [
            ObservedShare(
                resource_id=share["resource_id"],
                backend_id=share["name"],
                name=share["name"],
                pool="pool",
                size_bytes=share["size_bytes"],
                protocol="NFS",
                access=tuple(sorted(map(rule_of, share["access"]))),
                export_locations=(f"filer:/{share['name']}",),
            )
            for share in self._ask("list")
            if resource_ids is None or share["resource_id"] in resource_ids
        ]

    def create_share(self, request: ShareRequest) -> ObservedShare:
        """As in the contract."""
        asked = {"resource_id": request.resource_id, "name": request.name, "size_bytes": request.size_bytes}
        self._ask("create", **asked)
        location = f"filer:/{request.name}"
        known = (request.resource_id, request.name, request.name, "pool", request.size_bytes, "NFS")
        return ObservedShare(*known, export_locations=(location,))

    def delete_share(self, share: ShareRef) -> None:
        """As in the contract."""
        self._ask("delete", resource_id=share.resource_id)

    def extend_share(self, share: ShareRef, size_bytes: int) -> int | None:
        """As in the contract."""
        self._ask("extend", resource_id=share.resource_id, value=size_bytes)

    def update_access(
        self,
        share: ShareRef,
        rules: Collection[AccessRule],
        add: Collection[AccessRule],
        delete: Collection[AccessRule],
    ) -> Mapping[AccessRule, RuleStatus]:
        """As in the contract."""
        self._ask("access", resource_id=share.resource_id, value=[rule.as_plain() for rule in sorted(rules)])
        return dict.fromkeys(rules, RuleStatus("active"))

    def close(self) -> None:
        """As in the contract."""


class _Factory:
    config_schema: Mapping[str, Any] = {"type": "object", "properties": {"socket": {"type": "string"}}}
    capabilities = frozenset({Capability.EXTEND})

    def open(self, backend: BackendSpec, environment: DriverEnvironment) -> ChaosDriver:
        return ChaosDriver(backend.name, str(backend.config["socket"]))


FACTORY = _Factory()
