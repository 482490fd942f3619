"""Dependencies as a picture: DOT for Graphviz, Mermaid for Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sharectl.model.kinds import Kind, kind_of
from sharectl.render.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_ACTIVE_IN_MERMAID: Final = re.compile(r"[^\w ./-]|_", re.ASCII)
_KINDS: Final = frozenset(Kind)


def dot(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> str:
    """Return the graph in DOT; an edge (dependant, needs) is an arrow from the dependant to what it needs.

    Nodes of a kind are in a box of their own. Nodes that only an edge names are drawn too.
    """
    ids = _ids(nodes, edges)
    lines = ["digraph sharectl {", "  rankdir=LR;", "  node [shape=box];"]
    for number, (group, members) in enumerate(_groups(ids).items()):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_dot_text(group)};"]
        lines += [f"    {ids[node]} [label={_dot_text(node)}];" for node in members]
        lines.append("  }")
    lines += [f"  {ids[dependant]} -> {ids[needed]};" for dependant, needed in edges]
    return "\n".join([*lines, "}", ""])


def mermaid(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> str:
    """Return the graph as a Mermaid flowchart; see dot()."""
    ids = _ids(nodes, edges)
    lines = ["flowchart LR"]
    for number, (group, members) in enumerate(_groups(ids).items()):
        lines.append(f'  subgraph group{number}["{_mermaid_text(group)}"]')
        lines += [f'    {ids[node]}["{_mermaid_text(node)}"]' for node in members]
        lines.append("  end")
    lines += [f"  {ids[dependant]} --> {ids[needed]}" for dependant, needed in edges]
    return "\n".join([*lines, ""])


def _ids(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return a harmless id for each node, in the order of their first mention."""
    names = dict.fromkeys(nodes)
    for edge in edges:
        names.update(dict.fromkeys(edge))
    return {name: f"n{number}" for number, name in enumerate(names)}


def _groups(nodes: Iterable[str]) -> dict[str, list[str]]:
    """Return the nodes by kind (access rules apart from shares), or by verb where they are steps."""
    groups: dict[str, list[str]] = {}
    for node in nodes:
        groups.setdefault(_group(node), []).append(node)
    return dict(sorted(groups.items()))


def _group(node: str) -> str:
    kind, separator, name = node.partition("/")
    if kind in _KINDS and separator and name:
        return kind_of(node).value
    verb, separator, _ = node.partition(":")
    return verb if separator else "other"


def _dot_text(text: str) -> str:
    """Return `text` as a quoted string of DOT, in which only the quote and the backslash mean something."""
    escaped = visible(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _mermaid_text(text: str) -> str:
    """Return `text` for a label in quotes: what Mermaid or Markdown could read as markup becomes its character code."""
    return _ACTIVE_IN_MERMAID.sub(lambda match: f"#{ord(match[0])};", visible(text))
