"""Whatever is in a file, the answer is an exit code and diagnostics."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharectl.cli import main
from tests.cli.conftest import SIMULATED

if TYPE_CHECKING:
    from pathlib import Path

PIECES = [
    "\t",
    "\n",
    "---\n",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "{",
    "]",
    ": ",
    "- ",
    "'",
    '"',
    "\x00",
    "\ufeff",
    "|",
    "%YAML 9\n",
    "null",
    "1e999",
    "\u2028",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return valid manifests in which pieces were cut out, doubled, moved, or replaced."""
    text = SIMULATED
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        piece = draw(st.one_of(st.just(""), st.sampled_from(PIECES), st.text(max_size=8), st.just(text[start:end] * 2)))
        text = text[:start] + piece + text[end:]
    data = text.encode("utf-8", "surrogatepass")
    if draw(st.booleans()):
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=4)) + data[place:]
    return data


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(mutated(), st.binary(max_size=200)), project=st.booleans())
@pytest.mark.parametrize("command", ["validate", "plan"])
def test_no_yaml_makes_a_traceback(tmp_path: Path, command: str, data: bytes, *, project: bool) -> None:
    """`validate` and `plan` end with 0 or 1 on any bytes, as a manifest and as the project file, and never with an internal error."""
    (tmp_path / "all.yaml").write_bytes(SIMULATED.encode() if project else data)
    (tmp_path / "sharectl.yaml").write_bytes(data if project else b"apiVersion: sharectl/v1\nkind: Project\n")
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["-C", str(tmp_path), command])
    assert code in {0, 1}, err.getvalue()
    assert "Traceback" not in err.getvalue()
    assert "error[internal]" not in err.getvalue()
    assert (code == 0) is ("error[" not in err.getvalue())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.one_of(
            st.sampled_from(["plan", "state", "show", "rm", "--target", "-o", "-C", "-", "--", "=", "share/x"]),
            st.text(max_size=6),
        ),
        max_size=5,
    )
)
def test_no_command_line_makes_a_traceback(tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Any words end with one of the documented codes."""
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.chdir(tmp_path)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    assert code in {0, 1, 64}, err.getvalue()
    assert "error[internal]" not in err.getvalue()
