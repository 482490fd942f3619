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

    Every operation costs time in proportion to the steps that it settles or frees; what is settled takes no more memory, except a number
    for each step that can never run.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        """Put all steps on the board."""
        self._open = {step.step_id: step for step in steps}
        self._waits: dict[str, int] = {}
        self._dependants: dict[str, list[str]] = {}
        self._busy: dict[Address, str] = {}
        self._parked: dict[Address, deque[str]] = {}
        for step in steps:
            needed = {name for name in step.waits_for if name in self._open}
            if needed:
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
        return tuple(self._open.values())

    def is_open(self, step_id: str) -> bool:
        """Tell whether the step is on the board and has not been settled yet."""
        return step_id in self._open

    def first(self) -> list[Step]:
        """Return the steps that wait for nothing, and count them as running."""
        return self._start(name for name in self._open if name not in self._waits)

    def settle(self, step: Step) -> list[Step]:
        """Count the step as done; return the steps that may run now, and count them as running."""
        self.discard(step)
        freed = list(self._release(step))
        for name in self._dependants.pop(step.step_id, ()):
            self._waits[name] -= 1
            if self._waits[name] == 0:
                del self._waits[name]
                freed.append(name)
        return self._start(freed)

    def fail(self, step: Step) -> tuple[list[Step], list[Step]]:
        """Count the step as failed; return all that can never run now, and the steps that may run now at the freed address."""
        self.discard(step)
        doomed: list[Step] = []
        names = deque(self._dependants.pop(step.step_id, ()))
        while names:
            name = names.popleft()
            other = self._open.pop(name, None)
            if other is not None:
                doomed.append(other)
                names.extend(self._dependants.pop(name, ()))
        return doomed, self._start(self._release(step))

    def discard(self, step: Step) -> None:
        """Count a step as settled without freeing anything: the run is ending."""
        self._open.pop(step.step_id, None)

    def _start(self, names: Iterable[str]) -> list[Step]:
        started = []
        for name in names:
            step = self._open.get(name)
            if step is None:
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
