"""A repository of N shares with 3 access rules each, on 20 simulated backends with 10 pools each, in files of 100."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

BACKENDS = 20
POOLS_PER_BACKEND = 10
SHARE_TYPES = 20
LANES = 8
LATENCY_SECONDS = 0.05
"""Of each call of a slow backend."""


@dataclass(frozen=True, slots=True)
class Workload:
    """How many shares, and how they differ from the plainest.

    `generation` counts renames: shares of the generation n > 0 say that they were moved from those of n - 1. With `waiting` the
    backends are those of `waiting_driver`, which only wait for so many seconds. An apply makes its calls in so many further `processes`.
    """

    shares: int
    shares_per_file: int = 100
    snapshots_per_share: int = 0
    latency: str = "0ms"
    lanes: int = LANES
    waiting: float | None = None
    label: str = "team"
    first_size_gib: int = 10
    generation: int = 0
    processes: int = 0

    def write(self, root: Path) -> None:
        """Write the project under `root`; the backends keep their state under `root/backends`."""
        manifests = root / "manifests"
        manifests.mkdir(parents=True, exist_ok=True)
        (root / "backends").mkdir(exist_ok=True)
        (root / "sharectl.yaml").write_text(_PROJECT + self._execution(), encoding="utf-8")
        (manifests / "backends.yaml").write_text("".join(map(self._backend, range(BACKENDS))), encoding="utf-8")
        (manifests / "types.yaml").write_text("".join(map(_share_type, range(SHARE_TYPES))), encoding="utf-8")
        self.write_shares(root)

    def write_shares(self, root: Path) -> None:
        """Write the manifests of the shares alone, over those that are there."""
        for first in range(0, self.shares, self.shares_per_file):
            numbers = range(first, min(first + self.shares_per_file, self.shares))
            file = root / "manifests" / f"shares-{first // self.shares_per_file:05d}.yaml"
            file.write_text("".join(map(self._share, numbers)), encoding="utf-8")

    def name_of(self, number: int) -> str:
        """Return the name of a share."""
        return f"share-{number:06d}" if self.generation == 0 else f"moved-{self.generation}-{number:06d}"

    def _share(self, number: int) -> str:
        moved = ""
        if self.generation:
            before = Workload(self.shares, generation=self.generation - 1).name_of(number)
            moved = f"\n  annotations: {{sharectl/moved-from: {before}}}"
        name = self.name_of(number)
        share = _SHARE.format(
            name=name,
            moved=moved,
            label=self.label,
            number=number,
            team=number % 50,
            size=self.first_size_gib + number % 90,
            type=number % SHARE_TYPES,
            network=number % 200,
            subnet=number % 250,
            host=1 + number % 200,
        )
        snapshots = (_SNAPSHOT.format(name=f"{name}-{n}", share=name) for n in range(self.snapshots_per_share))
        return share + "".join(snapshots)

    def _execution(self) -> str:
        """Return nothing where the process of the command makes the calls, as older versions know nothing else."""
        return f"  execution: {{processes: {self.processes}}}\n" if self.processes else ""

    def _backend(self, number: int) -> str:
        if self.waiting is not None:
            return _WAITING.format(number=number, lanes=self.lanes, seconds=self.waiting)
        return _SIMULATED.format(number=number, lanes=self.lanes, zone=number % 4, latency=self.latency)


_PROJECT = """\
apiVersion: sharectl/v1
kind: Project
spec:
  manifests: [manifests]
  safety: {maxDeletionPercentage: 100}
"""

_WAITING = """\
---
apiVersion: sharectl/v1
kind: Backend
metadata:
  name: filer-{number:02d}
spec:
  driver: waiting
  lanes: {lanes}
  config: {{seconds: {seconds}}}
"""

_SIMULATED = f"""\
---
apiVersion: sharectl/v1
kind: Backend
metadata:
  name: filer-{{number:02d}}
spec:
  driver: simulated
  lanes: {{lanes}}
  availabilityZone: zone-{{zone}}
  config:
    stateFile: backends/filer-{{number:02d}}.db
    latency: {{{{default: {{latency}}}}}}
    pools:
      - count: {POOLS_PER_BACKEND}
        total: 2PiB
"""

_SHARE = """\
---
apiVersion: sharectl/v1
kind: Share
metadata:
  name: {name}{moved}
  labels:
    {label}: team-{team:02d}
spec:
  size: {size}GiB
  protocol: NFS
  type: type-{type:02d}
  deletionPolicy: delete
  access:
    - type: ip
      to: 10.{network}.0.0/16
      level: rw
    - type: ip
      to: 172.16.{subnet}.0/24
      level: ro
    - type: ip
      to: 192.168.{subnet}.{host}
      level: rw
"""

_SNAPSHOT = """\
---
apiVersion: sharectl/v1
kind: Snapshot
metadata:
  name: {name}
spec:
  share: {share}
  deletionPolicy: delete
"""


def _share_type(number: int) -> str:
    return f"""\
---
apiVersion: sharectl/v1
kind: ShareType
metadata:
  name: type-{number:02d}
spec:
  extraSpecs:
    driver_handles_share_servers: false
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--shares", type=int, default=10_000)
    parser.add_argument("--latency", default="0ms")
    arguments = parser.parse_args()
    Workload(arguments.shares, latency=arguments.latency).write(arguments.root)
