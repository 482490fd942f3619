"""The entry point: from here on signals are answered, and every way in which a command can end becomes an exit code."""

from __future__ import annotations

import os
import sys

from sharectl.cli import interrupts

TYPE_CHECKING = False  # typing itself takes longer to import than all that is needed here
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.cli.interrupts import Watch

_USAGE_OF_CLICK = 2
_GARBAGE_THRESHOLD = 500_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run sharectl with `arguments`; return the exit code.

    Without arguments, those of the process are meant: then its signals are sharectl's as well, to the end of the process.
    """
    watch = interrupts.prepare(to_the_end=arguments is None)
    try:
        watch.begin()
        code = _flushed(_run(arguments))
        if watch.is_cancelled:  # somebody below has taken the interruption for an error of their own
            code = _cancelled(watch)
        interrupts.end(watch)
    except interrupts.Interrupted:
        code = _cancelled(watch)
        interrupts.end(watch)
    if arguments is None:
        import gc

        gc.freeze()  # the process ends: to look for garbage among all that it has made, once more, would be a tenth of a short command
    return code


def _cancelled(watch: Watch) -> int:
    watch.silence()
    watch.say()
    return interrupts.CANCELLED


def _run(arguments: Sequence[str] | None) -> int:
    import gc

    # A plan of 100,000 shares makes millions of objects that stay to the end: looking for garbage among them takes longer than
    # making them. Rarely is often enough for a program that ends.
    gc.set_threshold(_GARBAGE_THRESHOLD, 50, 100)
    from contextvars import copy_context

    from sharectl.cli.codes import ExitCode, Finished
    from sharectl.cli.commands import command

    context = copy_context()
    try:
        context.run(command(), args=None if arguments is None else list(arguments), prog_name="sharectl")
    except Finished as finished:
        return finished.code
    except SystemExit as ended:
        code = ExitCode.USAGE if ended.code == _USAGE_OF_CLICK else ended.code
        return code if isinstance(code, int) else ExitCode.DONE
    except BrokenPipeError:
        return ExitCode.DONE
    except interrupts.Interrupted:
        raise
    except BaseException as failure:  # noqa: BLE001 - nobody above could say it better
        from sharectl.cli.failures import explain_failure

        words = sys.argv[1:] if arguments is None else arguments
        return context.run(explain_failure, failure, os.environ, words)
    return ExitCode.DONE


def _flushed(code: int) -> int:
    """Write what is left, and leave nothing for the interpreter to write where nobody reads or nothing fits any more."""
    if sys.stdout is None:  # closed before the program began
        return code
    try:
        sys.stdout.flush()
    except OSError as problem:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code if isinstance(problem, BrokenPipeError) else code or 1
    return code
