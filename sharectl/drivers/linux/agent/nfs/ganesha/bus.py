"""Calls to the export manager of a Ganesha instance over its private D-Bus."""

from __future__ import annotations

import select
import socket
import threading
import time
import weakref
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sharectl.drivers.linux.agent.nfs.ganesha.configuration import bus_address
from sharectl.drivers.linux.agent.nfs.ganesha.messages import FIXED_BYTES, Call, Reply, length, reply, request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jeepney.io.blocking import DBusConnection

_CALL_SECONDS: Final = 60.0
_RECEIVED_BYTES: Final = 65_536
_UNDER_WAY: Final = 100
"""Requests that wait for a reply at once; dbus-daemon refuses more than 128 of a connection (max_replies_per_connection)."""

# The errors with which the bus itself says that nobody is there to answer (D-Bus specification; dbus-daemon).
_NOBODY: Final = frozenset(
    f"org.freedesktop.DBus.Error.{name}"
    for name in ("ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected", "NoServer")
)


class NoAnswerError(Exception):
    """The server cannot be reached over its bus: it is down, its bus is, or it hangs."""


class RefusedError(Exception):
    """The server answered that it cannot do what was asked; `str()` is its reason on one line."""


class _Connection:
    """A connection to the bus, and what has arrived of the next messages."""

    def __init__(self, connection: DBusConnection) -> None:
        """Take over a connection on which nothing more is to come."""
        self._opened = connection
        self.sock = connection.sock
        self._poll = select.poll()
        self._poll.register(self.sock, select.POLLIN)
        self._arrived = b""
        self.serials = connection.outgoing_serial

    def send(self, requests: bytes | bytearray) -> None:
        """Send requests in one piece: to wake the bus costs as much as what it does then."""
        self.sock.sendall(requests)

    def receive(self, seconds: float) -> Reply:
        """Return the next message; raises TimeoutError, and EOFError where the bus has ended."""
        end = time.monotonic() + seconds
        self._wait_for(FIXED_BYTES, end)
        size = length(self._arrived)
        self._wait_for(size, end)
        message, self._arrived = self._arrived[:size], self._arrived[size:]
        return reply(message)

    def _wait_for(self, size: int, end: float) -> None:
        while len(self._arrived) < size:
            if not self._poll.poll(max(end - time.monotonic(), 0.0) * 1000):
                raise TimeoutError
            data = self.sock.recv(_RECEIVED_BYTES)
            if not data:
                raise EOFError
            self._arrived += data

    def is_usable(self) -> bool:
        """Tell whether a connection that nobody used for a while still leads to a bus; one that ended gives the end of the file."""
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """Close it."""
        self._opened.close()


class GaneshaBus:
    """The connections of this process to one instance's bus: as many as threads call at once, kept for the next call."""

    def __init__(self, socket_path: str) -> None:
        """Connect to nothing yet."""
        self._address = bus_address(socket_path)
        self._idle: deque[_Connection] = deque()
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def call(self, method: str, signature: str, *arguments: Any, seconds: float = _CALL_SECONDS) -> Sequence[Any]:  # noqa: ANN401 - values of D-Bus
        """Call a method and return the body of the reply; raises NoAnswerError, RefusedError."""
        reply = self.call_all(method, signature, [arguments], seconds=seconds)[0]
        if isinstance(reply, RefusedError):
            raise reply
        return reply

    def call_all(
        self, method: str, signature: str, arguments: Sequence[tuple[Any, ...]], *, seconds: float = _CALL_SECONDS
    ) -> list[Sequence[Any] | RefusedError]:
        """Call a method once for each tuple of arguments; see `call_in_order`."""
        return self.call_in_order([Call(method, signature, values) for values in arguments], seconds=seconds)

    def call_in_order(
        self, calls: Sequence[Call], *, seconds: float = _CALL_SECONDS
    ) -> list[Sequence[Any] | RefusedError]:
        """Make calls without waiting for one reply before the next request; the server does one after the other, in this order.

        The replies come in that order too. `seconds` is the time for each reply. Raises NoAnswerError.
        """
        replies: dict[int, Sequence[Any] | RefusedError] = {}
        with self._connection() as connection:
            places: dict[int, int] = {}
            requests = bytearray()
            for place, call in enumerate(calls):
                serial = next(connection.serials)
                places[serial] = place
                requests += request(call, serial)
                if len(places) >= _UNDER_WAY:
                    connection.send(requests)
                    requests.clear()
                    _receive(connection, places, replies, seconds)
            connection.send(requests)
            while places:
                _receive(connection, places, replies, seconds)
        return [replies[place] for place in range(len(calls))]

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            _close_all(self._idle)

    @contextmanager
    def _connection(self) -> Iterator[_Connection]:
        connection = self._take()
        try:
            yield connection
        except (OSError, EOFError) as error:  # TimeoutError and ConnectionResetError are OSErrors
            connection.close()
            raise NoAnswerError(str(error)) from error
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)

    def _take(self) -> _Connection:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_usable():
                    return connection
                connection.close()
        return self._open()

    def _open(self) -> _Connection:
        from jeepney import message_bus  # noqa: PLC0415 - only where a server is spoken to
        from jeepney.io.blocking import open_dbus_connection  # noqa: PLC0415 - as above

        try:
            connection = open_dbus_connection(self._address, auth_timeout=5.0)
            # After the answer to this one nothing is under way: the bus has told the connection its name before it.
            connection.send_and_get_reply(message_bus.GetId(), timeout=_CALL_SECONDS)
            return _Connection(connection)
        except (OSError, EOFError) as error:
            raise NoAnswerError(str(error)) from error


def _close_all(connections: deque[_Connection]) -> None:
    while connections:
        connections.pop().close()


def _receive(
    connection: _Connection, places: dict[int, int], replies: dict[int, Sequence[Any] | RefusedError], seconds: float
) -> None:
    """Receive one message; where it is a reply that is waited for, note it and wait for it no more."""
    deadline = time.monotonic() + seconds
    while True:
        found = connection.receive(deadline - time.monotonic())
        place = None if found.serial is None else places.pop(found.serial, None)
        if place is None:
            continue  # a signal of the bus
        if found.error is None:
            replies[place] = found.body
        elif found.error in _NOBODY:
            raise NoAnswerError(_one_line(found.body))
        else:
            replies[place] = RefusedError(_one_line(found.body))
        return


def _one_line(body: Sequence[Any]) -> str:
    return "; ".join(line.strip() for line in "\n".join(map(str, body)).splitlines() if line.strip())
