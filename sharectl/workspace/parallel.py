"""Many backends side by side: asked the same question, opened once by name and closed at the end, without one holding up or breaking another."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sharectl.drivers.base import DriverError
from sharectl.model.frozen import NamedTuple, dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
_TOLD_EVERY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of one question: a `value`, an `error`, or neither where no answer came in time."""

    value: T | None = None
    error: BaseException | None = None
    in_time: bool = True


class _Asker(threading.Thread, Generic[T]):
    """A daemon, so that a question that is never answered does not keep the process from ending."""

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


class Unanswered(NamedTuple):
    """Who has not answered yet, `seconds` after all were asked; they are waited for until `limit_seconds` after that."""

    names: tuple[str, ...]
    seconds: float
    limit_seconds: float


def ask_each(
    names: Iterable[str],
    ask: Callable[[str], T],
    timeout_seconds: float | Mapping[str, float],
    tell: Callable[[Unanswered | None], object] | None = None,
) -> dict[str, Answer[T]]:
    """Return `ask(name)` for each name, in the given order; no longer than `timeout_seconds` in all, or than each may take by its name.

    Where that takes a while, `tell` is told every second who is waited for, and at the end that nobody is (None).
    """
    askers = {name: _Asker(name, ask) for name in names}
    for asker in askers.values():
        asker.start()
    begun = monotonic()
    limits = timeout_seconds if isinstance(timeout_seconds, Mapping) else dict.fromkeys(askers, timeout_seconds)
    told_at = begun
    try:
        for name, asker in askers.items():
            until = begun + limits[name]
            while tell is not None and asker.is_alive() and (now := monotonic()) < until:
                asker.join(max(0.0, min(until, told_at + _TOLD_EVERY_SECONDS) - now))
                now = monotonic()
                if now >= told_at + _TOLD_EVERY_SECONDS:
                    told_at = now
                    slow = tuple(
                        each for each, other in askers.items() if other.is_alive() and now < begun + limits[each]
                    )
                    if slow:
                        tell(Unanswered(slow, now - begun, max(limits[each] for each in slow)))
            asker.join(max(0.0, until - monotonic()))
    finally:
        if tell is not None and told_at > begun:
            tell(None)
    return {name: asker.answer for name, asker in askers.items()}


class _Entry(Generic[T]):
    """One of them; `lock` is held while it is being opened."""

    __slots__ = ("is_closed", "lock", "value")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: T | None = None
        self.is_closed = False


class OpenedOnce(Generic[T]):
    """Opens each by its name when it is first asked for, whichever thread asks; a slow one is waited for only by those that ask for it."""

    def __init__(self, open_one: Callable[[str], T], close_one: Callable[[T], object]) -> None:
        """Open with `open_one`, which may raise anything and is then asked again the next time, and close with `close_one`."""
        self._open_one = open_one
        self._close_one = close_one
        self._entries: dict[str, _Entry[T]] = {}
        self._mutex = threading.Lock()

    def get(self, name: str) -> T:
        """Return the one of this name. Raises what opening it raises."""
        with self._mutex:
            entry = self._entries.setdefault(name, _Entry())
        with entry.lock:
            if entry.value is None:
                entry.value = self._open_one(name)
                with self._mutex:
                    is_late = entry.is_closed
                if is_late:  # all were closed while it was being opened, and nobody else will close it
                    self._close_one(entry.value)
            return entry.value

    def close(self, timeout_seconds: float) -> dict[str, str]:
        """Close all that are open, side by side; return why by name for those that could not be, or not in time.

        What is still being opened is closed when that is done. Afterwards names are opened anew.
        """
        with self._mutex:
            entries, self._entries = self._entries, {}
            for entry in entries.values():
                entry.is_closed = True
            opened = {name: entry.value for name, entry in entries.items() if entry.value is not None}

        def close_one(name: str) -> None:
            self._close_one(opened[name])

        problems: dict[str, str] = {}
        for name, answer in ask_each(opened, close_one, timeout_seconds).items():
            if answer.error is not None:
                kind = "" if isinstance(answer.error, DriverError) else f"{type(answer.error).__name__}: "
                problems[name] = f"{kind}{answer.error}".removesuffix(": ")
            elif not answer.in_time:
                problems[name] = f"it was not done within {timeout_seconds:g} s"
        return problems
