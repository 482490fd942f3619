"""What goes wrong, by switch: each fault says which calls it meets and how often.

kind          values                                what happens to a call that it meets
latency       seconds                               is answered so much later (our seconds)
unavailable   status (503), retry_after, as_date,   is refused before it is looked at: 503 or 429, with or without JSON,
              json (true)                           `Retry-After` in seconds or as a date
close_kept                                          its connection, where it was used before, is dropped with nothing done
cut           where (before, head, headers,         its connection is dropped before any answer, inside the headers, after them or
              middle), done (false)                 in the body; only `before` may leave it undone
refuse        code, message                         is refused with a code
job_fails     code, message, done (false)           its job fails, before or after doing its work
job_runs      seconds                               its job takes so much longer (the array's seconds)
job_gone                                            the record of its job cannot be read once it has ended
page_short    records (0, of a change 1)            its page, or its change by a query, ends early, as if time had run out
page_mixed                                          its page has another order, and from the second on repeats a record
half_deleted                                        its job takes the volume offline and then fails to delete it
change        name, and what changes.py wants       something else changes just before it is handled
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

KINDS: Final = frozenset(
    {
        *("latency", "unavailable", "close_kept", "cut", "refuse", "job_fails", "job_runs", "job_gone"),
        *("page_short", "page_mixed", "half_deleted", "change"),
    }
)
PLACES: Final = frozenset({"before", "head", "headers", "middle"})


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
        if kind not in KINDS or (kind == "cut" and options.get("where", "before") not in PLACES):
            message = f"no such fault: {kind} {options}"
            raise ValueError(message)
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
