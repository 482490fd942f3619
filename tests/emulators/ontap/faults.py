"""What goes wrong, by switch: each fault says which calls it meets and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong with the calls whose method and path (without `/api`) match."""

    kind: str
    method: str = "*"
    path: str = "*"
    times: int | None = None
    """How many more calls it meets; None for all."""
    skip: int = 0
    """How many matching calls it lets pass first."""
    until: float | None = None
    """The moment of the array's clock at which it ends."""
    values: dict[str, Any] = field(default_factory=dict)

    def meets(self, method: str, path: str, now: float) -> bool:
        """Say whether the call is met by it."""
        alive = self.times != 0 and (self.until is None or now < self.until)
        return alive and fnmatchcase(method, self.method) and fnmatchcase(path, self.path)


@dataclass(slots=True)
class Faults:
    """The faults that are switched on, and how many calls each kind has met."""

    active: list[Fault] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, method: str = "*", path: str = "*", **options: Any) -> Fault:  # noqa: ANN401 - values of any fault
        """Switch a fault on; `times`, `skip` and `until` are of every fault, the rest are the values of this kind."""
        common = {name: options.pop(name) for name in ("times", "skip", "until") if name in options}
        fault = Fault(kind, method, path, **common, values=options)
        self.active.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all off."""
        self.active.clear()
        self.met.clear()

    def take(self, kind: str, method: str, path: str, now: float) -> Fault | None:
        """Return the first fault of a kind that meets this call, counted down by one."""
        for fault in self.active:
            if fault.kind == kind and fault.meets(method, path, now):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times = None if fault.times is None else fault.times - 1
                self.met[kind] += 1
                return fault
        return None
