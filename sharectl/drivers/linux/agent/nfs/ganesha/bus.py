"""Calls to the export manager of a Ganesha instance over its private D-Bus."""

from __future__ import annotations

import socket
import threading
import time
import weakref
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sharectl.drivers.linux.agent.nfs.ganesha.configuration import bus_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jeepney.io.blocking import DBusConnection
    from jeepney.low_level import Message

_OBJECT: Final = "/org/ganesha/nfsd/ExportMgr"
_BUS_NAME: Final = "org.ganesha.nfsd"
_INTERFACE: Final = "org.ganesha.nfsd.exportmgr"

_CALL_SECONDS: Final = 60.0
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


class Call(NamedTuple):
    """A method with its arguments, and their signature in D-Bus."""

    method: str
    signature: str
    arguments: tuple[Any, ...]


class GaneshaBus:
    """The connections of this process to one instance's bus: as many as threads call at once, kept for the next call."""

    def __init__(self, socket_path: str) -> None:
        """Connect to nothing yet."""
        self._address = bus_address(socket_path)
        self._idle: deque[DBusConnection] = deque()
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
                serial = next(connection.outgoing_serial)
                places[serial] = place
                requests += _request(call).serialise(serial)
                if len(places) >= _UNDER_WAY:
                    connection.sock.sendall(requests)
                    requests.clear()
                    _receive(connection, places, replies, seconds)
            connection.sock.sendall(requests)  # in one piece: what wakes the bus costs as much as what it does
            while places:
                _receive(connection, places, replies, seconds)
        return [replies[place] for place in range(len(calls))]

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            _close_all(self._idle)

    @contextmanager
    def _connection(self) -> Iterator[DBusConnection]:
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

    def _take(self) -> DBusConnection:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if _is_usable(connection):
                    return connection
                connection.close()
        return self._open()

    def _open(self) -> DBusConnection:
        from jeepney.io.blocking import open_dbus_connection  # noqa: PLC0415 - only where a server is spoken to

        try:
            return open_dbus_connection(self._address, auth_timeout=5.0)
        except (OSError, EOFError) as error:
            raise NoAnswerError(str(error)) from error


def _close_all(connections: deque[DBusConnection]) -> None:
    while connections:
        connections.pop().close()


def _request(call: Call) -> Message:
    from jeepney import DBusAddress, new_method_call  # noqa: PLC0415 - as above

    return new_method_call(
        DBusAddress(_OBJECT, _BUS_NAME, _INTERFACE), call.method, call.signature or None, call.arguments
    )


def _receive(
    connection: DBusConnection, places: dict[int, int], replies: dict[int, Sequence[Any] | RefusedError], seconds: float
) -> None:
    """Receive one message; where it is a reply that is waited for, note it and wait for it no more."""
    from jeepney import HeaderFields, MessageType  # noqa: PLC0415 - as above

    deadline = time.monotonic() + seconds
    while True:
        message = connection.receive(timeout=max(deadline - time.monotonic(), 0.0))
        place = places.pop(message.header.fields.get(HeaderFields.reply_serial, -1), None)
        if place is None:
            continue  # a signal of the bus
        if message.header.message_type is not MessageType.error:
            replies[place] = message.body
        elif message.header.fields.get(HeaderFields.error_name) in _NOBODY:
            raise NoAnswerError(_one_line(message.body))
        else:
            replies[place] = RefusedError(_one_line(message.body))
        return


def _one_line(body: Sequence[Any]) -> str:
    return "; ".join(line.strip() for line in "\n".join(map(str, body)).splitlines() if line.strip())


def _is_usable(connection: DBusConnection) -> bool:
    """Tell whether a connection that nobody used for a while still leads to a bus; one that ended gives the end of the file."""
    try:
        return bool(connection.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False
