"""Reading documents that are written alike: whatever is in them, the result is the parser's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharectl.manifests.forms import Forms
from sharectl.manifests.reader import Reading, read_documents
from sharectl.manifests.syntax import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sharectl.manifests.reader import Document

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAIN = (
    "a",
    "gold",
    "10GiB",
    "7",
    "010",
    "1.5",
    "0x1F",
    "true",
    "null",
    "no",
    "a-b_c/d.e",
    "Home of Bob",
    "fd00::1/64",
)
ODD = (
    *("-", "~", "", "1e999", "9" * 30, "a:", ":a", "a: b", "a #b", "a#b", "'a'", '"a"', '"a b', "a,b", "a }", "[a, b]"),
    *(
        "{a: b}",
        "&x a",
        "*x",
        "!!str 5",
        "|",
        ">",
        "é",
        "%s",
        "w0x",
        "A 0:b::c.d/e_f+g-h",
        "a\n    b",
        "a  b",
        "? a",
        "\ta",
        "\x80",
        "\ufffe",
        "\u00a0",
    ),
)
BODIES = (
    "kind: Share\nmetadata:\n  name: WORD\nspec:\n  size: WORD\n  access:\n    - type: ip\n      to: WORD\n      level: WORD\n",
    "kind: Share\nmetadata: {name: WORD, labels: {team: WORD}}\nspec: {size: WORD, access: [{to: WORD, level: WORD}]}\n",
    "metadata:\n  labels: {a: WORD}\n  name: 'b'\n# of: WORD\nspec: {size: WORD} # was: WORD\n",
    "metadata: {labels: {a: WORD}, name: WORD}\n",
    "spec:\n  text: |\n    a: WORD\n  folded: >-\n    b: WORD\n  quoted: 'c: WORD\n    d: WORD'\n",
    "a: &x {b: WORD}\nc: *x\n",
    "a: &x\n  b: WORD\nd: {<<: *x, c: WORD}\n",
    "<<: {a: WORD}\na: WORD\n",
    "a: WORD\na: WORD\n",
    "kind: ShareSet\nmetadata: {name: WORD}\nspec:\n  shares:\n    one: {size: WORD}\n    two: {size: WORD}\n",
    "%: {WORD: WORD}\n? a\n: WORD\n",
    'a: "WORD"\nb: \'WORD\'\nc: "WORD\n\n  WORD"\n',
    "",
    "# of: WORD\n",
)
BETWEEN = (
    "---\n",
    "---\n# of: a\n",
    "--- \n",
    "--- {a: b}\n---\n",
    "...\n---\n",
    "...\n%YAML 1.2\n---\n",
    "\ufeff---\n",
    "---\r\n",
)


def read(data: bytes, reader: Callable[..., Reading]) -> tuple[object, ...]:
    """Return all that a reader makes of a file; values with their types, since 1 is True."""
    taken: list[Document] = []
    reading = reader(data, taken.append)
    return [repr((*document, list(document.entries))) for document in taken], reading.problems, reading.unread


@st.composite
def files(draw: st.DrawFn, words: tuple[str, ...] = PLAIN, between: tuple[str, ...] = BETWEEN[:1]) -> bytes:
    """Draw the text of a file of documents of a few forms."""
    bodies = draw(st.lists(st.sampled_from(BODIES), min_size=1, max_size=2))
    text = draw(st.sampled_from(("", "---\n")))
    for _ in range(draw(st.integers(1, 8))):
        first, *parts = draw(st.sampled_from(bodies)).split("WORD")
        text += first + "".join(draw(st.sampled_from(words)) + part for part in parts) + draw(st.sampled_from(between))
    return text.encode()


@given(st.lists(files(), min_size=1, max_size=3))
def test_documents_of_plain_words_are_read_as_the_parser_reads_them(texts: list[bytes]) -> None:
    """Values with their types, numbers, places, problems."""
    forms = Forms()
    for text in texts:
        assert read(text, forms.read) == read(text, read_documents)


@given(st.lists(files((*PLAIN, *PLAIN, *ODD), (*BETWEEN[:1] * 20, *BETWEEN)), min_size=1, max_size=3))
def test_so_is_whatever_stands_among_them(texts: list[bytes]) -> None:
    """Other signs, other ends of documents, and mistakes, with the lines that they are in."""
    forms = Forms()
    for text in texts:
        assert read(text, forms.read) == read(text, read_documents)


def test_so_is_each_example() -> None:
    """Often enough for its forms to be known, and with a word of it exchanged."""
    paths = sorted(EXAMPLES.rglob("*.yaml"))
    assert len(paths) > 40
    for path in paths:
        data, forms = path.read_bytes(), Forms()
        for text in (data, data, data.replace(b": gold", b": silver"), data + b"---\n" + data):
            assert read(text, forms.read) == read(text, read_documents), path


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Note what is given to the parser."""
    given_to_it: list[bytes] = []
    original = Segment.events

    def noted(segment: Segment) -> Iterator[object]:
        given_to_it.append(segment.data)
        return original(segment)

    monkeypatch.setattr(Segment, "events", noted)
    return given_to_it


