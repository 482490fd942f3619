"""The board of a run: which steps are open, ready, running and settled, and who waits for whom. Not thread-safe by itself."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sharectl.model.kinds import Address
    from sharectl.model.plans import Step


class Board:
    """Counts down what each step waits for, and keeps two steps at one address from running at once.

    Every operation costs time in proportion to the steps that it settles or frees.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        """Put all steps on the board."""
        self._steps = {step.step_id: step for step in steps}
        self._waits: dict[str, int] = {}
        self._dependants: dict[str, list[str]] = {}
        self._busy: dict[Address, str] = {}
        self._parked: dict[Address, deque[str]] = {}
        self._open = set(self._steps)
        for step in steps:
            needed = {name for name in step.waits_for if name in self._steps}
            self._waits[step.step_id] = len(needed)
            for name in needed:
                self._dependants.setdefault(name, []).append(step.step_id)

    @property
    def is_settled(self) -> bool:
        """Tell whether no step is open or running."""
        return not self._open

    @property
    def unsettled(self) -> tuple[Step, ...]:
        """The steps that are open or running, in the plan's order."""
        return tuple(step for name, step in self._steps.items() if name in self._open)

    def is_open(self, step_id: str) -> bool:
        """Tell whether the step is on the board and has not been settled yet."""
        return step_id in self._open

    def first(self) -> list[Step]:
        """Return the steps that wait for nothing, and count them as running."""
        return self._start(name for name, count in self._waits.items() if count == 0)

    def settle(self, step: Step) -> list[Step]:
        """Count the step as done; return the steps that may run now, and count them as running."""
        self._open.discard(step.step_id)
        freed = list(self._release(step))
        for name in self._dependants.get(step.step_id, ()):
            self._waits[name] -= 1
            if self._waits[name] == 0:
                freed.append(name)
        return self._start(freed)

    def fail(self, step: Step) -> tuple[list[Step], list[Step]]:
        """Count the step as failed; return all that can never run now, and the steps that may run now at the freed address."""
        self._open.discard(step.step_id)
        doomed: list[Step] = []
        names = deque(self._dependants.get(step.step_id, ()))
        while names:
            name = names.popleft()
            if name in self._open:
                self._open.discard(name)
                doomed.append(self._steps[name])
                names.extend(self._dependants.get(name, ()))
        return doomed, self._start(self._release(step))

    def discard(self, step: Step) -> None:
        """Count a step that has not begun as settled, and free nothing by it: the run is ending."""
        self._open.discard(step.step_id)

    def _start(self, names: Iterable[str]) -> list[Step]:
        started = []
        for name in names:
            step = self._steps[name]
            if name not in self._open:
                continue
            if step.address in self._busy:
                self._parked.setdefault(step.address, deque()).append(name)
            else:
                self._busy[step.address] = name
                started.append(step)
        return started

    def _release(self, step: Step) -> Iterable[str]:
        """Free the step's address if it is this step that holds it; return the steps that were parked there."""
        if self._busy.get(step.address) != step.step_id:
            return ()
        del self._busy[step.address]
        return self._parked.pop(step.address, ())
