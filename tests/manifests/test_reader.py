"""Reading YAML: the core schema of 1.2, anchors and merge keys, and every limit."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sharectl.manifests.proposals import NO_VARIABLES
from sharectl.manifests.reader import MAX_SCALAR_CHARACTERS, read_documents
from sharectl.manifests.scalars import ScalarError, needs_quotes, resolve
from sharectl.manifests.syntax import MAX_DEPTH


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("y", "y"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("2001-01-01", "2001-01-01"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("NULL", None),
        ("", None),
        ("-1.5e3", -1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+12", 12),
        ("=", "="),
        ("10.0.0.5", "10.0.0.5"),
    ],
)
def test_a_plain_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    """The Norway problem does not exist."""
    resolved = resolve(text)
    assert resolved == value
    assert type(resolved) is type(value)
    read = read_documents(f"a: {text}\n".encode()).documents[0].value
    assert read == {"a": value}


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999", "9223372036854775808", "9" * 5000, "0x" + "f" * 17])
def test_a_number_that_json_cannot_hold_is_refused(text: str) -> None:
    """It never becomes null or another number in silence."""
    with pytest.raises(ScalarError):
        resolve(text)
    reading = read_documents(f"a: {text}".encode())
    assert [problem.code for problem in reading.problems] == ["manifest.number"]
    assert not reading.documents[0].sound


@given(st.text(max_size=12))
def test_a_text_that_needs_no_quotes_is_a_string_to_yaml_1_1_too(text: str) -> None:
    """What is written plain is the same string to PyYAML, a reader of YAML 1.1, and to this one."""
    if needs_quotes(text):
        return
    resolver = yaml.resolver.Resolver()
    assert resolver.resolve(yaml.ScalarNode, text, (True, False)) == "tag:yaml.org,2002:str"
    assert resolve(text) == text


@pytest.mark.parametrize(
    "text",
    ["on", "No", "010", "1:30", "0b1", "1_0", "2001-01-01", "<<", "=", "~", "", "0o7", ".5", "1e3", "null", ".inf"],
)
def test_an_ambiguous_text_needs_quotes(text: str) -> None:
    """Some reader takes it for something else."""
    assert needs_quotes(text)


def test_explicit_tags_of_the_core_schema_work() -> None:
    """`!!str 1` is text; other tags are refused."""
    reading = read_documents(b"a: !!str 010\nb: !!int '7'\nc: ! 5\nd: !!map {}\ne: !!seq []\n")
    assert reading.documents[0].value == {"a": "010", "b": 7, "c": "5", "d": {}, "e": []}
    assert not reading.problems


@pytest.mark.parametrize("text", ["a: !!binary aaaa", "a: !own x", "a: !!int x", "a: !!seq {}", "a: !own [1]"])
def test_other_tags_are_refused(text: str) -> None:
    """Manifests are plain data."""
    assert [problem.code for problem in read_documents(text.encode()).problems] == ["manifest.tag"]


def test_anchors_and_merge_keys_work() -> None:
    """Explicit keys win, wherever they stand, and earlier maps of a list win over later ones."""
    text = b"a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {y: 4, <<: [{x: 8}, *a]}\nd: *a\ne: &s text\n*s : 1\n"
    (document,) = read_documents(text).documents
    assert document.value == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"y": 4, "x": 8},
        "d": {"x": 1, "y": 2},
        "e": "text",
        "text": 1,
    }


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("a: 1\na: 2", "duplicate-key", 2, 1),
        ("a: {<<: {b: 1}, <<: {c: 1}}", "duplicate-key", 1, 17),
        ("a: {<<: 3}", "merge", 1, 10),
        ("1: x", "key", 1, 1),
        ("true: x", "key", 1, 1),
        ("? [a]\n: b", "key", 1, 3),
        ("a: &a [1]\n*a : 1", "key", 2, 1),
        ("a: *b", "alias", 1, 4),
        ("a: &b [*b]", "alias", 1, 8),
        ("a: b: c", "syntax", 1, 5),
        ("a:\n\tb: c", "syntax", 2, 1),
        ("a:\n  b: 1\n\tc: 1", "syntax", 3, 1),
        ('a: "\\ud83d\\ude00"', "syntax", 1, 7),
        ("a: 'x", "syntax", 1, 6),
        ("a: [1", "syntax", 2, 1),
        ("a: %x", "syntax", 1, 4),
        ("%YAML 3.0\n---\na: 1", "syntax", 1, 1),
        ("a: \ufffe", "syntax", 1, 4),
    ],
)
def test_each_mistake_has_its_place(text: str, code: str, line: int, column: int) -> None:
    """Lines and columns count from 1."""
    problems = read_documents(text.encode()).problems
    assert [(problem.code, problem.line, problem.column) for problem in problems] == [
        (f"manifest.{code}", line, column)
    ]
    assert problems[0].remedy


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[" * 100_000, "too-deep"),
        (b"{a: " * 100_000, "too-deep"),
        (b"- " * 100_000, "too-deep"),
        (b"[" * 1_000 + b"]" * 1_000, "too-deep"),
        (b"a: " + b"x" * 10_000_000, "too-long"),
        (b"a: '" + b"x" * 10_000_000 + b"'", "too-long"),
        (
            b"a: &a [x,x,x,x,x,x,x,x,x]\n"
            + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(9)),
            "alias-bomb",
        ),
        (b"a: &a '" + b"x" * 60_000 + b"'\nb: [" + b"*a," * 1_000 + b"]", "alias-bomb"),
        (b"\xff\xfea\x00", "binary"),
        (b"a: \x00", "binary"),
        (b"a: \xff", "binary"),
        (b"\x7fELF", "binary"),
        (b"\x1f\x8b\x08", "binary"),
        (b"\0GITCRYPT\0abc", "encrypted"),
        (b"-----BEGIN PGP MESSAGE-----\n", "encrypted"),
        (b"$ANSIBLE_VAULT;1.1;AES256\n62\n", "encrypted"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "lfs"),
        (b"a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n", "conflict"),
        (b"a: b\xef\xbb\xbf---\n", "binary"),
        (b"- a\n" * 300_000, "too-large"),
        (b"a: [" + b"b, " * 300_000, "too-large"),
        (b"".join(b"a%d: b\n" % i for i in range(150_000)), "too-large"),
        (bytes(range(256)) * 40_000, "binary"),
    ],
)
def test_hostile_input_is_refused_promptly(data: bytes, code: str) -> None:
    """One problem, in well under a second of processor time."""
    begin = time.process_time()
    reading = read_documents(data)
    assert time.process_time() - begin < 3.0
    assert [problem.code for problem in reading.problems] == [f"manifest.{code}"]


def test_the_limits_themselves_are_allowed() -> None:
    """As deep and as long as may be."""
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert not read_documents(deep.encode()).problems
    assert not read_documents(b"a: " + b"x" * MAX_SCALAR_CHARACTERS).problems


def test_reading_resumes_after_a_broken_document() -> None:
    """Documents after it are read, with their own numbers and lines."""
    reading = read_documents(b"a: 1\n---\nb: [\n---\nc: 3\n---\nd: }\n--- \ne: 5")
    assert [(document.number, document.value, document.line) for document in reading.documents] == [
        (0, {"a": 1}, 1),
        (2, {"c": 3}, 4),
        (4, {"e": 5}, 8),
    ]
    assert [(problem.line, problem.document) for problem in reading.problems] == [(4, 1), (7, 3)]


def test_the_place_of_the_name_is_kept() -> None:
    """Also where it is quoted; not that of other fields called name."""
    reading = read_documents(b"---\nname: x\nmetadata:\n  labels: {name: y}\n  name: 'z'\n")
    assert reading.documents[0][3:5] == (5, 9)


def test_a_byte_order_mark_before_a_document_is_no_part_of_it() -> None:
    """Files from Windows, put together; the places of what follows are right."""
    reading = read_documents(b"\xef\xbb\xbfa: 1\n\xef\xbb\xbf---\n\xef\xbb\xbfb: 2\n\xef\xbb\xbf---\nc: [\n")
    assert [document.value for document in reading.documents] == [{"a": 1}, {"b": 2}]
    assert [problem.line for problem in reading.problems] == [6]


def test_a_byte_order_mark_of_utf_8_is_allowed() -> None:
    """Windows editors write one."""
    assert read_documents(b"\xef\xbb\xbfa: 1\r\n").documents[0].value == {"a": 1}


@given(st.binary(max_size=200))
def test_no_bytes_make_an_exception(data: bytes) -> None:
    """Whatever they are."""
    read_documents(data)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@?#,<\n \t", max_size=60))
def test_no_text_of_yaml_punctuation_makes_an_exception(text: str) -> None:
    """The grammar's own characters."""
    read_documents(text.encode())


