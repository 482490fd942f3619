"""Ctrl-C and its like, from the first instruction of the program to the last: one short message, exit code 130, never a traceback."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # typing itself takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

CANCELLED = 130
_MESSAGE = b"Cancelled.\n"
_SHOW_CURSOR = b"\x1b[?25h"
_IMPORTING = "<frozen importlib._bootstrap>"
_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Raised by the first signal, wherever the program is; no handler of other exceptions may take it for one of theirs."""


class Watch:
    """The signals of one command.

    The first raises Interrupted in the main thread, so that the lock is given back and a view restores the terminal. The second ends
    the process at once, which is as safe as `kill -9`; so does a first one where exceptions are swallowed or do harm, as while modules
    are imported. During a run signals are diverted to it. Once the exit code is decided they change nothing.
    """

    def __init__(self, *, to_the_end: bool) -> None:
        """Begin; `to_the_end` of the process, or of this command alone within another program."""
        self._to_the_end = to_the_end
        self._count = 0
        self._said = False
        self._decided = False
        self._diverted: Callable[[], None] | None = None
        self._former: dict[int, object] = {}

    @property
    def is_cancelled(self) -> bool:
        """Tell whether a signal came that no run has taken for its own."""
        return self._count > 0

    def begin(self) -> None:
        """Take the signals; a SIGHUP that `nohup` has switched off stays so. Outside of the main thread, leave them alone."""
        for number in _WATCHED:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            try:
                self._former[number] = signal.signal(number, self._handle)
            except ValueError:
                return
        if self._to_the_end:
            sys.unraisablehook = self._unraisable

    def decide(self) -> None:
        """Let later signals change nothing: what was to be done is done, or given up."""
        self._decided = True
        for number, former in self._former.items():
            handler = signal.SIG_IGN if self._to_the_end else former
            signal.signal(number, handler if callable(handler) or isinstance(handler, int) else signal.SIG_DFL)

    def divert(self, handler: Callable[[], None] | None) -> None:
        """Give signals to a run that ends in order; None takes them back."""
        self._diverted = handler

    def say(self) -> None:
        """Say once that the command was cancelled, unless nobody reads."""
        if self._said:
            return
        self._said = True
        if not self._to_the_end:
            if sys.stderr is not None:
                sys.stderr.write(_MESSAGE.decode())
            return
        _write_unless_full(2, _MESSAGE)

    def silence(self) -> None:
        """Leave nothing to be written at the end where nobody reads, and nothing to be said by threads that are left behind."""
        if not self._to_the_end:
            return
        if sys.stdout is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.close(nowhere)
        if "threading" in sys.modules:
            sys.modules["threading"].excepthook = _say_nothing  # type: ignore[attr-defined]

    def _handle(self, _number: int, frame: FrameType | None) -> None:
        if self._decided:
            return
        if self._diverted is not None:
            self._diverted()
            return
        self._count += 1
        if self._count == 1 and not _is_importing(frame):
            raise Interrupted
        self._leave()

    def _leave(self) -> None:
        if not self._to_the_end:
            raise Interrupted
        self.say()
        if os.isatty(2) and os.environ.get("TERM") != "dumb":
            _write_unless_full(2, _SHOW_CURSOR)
        os._exit(CANCELLED)

    def _unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, Interrupted):
            self._leave()
        elif not self.is_cancelled:
            sys.__unraisablehook__(unraisable)


_watches: list[Watch] = []


def prepare(*, to_the_end: bool) -> Watch:
    """Return what will watch the signals of a command once it begins."""
    watch = Watch(to_the_end=to_the_end)
    _watches.append(watch)
    return watch


def end(watch: Watch) -> None:
    """Let go of the signals."""
    watch.decide()
    _watches.remove(watch)


class diverted:  # noqa: N801 - used as a function, and too early for contextlib
    """Within it, signals call the handler instead of ending the program."""

    def __init__(self, handler: Callable[[], None]) -> None:
        """Know the handler."""
        self._handler = handler

    def __enter__(self) -> None:
        """Divert."""
        if _watches:
            _watches[-1].divert(self._handler)

    def __exit__(self, *_: object) -> None:
        """Take back."""
        if _watches:
            _watches[-1].divert(None)


def wait_for_input(descriptor: int) -> None:
    """Wait until there is something to read; a signal is answered meanwhile.

    A plain read may miss one: a signal that comes just before the read blocks is answered only once somebody types.
    """
    import select

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        former = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            while descriptor not in select.select([descriptor, reader], [], [])[0]:
                os.read(reader, 64)
        finally:
            signal.set_wakeup_fd(former)
    except ValueError:  # outside of the main thread, where no signal arrives
        return
    finally:
        os.close(reader)
        os.close(writer)


def _is_importing(frame: FrameType | None) -> bool:
    """Tell whether a module is being imported: there extension modules crash on an exception, and the making of a class renames it."""
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False


def _write_unless_full(descriptor: int, data: bytes) -> None:
    """Write to a stream that may be closed, or whose reader has stopped reading: nobody waits for it."""
    import select

    try:
        if select.select([], [descriptor], [], 0)[1]:
            os.write(descriptor, data)
    except (OSError, ValueError):
        return


def _say_nothing(*_: object) -> None:
    return
