"""Pictures of dependencies."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sharectl.render.graph import dot, mermaid
from sharectl.render.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Golden = Callable[[str, Iterable[str]], None]

NODES = (
    "share/home",
    "share/home/access/ip:10.0.0.0/8",
    "share_type/gold",
    "snapshot/daily",
    "create-share:share/x",
    "what",
)
EDGES = (
    ("share/home", "share_type/gold"),
    ("snapshot/daily", "share/home"),
    ("share/home/access/ip:10.0.0.0/8", "share/home"),
    ("share/home", "share_network/missing"),
)
HOSTILE = st.lists(st.text(min_size=1) | st.text('"\\`;[]{}<>#&|-\n%', min_size=1), min_size=1, max_size=5, unique=True)


def test_dot_groups_by_kind(golden: Golden) -> None:
    """An arrow goes from what needs to what is needed; a node that only an edge names is there too."""
    golden("graph.dot", dot(NODES, EDGES).splitlines())


def test_mermaid_groups_by_kind(golden: Golden) -> None:
    """As DOT."""
    golden("graph.mmd", mermaid(NODES, EDGES).splitlines())


@settings(deadline=None)
@given(HOSTILE)
@example(["backend"])
def test_no_name_breaks_out_of_a_dot_label(names: list[str]) -> None:
    """Each line has its form, and the label says the name."""
    text = dot(names, [(names[0], names[-1])])
    lines = text.splitlines()
    labels = [match[1] for line in lines if (match := re.fullmatch(r'    n\d+ \[label="((?:[^"\\]|\\.)*)"\];', line))]
    assert sorted(re.sub(r"\\(.)", r"\1", label) for label in labels) == sorted(visible(name) for name in names)
    frame = re.compile(
        r'digraph sharectl \{|  rankdir=LR;|  node \[shape=box\];|  subgraph cluster_\d+ \{|    label="(?:[^"\\]|\\.)*";|  \}|\}|  n\d+ -> n\d+;'
    )
    assert sum(frame.fullmatch(line) is not None for line in lines) == len(lines) - len(labels)


@settings(deadline=None)
@given(HOSTILE)
@example(["backend"])
def test_no_name_breaks_out_of_a_mermaid_label(names: list[str]) -> None:
    """Each line has its form, and the label says the name in character codes."""
    lines = mermaid(names, [(names[0], names[-1])]).splitlines()
    labels = [match[1] for line in lines if (match := re.fullmatch(r'    n\d+\["((?:[\w ./-]|#\d+;)*)"\]', line))]
    decoded = (html.unescape(re.sub(r"#(\d+);", r"&#\1;", label)) for label in labels)
    assert sorted(decoded) == sorted(visible(name) for name in names)
    frame = re.compile(r'flowchart LR|  subgraph group\d+\["[^"]*"\]|  end|  n\d+ --> n\d+')
    assert sum(frame.fullmatch(line) is not None for line in lines) == len(lines) - len(labels)