@given(st.text(alphabet="ab1:-[]{},'\"#\n ", max_size=40))
def test_what_pyyaml_reads_is_read_the_same(text: str) -> None:
    """Except for scalars, which 1.2 reads its own way: compared as text."""
    try:
        expected = list(yaml.load_all(text, yaml.BaseLoader))
    except (yaml.YAMLError, ValueError, TypeError):
        return
    reading = read_documents(text.encode())
    if not reading.problems:
        assert [_as_text(document.value) for document in reading.documents] == [_as_text(value) for value in expected]


def _as_text(value: object) -> object:
    if isinstance(value, dict):
        return {key: _as_text(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_as_text(part) for part in value]
    if isinstance(value, str):
        resolved = resolve(value)
        return "" if resolved is None else str(resolved)
    return "" if value is None else str(value)


@pytest.mark.parametrize("text", ["a: {name: ${X}}", "a: {name: x-${X}-y, b: 1}", "a: [b, ${X}]", "é: {name: ${X}}"])
def test_a_variable_of_a_shell_in_braces_is_called_one(text: str) -> None:
    """To the parser it is a mapping that nobody has closed, which no one who wrote it would look for."""
    [problem] = read_documents(text.encode()).problems
    assert problem.code == "manifest.syntax"
    assert "${" in problem.summary
    assert problem.remedy == NO_VARIABLES
    [other] = read_documents(b"a: {b: 1 {c: 2}}").problems
    assert other.remedy == "add the missing `,` or `}`"
