"""Messages over D-Bus: requests byte for byte as the library makes them, and answers read as it reads them."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from jeepney import DBusAddress, HeaderFields, new_error, new_method_call, new_method_return, new_signal
from jeepney.low_level import Endianness

from sharectl.drivers.linux.agent.nfs.ganesha.messages import FIXED_BYTES, Call, Reply, length, reply, request

ADDRESS = DBusAddress("/org/ganesha/nfsd/ExportMgr", "org.ganesha.nfsd", "org.ganesha.nfsd.exportmgr")
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
SERIALS = st.integers(1, 2**32 - 1)


def as_the_library_makes_it(call: Call, serial: int) -> bytes:
    """Return the message of jeepney."""
    message = new_method_call(ADDRESS, call.method, call.signature or None, call.arguments)
    return bytes(message.serialise(serial=serial))


@given(TEXTS, TEXTS, SERIALS)
def test_a_request_with_texts_is_what_the_library_makes(path: str, expression: str, serial: int) -> None:
    """Whatever is in them, and however long they are."""
    call = Call("UpdateExport", "ss", (path, expression))
    assert request(call, serial) == as_the_library_makes_it(call, serial)


@given(st.integers(0, 2**16 - 1), SERIALS)
def test_a_request_with_a_number_is_what_the_library_makes(number: int, serial: int) -> None:
    """Of each method its own."""
    for method in ("DisplayExport", "RemoveExport"):
        call = Call(method, "q", (number,))
        assert request(call, serial) == as_the_library_makes_it(call, serial)


def test_a_request_without_arguments_is_what_the_library_makes() -> None:
    """It has no body."""
    call = Call("ShowExports", "", ())
    assert request(call, 7) == as_the_library_makes_it(call, 7)


KINDS = {
    "y": st.integers(0, 2**8 - 1),
    "n": st.integers(-(2**15), 2**15 - 1),
    "q": st.integers(0, 2**16 - 1),
    "b": st.booleans(),
    "i": st.integers(-(2**31), 2**31 - 1),
    "u": st.integers(0, 2**32 - 1),
    "x": st.integers(-(2**63), 2**63 - 1),
    "t": st.integers(0, 2**64 - 1),
    "d": st.floats(allow_nan=False),
    "s": TEXTS,
    "(tt)": st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    "as": st.lists(TEXTS, max_size=5),
    "a(siyyiuuuuu)": st.lists(
        st.tuples(
            TEXTS,
            st.integers(-(2**31), 2**31 - 1),
            *[st.integers(0, 255)] * 2,
            st.integers(-(2**31), 2**31 - 1),
            *[st.integers(0, 2**32 - 1)] * 5,
        ),
        max_size=5,
    ),
    "a(qs(tt))": st.lists(
        st.tuples(st.integers(0, 2**16 - 1), TEXTS, st.tuples(*[st.integers(0, 2**64 - 1)] * 2)), max_size=3
    ),
}


@st.composite
def answers(draw: st.DrawFn) -> tuple[str, tuple[object, ...]]:
    """Give signatures with values, some as Ganesha answers with."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=6))
    return "".join(kinds), tuple(draw(KINDS[kind]) for kind in kinds)


@given(answers(), SERIALS, st.sampled_from([Endianness.little, Endianness.big]))
def test_an_answer_is_read_as_the_library_reads_it(
    answer: tuple[str, tuple[object, ...]], serial: int, order: Endianness
) -> None:
    """Whatever types it has, by a server of either byte order, and whatever comes after it."""
    asked = new_method_call(ADDRESS, "DisplayExport", "q", (1,))
    asked.header.serial = serial
    asked.header.fields[HeaderFields.sender] = ":1.7"
    signature, values = answer
    message = new_method_return(asked, signature or None, values)
    message.header.endianness = order
    sent = bytes(message.serialise(serial=9))
    assert length(sent[:FIXED_BYTES]) == len(sent)
    assert length(sent + b"more") == len(sent)
    assert reply(sent) == Reply(serial, None, values)


def test_a_refusal_has_its_name_and_its_words() -> None:
    """As the bus says that nobody is there, and the server that it cannot."""
    asked = new_method_call(ADDRESS, "DisplayExport", "q", (1,))
    asked.header.serial = 5
    asked.header.fields[HeaderFields.sender] = ":1.7"
    sent = bytes(new_error(asked, "org.freedesktop.DBus.Error.NoReply", "s", ("it ended",)).serialise(serial=9))
    assert reply(sent) == Reply(5, "org.freedesktop.DBus.Error.NoReply", ("it ended",))


def test_a_signal_answers_no_call() -> None:
    """The bus sends some unasked."""
    sent = bytes(new_signal(ADDRESS, "NameAcquired", "s", (":1.7",)).serialise(serial=9))
    assert reply(sent) == Reply(None, None, (":1.7",))


@given(st.binary(min_size=FIXED_BYTES, max_size=80))
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """With an error that says so, whatever it is."""
    with suppress(ValueError):
        length(data)
    with suppress(ValueError):
        reply(data)
