"""Asking many backends the same thing side by side, none of which may hold up the others."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from sharectl.model.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of one question: a `value`, an `error`, or neither where no answer came in time."""

    value: T | None = None
    error: BaseException | None = None
    in_time: bool = True


class _Asker(threading.Thread, Generic[T]):
    """A daemon, so that a question which is never answered keeps nobody from leaving."""

    def __init__(self, name: str, ask: Callable[[str], T]) -> None:
        super().__init__(name=f"ask-{name}", daemon=True)
        self._subject = name
        self._ask = ask
        self.answer: Answer[T] = Answer(in_time=False)

    def run(self) -> None:
        """Ask once."""
        try:
            self.answer = Answer(value=self._ask(self._subject))
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who knows what it means
            self.answer = Answer(error=error)


def ask_each(
    names: Iterable[str], ask: Callable[[str], T], timeout_seconds: float | Mapping[str, float]
) -> dict[str, Answer[T]]:
    """Return `ask(name)` for each name, in the given order; no longer than `timeout_seconds` in all, or than each may take by its name."""
    askers = {name: _Asker(name, ask) for name in names}
    for asker in askers.values():
        asker.start()
    begun = monotonic()
    for name, asker in askers.items():
        seconds = timeout_seconds[name] if isinstance(timeout_seconds, Mapping) else timeout_seconds
        asker.join(max(0.0, begun + seconds - monotonic()))
    return {name: asker.answer for name, asker in askers.items()}
