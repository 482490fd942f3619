"""A saved plan whose checksum was made anew after a change: it is refused, or it is still a plan that shows what it does."""

from __future__ import annotations

import copy
import hashlib
import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from sharectl.model.diagnostics import DiagnosticError
from sharectl.model.verbs import Verb
from sharectl.planner.saved.document import plan_to_document
from sharectl.render.diagnostics import diagnostics_lines
from sharectl.render.plan_json import plan_object
from sharectl.render.plan_markdown import plan_markdown
from sharectl.render.plan_text import plan_lines
from sharectl.workspace.planfile import read_plan_file, write_plan_file
from tests.planner.model import settle
from tests.planner.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OTHERS = (None, True, -1, 0, 1.5, (1 << 64) - 1, "", "unknown", [], ["unknown"], {}, {"unknown": 1})


def _world() -> World:
    """Return a world whose plan has steps of many kinds."""
    world = World("x", "y").wants("kept").wants("goes", deletion_policy="delete").wants("grows").wants("opens")
    settle(world)
    world.drops("share/goes")
    world.wants("grows", "2GiB").wants("opens", access=["ip:10.0.0.1=rw"])
    world.wants("new", access=["ip:10.0.0.2=ro"]).wants_snapshot("s", "kept")
    return world


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the document of a plan that is sound."""
    return orjson.loads(orjson.dumps(plan_to_document(_world().plan())))


def _saved(document: object, path: Path) -> Path:
    body = orjson.dumps(document)
    checksum = hashlib.blake2b(body, digest_size=16).hexdigest()
    path.write_bytes(b'{"checksum":"' + checksum.encode() + b'","plan":' + body + b"}\n")
    return path


def _places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every value in a document."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from _places(part, (*path, key))


def _changed(document: dict[str, Any], path: tuple[str | int, ...], value: object, *, drop: bool = False) -> Any:  # noqa: ANN401 - a document
    changed = copy.deepcopy(document)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    if drop:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return changed


def test_whatever_one_value_becomes_the_plan_is_refused_or_sound(document: dict[str, Any], tmp_path: Path) -> None:
    """Each value in turn is taken out, or becomes each of a dozen others: a diagnostic without words of Python or a plan, and no other exception."""
    steps = 0
    refusals: list[str] = []
    for path in _places(document):
        for number, value in enumerate((*_OTHERS, None)):
            drop = number == len(_OTHERS)
            try:
                plan = read_plan_file(_saved(_changed(document, path, value, drop=drop), tmp_path / "plan"))
            except DiagnosticError as refused:
                refusals.append(str(refused))
                continue
            write_plan_file(tmp_path / "again", plan)
            assert read_plan_file(tmp_path / "again") == plan
            steps += len(list(plan_lines(plan)))
            assert plan_object(plan)
            assert list(plan_markdown(plan))
            assert list(diagnostics_lines(plan.diagnostics, color=False)) or not plan.diagnostics
    assert steps
    assert refusals
    assert [text for text in refusals if re.search(r"Error: |Spec |__init__|NoneType", text)] == []


def _step(document: dict[str, Any], verb: str) -> int:
    return next(number for number, step in enumerate(document["steps"]) if step["verb"] == verb)


@pytest.mark.parametrize(
    ("verb", "path", "value"),
    [
        ("extend-share", ("spec", "size_bytes"), 5 << 30),
        ("create-share", ("spec", "size_bytes"), 5 << 30),
        ("extend-share", ("verb",), "delete-share"),
        ("extend-share", ("verb",), "shrink-share"),
        ("delete-share", ("address",), "share/kept"),
        ("delete-share", ("action",), "update"),
        ("delete-share", ("backend",), "unknown"),
        ("create-share", ("candidates", 0, "backend"), "unknown"),
        ("create-snapshot", ("spec", "share"), 7),
        ("create-snapshot", ("waits_for",), ["create-share:share/none"]),
        ("update-access", ("rules", 0, "access_to"), "0.0.0.0/0"),
        ("update-access", ("rules", 0, "access_level"), "rw+"),
        ("create-share", ("spec", "protocol"), "FTP"),
    ],
)
def test_what_is_not_shown_or_cannot_be_is_refused(
    document: dict[str, Any], tmp_path: Path, verb: str, path: tuple[str | int, ...], value: object
) -> None:
    """By a diagnostic that says which step."""
    changed = _changed(document, ("steps", _step(document, verb), *path), value)
    with pytest.raises(DiagnosticError) as refused:
        read_plan_file(_saved(changed, tmp_path / "plan"))
    assert refused.value.diagnostics[0].code == "plan.not-a-plan"


def test_steps_that_wait_for_each_other_are_refused(document: dict[str, Any], tmp_path: Path) -> None:
    """They would never begin."""
    changed = copy.deepcopy(document)
    first, last = changed["steps"][0], changed["steps"][-1]
    first["waits_for"], last["waits_for"] = [last["id"]], [first["id"]]
    with pytest.raises(DiagnosticError, match="waits for"):
        read_plan_file(_saved(changed, tmp_path / "plan"))


def test_a_backend_without_lanes_is_refused(document: dict[str, Any], tmp_path: Path) -> None:
    """Nothing would ever run on it."""
    name = next(iter(document["backends"]))
    with pytest.raises(DiagnosticError, match="lanes"):
        read_plan_file(_saved(_changed(document, ("backends", name, "lanes"), 0), tmp_path / "plan"))


def test_a_sound_plan_is_read(document: dict[str, Any], tmp_path: Path) -> None:
    """As it was written."""
    assert plan_to_document(read_plan_file(_saved(document, tmp_path / "plan"))) == document


def test_a_plan_that_another_program_has_laid_out_anew_is_read(tmp_path: Path) -> None:
    """It says the same."""
    made = _world().plan()
    write_plan_file(tmp_path / "plan", made)
    anew = orjson.loads((tmp_path / "plan").read_bytes())
    (tmp_path / "plan").write_bytes(orjson.dumps(anew, option=orjson.OPT_INDENT_2))
    assert read_plan_file(tmp_path / "plan") == made


def test_a_plan_without_a_line_or_with_one_twice_is_refused(tmp_path: Path) -> None:
    """Whichever it is; the file was changed or cut short."""
    write_plan_file(tmp_path / "plan", _world().plan())
    lines = (tmp_path / "plan").read_bytes().splitlines(keepends=True)
    assert len(lines) > 5
    for number, line in enumerate(lines):
        before, after = lines[:number], lines[number + 1 :]
        for damaged in ([*before, *after], [*before, line, line, *after], [*before, line[: len(line) // 2]]):
            (tmp_path / "damaged").write_bytes(b"".join(damaged))
            with pytest.raises(DiagnosticError) as refused:
                read_plan_file(tmp_path / "damaged")
            assert refused.value.diagnostics[0].code == "plan.not-a-plan"
    (tmp_path / "damaged").write_bytes(b"".join((*lines, lines[2])))
    with pytest.raises(DiagnosticError, match="changed or cut short"):
        read_plan_file(tmp_path / "damaged")


def test_a_share_that_is_forgotten_with_its_access_is_read_again(tmp_path: Path) -> None:
    """The step ends the access on the backend before it forgets the share, and is as sound as any other."""
    world = World("x").wants("a", access=["ip:10.0.0.1"]).wants("kept")
    settle(world)
    made = world.drops("share/a").plan()
    assert [(step.verb, step.backend) for step in made.steps] == [(Verb.FORGET, "x")]
    write_plan_file(tmp_path / "plan", made)
    assert read_plan_file(tmp_path / "plan") == made
