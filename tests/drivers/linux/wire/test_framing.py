"""Messages come out of a byte stream as they went in, and whatever is no message is refused."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.drivers.linux.agent.wire import framing
from sharectl.drivers.linux.agent.wire.framing import READY, FrameBuffer, FramingError, decode, encode, read_frame

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),  # lone surrogates too
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=3), max_size=4)


@given(MESSAGES)
def test_messages_are_read_as_they_were_written(messages: list[dict[str, object]]) -> None:
    """In order, up to the end of the stream."""
    stream = io.BytesIO(b"".join(encode(message) for message in messages))
    assert [read_frame(stream) for _ in messages] == messages
    assert read_frame(stream) is None


@given(MESSAGES, st.integers(1, 40))
def test_messages_arrive_whole_however_the_bytes_arrive(messages: list[dict[str, object]], size: int) -> None:
    """Pieces of any size; nothing is given out before READY."""
    data = b"welcome\n" + READY + b"".join(encode(message) for message in messages)
    buffer = FrameBuffer()
    found = [message for start in range(0, len(data), size) for message in buffer.add(data[start : start + size])]
    assert found == messages


def test_what_stands_before_the_agent_is_kept_apart() -> None:
    """A login shell that says something, or speaks in the agent's place."""
    buffer = FrameBuffer()
    assert buffer.add(b"Last login: today\n") == []
    assert buffer.greeting() == "Last login: today\n"
    assert buffer.add(READY + encode({"id": 1})) == [{"id": 1}]
    assert buffer.greeting() == ""


def test_an_endless_greeting_is_refused() -> None:
    """It would fill the memory."""
    buffer = FrameBuffer()
    with pytest.raises(FramingError, match="something else"):
        buffer.add(b"y\n" * framing.MAX_GREETING_BYTES)


def test_a_length_beyond_the_limit_is_no_frame() -> None:
    """Text that is taken for a length names far more than the limit, and is not waited for."""
    buffer = FrameBuffer()
    buffer.add(READY)
    with pytest.raises(FramingError, match="not the start of a frame"):
        buffer.add(b"Traceback (most recent call last)")
    with pytest.raises(FramingError, match="not the start of a frame"):
        read_frame(io.BytesIO(b"Traceback"))


def test_a_message_beyond_the_limit_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how large it is."""
    monkeypatch.setattr(framing, "MAX_FRAME_BYTES", 100)
    assert encode({"a": "x" * 92})
    with pytest.raises(FramingError, match="101 bytes are more than a frame holds"):
        encode({"a": "x" * 93})


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}, b"bytes"])
def test_what_json_cannot_say_is_not_sent(value: object) -> None:
    """The error says why."""
    with pytest.raises(FramingError, match=r"not JSON"):
        encode({"a": value})


@pytest.mark.parametrize("body", [b"[]", b"3", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(FramingError):
        decode(body)


@pytest.mark.parametrize("length", [1, 3, 4, 10])
def test_a_stream_that_ends_within_a_frame_is_refused(length: int) -> None:
    """It is not taken for the end."""
    with pytest.raises(FramingError, match="middle of a frame"):
        read_frame(io.BytesIO(encode({"id": 123456})[:length]))
