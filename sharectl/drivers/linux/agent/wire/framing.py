"""Frames on a byte stream: the form in which requests and answers travel between the driver and the agent.

A frame is its length in bytes (4 bytes, big-endian) and a JSON object of that length, in ASCII: other characters are escaped, so
that even a file name that is no UTF-8 (Python's lone surrogates) comes through unchanged.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

LENGTH_BYTES: Final = 4
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
MAX_GREETING_BYTES: Final = 1024 * 1024
READY: Final = b"\0sharectl-agent ready\n"
"""What the agent writes before its first frame, so that a greeting of the login shell is not taken for one."""
_ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


class FramingError(Exception):
    """What was to be sent is not a frame, or what arrived is none; `str()` says why in one line."""


class ByteStream(Protocol):
    """What frames are read from: a file opened for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, fewer only at the end of the stream."""
        ...


def encode(message: Mapping[str, Any]) -> bytes:
    """Return the message as a frame; raises FramingError where it is too large or holds what JSON cannot say."""
    try:
        body = _ENCODER.encode(message).encode("ascii")
    except (TypeError, ValueError, RecursionError) as cause:
        raise FramingError(str(cause)) from cause
    if len(body) > MAX_FRAME_BYTES:
        message_text = f"{len(body)} bytes are more than a frame holds ({MAX_FRAME_BYTES})"
        raise FramingError(message_text)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def body_length(prefix: bytes) -> int:
    """Return the length that the first bytes of a frame announce; raises FramingError where no frame is so long."""
    length = int.from_bytes(prefix, "big")
    if length > MAX_FRAME_BYTES:
        message = f"{prefix!r} is not the start of a frame"
        raise FramingError(message)
    return length


def decode(body: bytes) -> dict[str, Any]:
    """Return the message in the body of a frame; raises FramingError where it is not a JSON object."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as cause:
        message_text = f"a frame of {len(body)} bytes is no JSON"
        raise FramingError(message_text) from cause
    if not isinstance(message, dict):
        message_text = "a frame holds no JSON object"
        raise FramingError(message_text)
    return message


def read_frame(stream: ByteStream) -> dict[str, Any] | None:
    """Return the next message, None at the end of the stream; raises FramingError for what is not a frame or is cut short."""
    prefix = stream.read(LENGTH_BYTES)
    if not prefix:
        return None
    body = stream.read(body_length(prefix)) if len(prefix) == LENGTH_BYTES else b""
    if len(prefix) < LENGTH_BYTES or len(body) < int.from_bytes(prefix, "big"):
        message = "the stream ends in the middle of a frame"
        raise FramingError(message)
    return decode(body)


class FrameBuffer:
    """Collects bytes as they arrive and gives out the frames that are whole; what stands before READY is set apart."""

    def __init__(self) -> None:
        """Wait for READY."""
        self._bytes = bytearray()
        self.is_ready = False

    def add(self, data: bytes) -> list[dict[str, Any]]:
        """Return the messages that are whole now; raises FramingError for what is not a frame."""
        self._bytes += data
        if not self.is_ready and not self._pass_ready():
            return []
        messages = []
        start = 0
        while len(self._bytes) - start >= LENGTH_BYTES:
            body_start = start + LENGTH_BYTES
            end = body_start + body_length(bytes(self._bytes[start:body_start]))
            if len(self._bytes) < end:
                break
            messages.append(decode(bytes(self._bytes[body_start:end])))
            start = end
        del self._bytes[:start]
        return messages

    def greeting(self) -> str:
        """Return what was written in READY's place, as text; empty once READY has come."""
        return "" if self.is_ready else self._bytes.decode(errors="replace")

    def _pass_ready(self) -> bool:
        before, found, after = self._bytes.partition(READY)
        if found:
            self._bytes = after
            self.is_ready = True
        elif len(before) > MAX_GREETING_BYTES:
            message = f"the agent does not answer; instead came more than {MAX_GREETING_BYTES} bytes of something else"
            raise FramingError(message)
        return self.is_ready