@pytest.mark.parametrize("body", BODIES[:3])
def test_of_many_documents_of_a_form_few_are_parsed(body: str, parsed: list[bytes]) -> None:
    """Two as they are, and one twice with other words; in whatever files they stand."""
    forms, taken = Forms(), []
    for number in range(20):
        text = "---\n".join([body.replace("WORD", word) for word in ("a", "b2", "7", f"c-{number}")])
        forms.read(text.encode(), taken.append)
        forms.read(f"---\n{text}".encode(), taken.append)
    assert len(taken) == 160
    assert len(parsed) == 8  # what a file begins with has a form of its own where no `---` is above it


@pytest.mark.parametrize("body", BODIES[3:10])
def test_a_form_that_depends_on_its_words_is_not_learned(body: str, parsed: list[bytes]) -> None:
    """Where the name stands, what an alias repeats, what is a part of a longer text."""
    forms, taken = Forms(), []
    for number in range(20):
        before = len(parsed)
        forms.read(body.replace("WORD", f"c-{number}").encode(), taken.append)
        assert len(parsed) > before


def test_where_something_is_wrong_the_parser_reads_the_rest_of_the_file(parsed: list[bytes]) -> None:
    """To find the same mistakes in the same lines, whatever it takes them for."""
    good = "a: WORD\nb: {c: WORD}\n---\n".replace("WORD", "a")
    text = f"{good * 5}a: [\n---\n{good * 5}b: }}\n---\n{good}".encode()
    forms = Forms()
    assert read(text, forms.read) == read(text, read_documents)
    assert [problem.line for problem in read_documents(text).problems] == [17, 33]
    assert max(map(len, parsed[:5])) < len(good) + 40


def test_a_number_that_no_document_may_hold_is_found_in_a_form_that_is_known() -> None:
    """And it may stand in a comment."""
    forms = Forms()
    texts = [f"# of: {number}\na: {number}\n".encode() for number in ("1", "2", "3", "9" * 30)]
    for text in (*texts, b"# of: %s\na: 4\n" % (b"9" * 30)):
        assert read(text, forms.read) == read(text, read_documents)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("<<: {a: WORD}\na: b\n", ("a", "b", "7", "9" * 30)),
        ("x: &x {b: WORD}\nl:\n" + "- {<<: *x, b: 1}\n" * 20, ("a", "b", "7", "d" * 60_000)),
    ],
)
def test_what_is_wrong_with_a_word_that_is_merged_or_repeated_is_found(document: str, words: Iterable[str]) -> None:
    """A number that is hidden by another value, and more text than aliases may stand for."""
    forms = Forms()
    for word in words:
        text = document.replace("WORD", word).encode()
        assert read(text, forms.read) == read(text, read_documents)
    assert read_documents(text).problems


@pytest.mark.parametrize("sign", ["\x80", "\x85", "\x9f", "\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff"])
@pytest.mark.parametrize("place", ["a: WORD\n", "a: 'b WORD'\n", "# WORD\na: b\n", "a: |\n  WORD\n  b: c\n"])
def test_a_sign_that_ends_a_line_or_is_none_is_found_where_the_parser_finds_it(sign: str, place: str) -> None:
    """Which looks at more of a file than the document that it reads."""
    forms, good = Forms(), "a: b\n---\n" * 4
    for text in (good, good + place.replace("WORD", sign) + "---\n" + good):
        assert read(text.encode(), forms.read) == read(text.encode(), read_documents)


def test_a_long_document_ends_the_look_for_forms_in_its_file() -> None:
    """A form that nobody else has would take more memory than the document."""
    forms = Forms()
    long = "spec: [" + "{a: b}, " * 10_000 + "]\n"
    text = f"a: b\n---\na: c\n---\n{long}---\na: d\n".encode()
    assert read(text, forms.read) == read(text, read_documents)


def test_where_hardly_any_documents_are_alike_they_are_parsed_together(parsed: list[bytes]) -> None:
    """One by one, all would take longer."""
    text = "---\n".join(f"k{number}: a\n" for number in range(1_500)).encode()
    assert read(text, Forms().read) == read(text, read_documents)
    assert len(parsed) == 502
