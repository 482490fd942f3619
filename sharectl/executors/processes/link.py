"""What a run and the processes that make its calls say to each other, and the one bit that all of them see at once.

Messages are pickled: both ends are this program, one was started by the other, and nobody else has the socket between them.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

from sharectl.model.frozen import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sharectl.executors.base import Report, Submission
    from sharectl.model.diagnostics import Diagnostic


class Lent(NamedTuple):
    """Calls may begin until `until_seconds` of the clock that runs on while the machine sleeps; after it they may not, for this `problem`, or nobody knows yet."""

    until_seconds: float
    problem: str = ""


class Orders(NamedTuple):
    """What a run wants, done in this order. Of those `withdrawn` the next Told says whether they never begin; what `is_last` is the end."""

    lent: Lent
    submitted: Sequence[Submission] = ()
    abandoned: Sequence[int] = ()
    withdrawn: Sequence[int] = ()
    is_last: bool = False


class Told(NamedTuple):
    """What has become of calls; which of those to be withdrawn never begin; at the end, what could not be closed."""

    reports: Sequence[Report] = ()
    withdrawn: Sequence[tuple[int, bool]] = ()
    problems: Sequence[Diagnostic] | None = None


class Link:
    """One end of the socket. No two threads send, and no two receive."""

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor over; what a driver starts is not to keep it open when this process is gone."""
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - it has no name
        self.connection: Final = Connection(descriptor)
        """What can be waited for."""

    def limit(self, seconds: float) -> None:
        """Raise BlockingIOError where the other end takes nothing of a message for so long, or says only a part of one."""
        limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
        with socket.fromfd(self.connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as same:
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                same.setsockopt(socket.SOL_SOCKET, option, limit)

    def send(self, message: object) -> None:
        """Send a message. Raises OSError where the other end is gone, and whatever else where the message cannot be pickled."""
        self.connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def receive(self) -> Any:  # noqa: ANN401 - whatever the other end sends
        """Return the next message. Raises EOFError and OSError where the other end is gone, and whatever else where it cannot be read."""
        return pickle.loads(self.connection.recv_bytes())  # noqa: S301 - from this program, over a socket that nobody else has

    def has_message_within(self, seconds: float) -> bool:
        """Tell whether a message comes, or the other end goes, within this time."""
        return self.connection.poll(max(0.0, seconds))

    def close(self) -> None:
        """Let go of this end."""
        self.connection.close()


class SharedHold:
    """A Hold that several processes see: to set it is to write one byte, which a signal handler may do at any moment."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Share the one behind the descriptor; make one where there is none."""
        self.descriptor: Final = os.memfd_create("sharectl-hold") if descriptor is None else descriptor
        os.set_inheritable(self.descriptor, False)  # noqa: FBT003 - it has no name
        if descriptor is None:
            os.ftruncate(self.descriptor, 1)
        self._memory = mmap.mmap(self.descriptor, 1)

    def set(self) -> None:
        """Let no call begin."""
        self._memory[0] = 1

    def clear(self) -> None:
        """Let calls begin."""
        self._memory[0] = 0

    def is_set(self) -> bool:
        """Tell whether no call may begin."""
        return self._memory[0] != 0

    def close(self) -> None:
        """Share it with no further process; who has it keeps it, and may set it."""
        os.close(self.descriptor)
