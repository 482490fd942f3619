"""A repository of N shares with 3 access rules each, on 20 simulated backends with 10 pools each, in files of 100."""

from __future__ import annotations

import argparse
from pathlib import Path

SHARES_PER_FILE = 100
BACKENDS = 20
POOLS_PER_BACKEND = 10
RULES_PER_SHARE = 3
SHARE_TYPES = 20


def write_workload(
    root: Path, shares: int, *, latency: str = "0ms", lanes: int = 8, waiting: float | None = None
) -> None:
    """Write the manifests of `shares` shares under `root`; the backends keep their state under `root/backends`.

    With `waiting` the backends are those of `waiting_driver`, which only wait for so many seconds.
    """
    manifests = root / "manifests"
    manifests.mkdir(parents=True)
    (root / "backends").mkdir()
    (root / "sharectl.yaml").write_text(_PROJECT, encoding="utf-8")
    if waiting is None:
        backends = "".join(_backend(number, latency, lanes) for number in range(BACKENDS))
    else:
        backends = "".join(_WAITING.format(number=number, lanes=lanes, seconds=waiting) for number in range(BACKENDS))
    (manifests / "backends.yaml").write_text(backends, encoding="utf-8")
    types = "".join(_share_type(number) for number in range(SHARE_TYPES))
    (manifests / "types.yaml").write_text(types, encoding="utf-8")
    for first in range(0, shares, SHARES_PER_FILE):
        text = "".join(_share(number) for number in range(first, min(first + SHARES_PER_FILE, shares)))
        (manifests / f"shares-{first // SHARES_PER_FILE:05d}.yaml").write_text(text, encoding="utf-8")


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


def _backend(number: int, latency: str, lanes: int) -> str:
    return f"""\
---
apiVersion: sharectl/v1
kind: Backend
metadata:
  name: filer-{number:02d}
spec:
  driver: simulated
  lanes: {lanes}
  availabilityZone: zone-{number % 4}
  config:
    stateFile: backends/filer-{number:02d}.db
    latency: {{default: {latency}}}
    pools:
      - count: {POOLS_PER_BACKEND}
        total: 2PiB
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


def _share(number: int) -> str:
    return f"""\
---
apiVersion: sharectl/v1
kind: Share
metadata:
  name: share-{number:06d}
  labels:
    team: team-{number % 50:02d}
spec:
  size: {10 + number % 90}GiB
  protocol: NFS
  type: type-{number % SHARE_TYPES:02d}
  deletionPolicy: delete
  access:
    - type: ip
      to: 10.{number % 200}.0.0/16
      level: rw
    - type: ip
      to: 172.16.{number % 250}.0/24
      level: ro
    - type: ip
      to: 192.168.{number % 250}.{1 + number % 200}
      level: rw
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--shares", type=int, default=10_000)
    parser.add_argument("--latency", default="0ms")
    arguments = parser.parse_args()
    write_workload(arguments.root, arguments.shares, latency=arguments.latency)
