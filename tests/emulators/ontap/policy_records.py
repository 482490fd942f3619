"""What the array keeps of the policies that volumes follow: snapshots, quality of service, efficiency."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.emulators.ontap.world import Record

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Copies:
    """How many snapshots of a schedule are kept, and how their names begin."""

    schedule: str
    count: int
    prefix: str
    snapmirror_label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPolicy(Record):
    """When snapshots are made by themselves; one without an SVM is the cluster's."""

    name: str
    svm: str | None = None
    copies: tuple[Copies, ...] = ()
    enabled: bool = True
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QosPolicy(Record):
    """A limit of operations and throughput: `fixed`, or `adaptive` to the size; one without an SVM is the cluster's."""

    name: str
    svm: str | None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    adaptive: Mapping[str, Any] = field(default_factory=dict)
    preset: bool = False
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficiencyPolicy(Record):
    """When duplicates are looked for."""

    name: str
    svm: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
