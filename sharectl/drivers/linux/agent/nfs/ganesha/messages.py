"""D-Bus messages as bytes: requests to Ganesha, and what comes back (D-Bus specification, Message Protocol).

jeepney makes of each message dozens of objects, and takes longer for that than Ganesha for what it is asked.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OBJECT: Final = "/org/ganesha/nfsd/ExportMgr"
_BUS_NAME: Final = "org.ganesha.nfsd"
_INTERFACE: Final = "org.ganesha.nfsd.exportmgr"

FIXED_BYTES: Final = 16
"""What each message begins with, from which `length` tells how long it is."""

_LENGTH_OFFSET: Final = 4
_LENGTH_AND_SERIAL: Final = struct.Struct("<II")
_TEXT_LENGTH: Final = struct.Struct("<I")
_NUMBER: Final = struct.Struct("<H")
_EXAMPLES: Final[Mapping[str, Any]] = {"s": "", "q": 0}
_ORDERS: Final = {ord("l"): "<", ord("B"): ">"}
_ERROR: Final = 3  # the type of a message
_ERROR_NAME, _REPLY_SERIAL, _SIGNATURE = 4, 5, 8  # header fields
_NUMBERS: Final = {"y": "B", "n": "h", "q": "H", "b": "I", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_ALIGNMENTS: Final = {"s": 4, "o": 4, "g": 1, "a": 4, "(": 8, "v": 1}


class Call(NamedTuple):
    """A method with its arguments, and their signature in D-Bus."""

    method: str
    signature: str
    arguments: tuple[Any, ...]


class Reply(NamedTuple):
    """What came back: which call it answers (a signal answers none), the name of the error where it is one, and the values."""

    serial: int | None
    error: str | None
    body: tuple[Any, ...]


def request(call: Call, serial: int) -> bytes:
    """Return a call as it travels."""
    start, fields = _header(call.method, call.signature)
    body = _body(call.signature, call.arguments)
    return start + _LENGTH_AND_SERIAL.pack(len(body), serial) + fields + body


@functools.cache
def _header(method: str, signature: str) -> tuple[bytes, bytes]:
    """Return what stands before the length of the body and after the serial number, which is the same in all calls of a method."""
    from jeepney import DBusAddress, new_method_call  # noqa: PLC0415 - only where a server is spoken to

    arguments = tuple(_EXAMPLES[kind] for kind in signature)
    address = DBusAddress(_OBJECT, _BUS_NAME, _INTERFACE)
    message = new_method_call(address, method, signature or None, arguments).serialise(serial=1)
    end = len(message) - len(_body(signature, arguments))
    return message[:_LENGTH_OFFSET], message[_LENGTH_OFFSET + _LENGTH_AND_SERIAL.size : end]


def _body(signature: str, arguments: Sequence[Any]) -> bytes:
    """Return arguments, each of which is text (`s`) or a number of 16 bits (`q`), at multiples of 4 and 2 bytes."""
    body = bytearray()
    for kind, value in zip(signature, arguments, strict=True):
        if kind == "q":
            body += bytes(-len(body) % 2) + _NUMBER.pack(value)
        else:
            text = value.encode()
            body += bytes(-len(body) % 4) + _TEXT_LENGTH.pack(len(text)) + text + b"\0"
    return bytes(body)


def length(start: bytes) -> int:
    """Return how long the message is that begins with these FIXED_BYTES; raises ValueError where none does."""
    order = _ORDERS.get(start[0])
    if order is None:
        message = "this is no message of D-Bus"
        raise ValueError(message)
    body_bytes, _serial, fields_bytes = struct.unpack_from(f"{order}III", start, _LENGTH_OFFSET)
    return _aligned(FIXED_BYTES + int(fields_bytes), 8) + int(body_bytes)


def reply(message: bytes) -> Reply:
    """Read a whole message; raises ValueError where it is none, or holds what no answer of Ganesha does."""
    try:
        order = _ORDERS[message[0]]
        reader = _Reader(message, order, FIXED_BYTES - 4)
        fields = dict(reader.value("a(yv)"))
        reader.place = _aligned(reader.place, 8)
        body = tuple(reader.value(kind) for kind in _types(fields.get(_SIGNATURE, "")))
    except (KeyError, IndexError, struct.error) as error:
        text = f"a message of D-Bus cannot be read: {error!r}"
        raise ValueError(text) from error
    return Reply(fields.get(_REPLY_SERIAL), str(fields.get(_ERROR_NAME)) if message[1] == _ERROR else None, body)


class _Reader:
    """Values one after the other, each at a multiple of what its type asks for."""

    def __init__(self, data: bytes, order: str, place: int) -> None:
        self._data = data
        self._structs = _structs(order)
        self.place = place

    def value(self, kind: str) -> Any:  # noqa: ANN401 - values of D-Bus
        """Return the next value, which is of one complete type."""
        number = self._structs.get(kind)
        if number is not None:
            place = _aligned(self.place, number.size)
            self.place = place + number.size
            found = number.unpack_from(self._data, place)[0]
            return bool(found) if kind == "b" else found
        if kind in {"s", "o"}:
            return self._text(int(self.value("u")))
        if kind == "g":
            return self._text(int(self.value("y")))
        if kind == "v":
            return self.value(self.value("g"))
        if kind[0] == "a":
            return self._array(kind[1:])
        self.place = _aligned(self.place, 8)
        return tuple([self.value(part) for part in _types(kind[1:-1])])

    def _text(self, size: int) -> str:
        start = self.place
        self.place = start + size + 1  # a zero byte ends it
        return self._data[start : start + size].decode()

    def _array(self, kind: str) -> list[Any]:
        size = int(self.value("u"))
        number = self._structs.get(kind)
        self.place = _aligned(self.place, _ALIGNMENTS[kind[0]] if number is None else number.size)
        end = self.place + size
        found = []
        while self.place < end:
            found.append(self.value(kind))
        return found


@functools.cache
def _structs(order: str) -> Mapping[str, struct.Struct]:
    return {kind: struct.Struct(f"{order}{code}") for kind, code in _NUMBERS.items()}


@functools.cache
def _types(signature: str) -> tuple[str, ...]:
    """Return the complete types that a signature is made of."""
    found, start, depth = [], 0, 0
    for place, character in enumerate(signature):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and character != "a":
            found.append(signature[start : place + 1])
            start = place + 1
    return tuple(found)


def _aligned(place: int, size: int) -> int:
    return place + -place % size
