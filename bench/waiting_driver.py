"""A backend whose calls only wait: what the engine does in the meantime is then all that is measured.

The simulated driver keeps its shares in a SQLite file in the same process, and competes with the engine for the interpreter.
This one keeps nothing, so it is for a first apply only. It comes in as any third-party driver does, by an entry point.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.observed import BackendReport, ObservedShare, PoolReport
from sharectl.model.requests import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sharectl.drivers.base import Capability, DriverEnvironment
    from sharectl.model.access import AccessRule
    from sharectl.model.backends import BackendSpec
    from sharectl.model.canonical import JsonObject
    from sharectl.model.requests import ShareRef, ShareRequest

_POOLS: Final = 10
_POOL_BYTES: Final = 2 << 50


class WaitingDriver:
    """Waits for `seconds` in each call that would change something."""

    def __init__(self, seconds: float) -> None:
        """Wait so long."""
        self._seconds = seconds

    def _wait(self) -> None:
        if (
            self._seconds
        ):  # to sleep for no time at all is a call of the system, and costs as much as many a step's part
            time.sleep(self._seconds)

    def report(self) -> BackendReport:
        """As in the contract."""
        return BackendReport("waiting", ("NFS",))

    def prepare(self) -> str:
        """As in the contract."""
        return "waiting"

    def pools(self) -> Sequence[PoolReport]:
        """As in the contract."""
        return [PoolReport(f"pool{number}", _POOL_BYTES, _POOL_BYTES) for number in range(_POOLS)]

    def list_shares(self, resource_ids: Collection[str] | None = None) -> Sequence[ObservedShare]:  # noqa: ARG002
        """Return nothing: nothing is kept."""
        return []

    def create_share(self, request: ShareRequest) -> ObservedShare:
        """Wait."""
        self._wait()
        return ObservedShare(
            request.resource_id, request.name, request.name, request.pool, request.size_bytes, request.protocol
        )

    def delete_share(self, share: ShareRef) -> None:
        """As in the contract."""

    def update_access(
        self,
        share: ShareRef,  # noqa: ARG002
        rules: Collection[AccessRule],
        add: Collection[AccessRule],  # noqa: ARG002
        delete: Collection[AccessRule],  # noqa: ARG002
    ) -> Mapping[AccessRule, RuleStatus]:
        """Wait."""
        self._wait()
        return dict.fromkeys(rules, RuleStatus("active"))

    def close(self) -> None:
        """As in the contract."""


class WaitingFactory:
    """Opens waiting backends."""

    config_schema: JsonObject = {"type": "object", "properties": {"seconds": {"type": "number"}}}  # noqa: RUF012
    capabilities: frozenset[Capability] = frozenset()

    def open(self, backend: BackendSpec, environment: DriverEnvironment) -> WaitingDriver:  # noqa: ARG002
        """As in the contract."""
        config: Mapping[str, Any] = backend.config
        return WaitingDriver(float(config["seconds"]))


FACTORY: Final = WaitingFactory()


def install(folder: Path) -> dict[str, str]:
    """Make the driver known as `waiting` to a process with the returned environment variables."""
    metadata = folder / "sharectl_waiting-1.dist-info"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sharectl-waiting\nVersion: 1\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(
        "[sharectl.drivers]\nwaiting = waiting_driver:FACTORY\n", encoding="utf-8"
    )
    return {"PYTHONPATH": f"{folder}:{Path(__file__).parent}"}
