"""Kinds and addresses: made, taken apart and told apart by `sharectl.model.kinds`, and nowhere else."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from sharectl.model.kinds import Kind, address_of, is_of, kind_of, name_of, of_kind, resource_of, rule_address
from sharectl.model.table import SPECS

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = Path(__file__).resolve().parents[2] / "sharectl"
ELSEWHERE: Final = sorted(
    path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE / "model"
)
_PREFIX: Final = re.compile(rf"(^|[^\w/])({'|'.join(Kind)})/$|/access/$")
_KINDS: Final = frozenset(map(str, Kind))
_SPECS: Final = frozenset(spec.__name__ for spec in SPECS.values())


def spelled_out(source: str) -> Iterator[str]:
    """Yield the places of a module that spell a kind or an address by hand, or ask a spec for its class."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = _PREFIX.fullmatch(node.value) is not None
        elif isinstance(node, ast.JoinedStr):
            pairs = zip(node.values, node.values[1:], strict=False)
            found = any(
                isinstance(before, ast.Constant)
                and _PREFIX.search(str(before.value))
                and isinstance(after, ast.FormattedValue)
                for before, after in pairs
            )
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            found = not _SPECS.isdisjoint(name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name))
        elif isinstance(node, ast.Compare):
            compared = [part.value for part in (node.left, *node.comparators) if isinstance(part, ast.Constant)]
            found = "kind" in ast.unparse(node) and not _KINDS.isdisjoint(map(str, compared))
        else:
            continue
        if found:
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("module", ELSEWHERE)
def test_no_other_module_spells_addresses_or_kinds(module: str) -> None:
    """`address_of`, `is_of` and `kind_of` are the one way; what depends on the kind is in a table."""
    assert list(spelled_out((PACKAGE / module).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        'address.startswith("share/")',
        'f"share/{name}"',
        'f"the {kind} is on share_network/{network}"',
        'address.partition("/access/")[0]',
        'record.kind == "snapshot"',
        "isinstance(step.spec, ShareSpec | SnapshotSpec)",
    ],
)
def test_what_is_spelled_by_hand_is_found(source: str) -> None:
    """The check above sees each of the forms that there were."""
    assert list(spelled_out(source))


def test_an_access_rule_is_of_no_kind_but_its_own() -> None:
    """Its address begins with that of its share, which it is not."""
    rule = rule_address(address_of(Kind.SHARE, "home"), "ip:10.0.0.0/8")
    assert kind_of(rule) is Kind.ACCESS_RULE
    assert not is_of(Kind.SHARE, rule)
    assert of_kind(Kind.SHARE, [rule, resource_of(rule)]) == ["share/home"]


@pytest.mark.parametrize("kind", Kind)
def test_an_address_tells_its_kind_and_name(kind: Kind) -> None:
    """Of every kind, also where the name begins with that of a kind."""
    address = address_of(kind, "share")
    assert (kind_of(address), name_of(address), is_of(kind, address)) == (kind, "share", True)
    assert [other for other in Kind if is_of(other, address)] == [kind]
