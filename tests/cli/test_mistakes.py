"""What a tired admin gets wrong, and what he is told: never a traceback, always how to go on."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.cli.conftest import SIMULATED

if TYPE_CHECKING:
    from tests.cli.console import Console

READING = (
    ("plan",),
    ("validate",),
    ("refresh",),
    ("pools",),
    ("graph",),
    ("graph", "--steps"),
    ("show", "share/x"),
    ("explain", "share/x"),
    ("apply", "--yes"),
    ("destroy", "--yes"),
    ("import", "share/x", "x"),
    ("trash", "list"),
    ("trash", "purge", "--all"),
)
OF_THE_STATE = (
    ("state", "list"),
    ("state", "show", "share/x"),
    ("state", "rm", "share/x"),
    ("state", "mv", "share/x", "share/y"),
    ("state", "pull"),
    ("history",),
    ("state", "history"),
    ("lock", "status"),
    ("unlock",),
)
WRONG_USE = {
    ("plann",): 'did you mean "plan"?',
    ("--nope",): "--nope",
    ("--", "-x"): "-x",
    ("plan", "--nope"): "--nope",
    ("plan", "-o", "yaml"): "yaml",
    ("plan", "--allow-deletions", "-1"): "--allow-deletions",
    ("plan", "--target", "one"): 'did you mean "share/one"?',
    ("plan", "--target", "shares/one"): 'did you mean "share"?',
    ("plan", "--target", "share/"): "an address is kind/name",
    ("plan", "--label", "team"): "write KEY=VALUE",
    ("plan", "--label", "team!=a"): "write KEY=VALUE",
    ("plan", "-C", "nowhere"): "there is no directory",
    ("plan", "-C", ""): "-C names no folder",
    ("plan", "--chdir="): "-C names no folder",
    ("plan", "-f", ""): "-f names nothing",
    ("fmt", ""): "-f names nothing",
    ("apply", "--lock-timeout", "5x"): "30s, 5m, 2h, 7d",
    ("apply", "-o", "json"): "pass --yes",
    ("apply",): "pass --yes, or save a plan with `sharectl plan --out FILE`",
    ("destroy", "--target", "share/one", "-o", "json"): "sharectl plan --destroy --out FILE",
    ("show", "share/one", "-o", "markdown"): "markdown is for plans",
    ("explain", "snapshot/two-monday"): "only shares are placed",
    ("import",): "import what?",
    ("import", "share/x"): "import what?",
    ("import", "--all"): "name it with --backend",
    ("import", "share/x", "--all", "--backend", "sim"): "leave out the address",
    ("import", "snapshot/x", "y"): "only shares can be imported",
    ("import", "share/x", "y", "--size", "0"): "not a size",
    ("import", "share/x", "y", "-f", "-"): "standard input",
    ("trash", "purge"): "--older-than 7d",
    ("trash", "purge", "--older-than", "7"): "30s, 5m, 2h, 7d",
    ("schema", "shares"): 'did you mean "share"?',
    ("state",): "mv",
    ("lock",): "status",
    ("trash",): "purge",
    ("state", "mv", "share/one", "share/Ö"): "small letters",
}


@pytest.mark.parametrize("arguments", WRONG_USE, ids=" ".join)
def test_wrong_use_exits_64_and_says_what_is_right(simulated: Console, arguments: tuple[str, ...]) -> None:
    """Whatever is wrong with the command line itself, the exit code is 64, and nothing is done."""
    ended = simulated(*arguments)
    assert ended.code == 64
    assert WRONG_USE[arguments] in ended.err + ended.out
    assert "Traceback" not in ended.err


def test_a_label_that_nothing_has_is_told(simulated: Console) -> None:
    """A plan narrowed by a misspelt label is empty, and looks as if all were in order."""
    ended = simulated("plan", "--label", "team=aa")
    assert ended.code == 0
    assert "warning[plan.unknown-label]: nothing has the label team=aa" in ended.err
    assert "unknown-label" not in simulated("plan", "--label", "team=a").err


def test_bytes_that_are_no_text_are_refused_wherever_they_are_named(console: Console) -> None:
    """In an address, and in the path of a folder: validate and plan say it before a state or a saved plan could not be written."""
    odd = os.fsdecode(b"n\xffs")
    assert "an address is kind/name" in console("show", f"share/{odd}").err
    (console.root / odd).mkdir()
    console.write(f"{odd}/all.yaml", SIMULATED)
    for command in (("validate",), ("plan", "--out", "p.json"), ("apply", "--yes")):
        ended = console("-C", str(console.root / odd), *command)
        assert ended.code == 64
        assert r"n\xffs is not UTF-8" in ended.err
    assert [file.name for file in (console.root / odd).iterdir()] == ["all.yaml"]


def test_a_state_at_the_root_of_all_folders_is_none(simulated: Console) -> None:
    """It has no name, from which those of the files beside it could be made."""
    simulated.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {state: {file: /}}\n")
    ended = simulated("plan")
    assert ended.code == 1
    assert "error[state.not-ours]: /" in ended.err


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_an_empty_folder_is_the_wrong_place(console: Console, arguments: tuple[str, ...]) -> None:
    """Neither project nor manifest nor state: every command says so, instead of "no changes", and leaves nothing behind."""
    ended = console(*arguments)
    assert ended.code == 1
    assert "error[project.none]" in ended.err
    assert str(console.root) in ended.err
    assert list(console.root.iterdir()) == []


@pytest.mark.parametrize("arguments", OF_THE_STATE, ids=" ".join)
def test_a_command_of_the_state_needs_one(quickstart: Console, arguments: tuple[str, ...]) -> None:
    """Before the first apply there is no state; it is not made by looking."""
    ended = quickstart(*arguments)
    assert ended.code == 1
    assert "error[state.missing]" in ended.err
    assert not (quickstart.root / ".sharectl" / "state.db").exists()


def test_a_repository_without_shares_is_fine(console: Console) -> None:
    """A project file says that this is the place: there is just nothing in it yet."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    assert console("plan").code == 0
    assert console("validate").out == "0 resources, all valid.\n"


def test_manifests_without_a_project_file_are_a_repository(console: Console) -> None:
    """Everything in sharectl.yaml has a default."""
    kind = "apiVersion: sharectl/v1\nkind: ShareType\nmetadata: {name: gold}\nspec: {extraSpecs: {driver_handles_share_servers: false}}\n"
    console.write("types.yaml", kind)
    assert console("validate").out == "1 resource, valid.\n"


def test_every_mistake_in_yaml_has_a_place(simulated: Console) -> None:
    """File, line and column, and the line itself; the same in JSON."""
    simulated.write("bad.yaml", "apiVersion: sharectl/v1\nkind: Share\nmetadata: {name: bad}\nspec: {sise: 1GiB}\n")
    ended = simulated("validate")
    assert ended.code == 1
    assert "bad.yaml:4:" in ended.err
    assert "sise" in ended.err
    found = orjson.loads(simulated("validate", "-o", "json").out)
    assert found["valid"] is False
    assert {diagnostic["source"]["path"] for diagnostic in found["diagnostics"]} == {"bad.yaml"}
    for command in ("plan", "apply", "explain share/one"):
        assert simulated(*command.split()).code == 1
    for command in ("show share/one", "pools"):
        looked = simulated(*command.split())
        assert looked.code == 0
        assert "bad.yaml:4:" in looked.err


def test_shrinking_is_found_without_asking_a_backend(applied: Console) -> None:
    """`validate` compares with the state as well."""
    text = (applied.root / "all.yaml").read_text(encoding="utf-8")
    applied.write("all.yaml", text.replace("size: 2GiB", "size: 1GiB").replace("name: one", "name: other"))
    ended = applied("validate")
    assert ended.code == 1
    assert "error[share.shrink]" in ended.err
    assert "all.yaml:19:" in ended.err
    applied.write("all.yaml", text.replace("size: 2GiB", "size: 3GiB"))
    assert applied("validate").code == 0


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("plan", "--target", "share/ona"), 'did you mean "share/one"?'),
        (("plan", "--target", "snapshot/two-munday"), 'did you mean "snapshot/two-monday"?'),
        (("refresh", "--target", "share/ona"), 'did you mean "share/one"?'),
        (("plan", "--exclude", "share/ona"), 'did you mean "share/one"?'),
        (("plan", "--backend", "sin"), 'did you mean "sim"?'),
        (("plan", "--backend", "nas"), "there are: sim"),
        (("refresh", "--backend", "sin"), 'did you mean "sim"?'),
        (("show", "share/ona"), 'did you mean "share/one"?'),
        (("explain", "share/ona"), 'did you mean "share/one"?'),
        (("pools", "--backend", "sin"), 'did you mean "sim"?'),
        (("pools", "--backend", "nas"), "there are: sim"),
        (("state", "list", "--backend", "sin"), 'did you mean "sim"?'),
        (("state", "show", "share/ona"), 'did you mean "share/one"?'),
        (("state", "rm", "share/ona"), 'did you mean "share/one"?'),
        (("state", "mv", "share/ona", "share/x"), 'did you mean "share/one"?'),
        (("state", "rm", "share/two/access/ip:10.0.0.1"), "an access rule goes with its share"),
        (("import", "share/x", "gold1/x", "--backend", "sin"), 'did you mean "sim"?'),
        (("trash", "list", "--backend", "sin"), 'did you mean "sim"?'),
        (("trash", "purge", "share/x"), "`sharectl trash list`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_typo_in_a_name_is_answered_with_what_was_meant(
    applied: Console, arguments: tuple[str, ...], meant: str
) -> None:
    """Names come from the whole of manifests and state, also where only one of them was to be read."""
    ended = applied(*arguments)
    assert ended.code == 1
    assert meant in ended.err


def test_a_resource_that_is_only_a_setting_is_not_unknown(applied: Console) -> None:
    """A backend has a row; a share type has nothing but its manifest, and that is what is shown."""
    kind = "---\napiVersion: sharectl/v1\nkind: ShareType\nmetadata: {name: gold}\nspec: {extraSpecs: {driver_handles_share_servers: false}}\n"
    applied.write("types.yaml", kind)
    assert applied("show", "backend/sim").code == 0
    ended = applied("show", "sharetype/gold")
    assert ended.code == 0
    assert "in the manifests" in ended.out
    assert "driver_handles_share_servers" in ended.out


def test_a_saved_plan_takes_no_options_that_would_make_another(simulated: Console) -> None:
    """They are refused, not ignored."""
    assert simulated("plan", "--out", "p").code == 0
    for more in (("--target", "share/one"), ("-f", "all.yaml"), ("--refresh", "none"), ("--allow-empty",)):
        ended = simulated("apply", "p", *more)
        assert ended.code == 64
        assert "usage.saved-plan" in ended.err


def test_a_stale_plan_changes_nothing(simulated: Console) -> None:
    """Its resources have changed since: that is said, and they stay as the later apply has made them."""
    assert simulated("plan", "--out", "p").code == 0
    simulated.write("all.yaml", SIMULATED.replace("size: 2GiB", "size: 3GiB"))
    assert simulated("apply", "--yes").code == 0
    ended = simulated("apply", "p")
    assert ended.code == 1
    assert "error[plan.stale]" in ended.err
    assert simulated("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff", b'{"checksum": "x", "plan": {}}'])
def test_what_is_no_plan_is_not_applied(simulated: Console, content: bytes) -> None:
    """A cut or foreign file is refused, by `apply` and by `show`."""
    (simulated.root / "p").write_bytes(content)
    for command in ("apply", "show"):
        ended = simulated(command, "p")
        assert ended.code == 1
        assert "error[plan.not-a-plan]" in ended.err


def test_files_that_cannot_be_written_or_read_are_named(quickstart: Console) -> None:
    """The path and the reason, for each command that takes a path."""
    (quickstart.root / "file").write_text("", encoding="utf-8")
    for arguments in (
        ("plan", "--out", "file/p"),
        ("schema", "--write", "file/s"),
        ("init", "file/x"),
        ("apply", "nothing.plan"),
    ):
        ended = quickstart(*arguments)
        assert ended.code == 1, arguments
        assert "file" in ended.err or "nothing.plan" in ended.err


def test_init_overwrites_nothing(quickstart: Console) -> None:
    """A second `init` in the same place is refused and changes no file."""
    before = (quickstart.root / "backends.yaml").read_bytes()
    ended = quickstart("init")
    assert ended.code == 1
    assert "error[init.exists]" in ended.err
    assert (quickstart.root / "backends.yaml").read_bytes() == before


def test_init_keeps_a_gitignore(console: Console) -> None:
    """It is the one file that is often there already."""
    console.write(".gitignore", "*.pyc\n")
    assert console("init", ".").code == 0
    assert (console.root / ".gitignore").read_text(encoding="utf-8") == "*.pyc\n"


def test_a_backend_that_was_taken_away_is_unknown_not_gone(quickstart: Console) -> None:
    """With the root renamed nothing is planned anew, `show` falls back to the state, and reading it fails loudly."""
    assert quickstart("apply", "--yes").code == 0
    (quickstart.root / "storage").rename(quickstart.root / "elsewhere")
    planned = quickstart("plan")
    assert "share/projects" not in planned.out.replace("? share/projects", "")
    assert "warning[backend.identity]" in planned.err
    assert quickstart("refresh").code == 1
    shown = quickstart("show", "share/projects")
    assert shown.code == 1
    assert "error[backend.identity]" in shown.err
    listed = quickstart("trash", "list")
    assert listed.code == 1
    assert "error[backend.identity]" in listed.err
    (quickstart.root / "elsewhere").rename(quickstart.root / "storage")
    assert quickstart("plan", "--detailed-exitcode").code == 0


def test_a_backend_that_does_not_answer_is_named(simulated: Console) -> None:
    """Its pools cannot be shown, its trash not looked into, and nothing can be imported from it."""
    text = (simulated.root / "all.yaml").read_text(encoding="utf-8")
    faults = "    faults: [{call: list_shares, effect: unavailable}, {call: pools, effect: unavailable}]\n"
    simulated.write("all.yaml", text.replace("---\n", f"{faults}---\n", 1))
    for arguments in (("pools",), ("trash", "list"), ("import", "share/one", "gold1/one"), ("trash", "purge", "--all")):
        ended = simulated(*arguments)
        assert ended.code == 1, arguments
        assert "backend sim could not be" in ended.err, arguments


def test_a_state_that_is_no_state_is_left_alone(quickstart: Console) -> None:
    """A corrupt file is refused with its name; nothing is written to it."""
    state = quickstart.write(".sharectl/state.db", "this is not a database, but somebody's notes\n" * 50)
    before = state.read_bytes()
    for arguments in (("state", "list"), ("plan",), ("apply", "--yes"), ("unlock", "--yes")):
        ended = quickstart(*arguments)
        assert ended.code == 1, arguments
        assert "error[state." in ended.err
    assert state.read_bytes() == before


def test_graph_of_a_plan_with_errors_fails(applied: Console) -> None:
    """A picture of steps that cannot be applied would mislead."""
    with sqlite3.connect(applied.root / "sim.db") as connection:
        connection.execute("DELETE FROM shares")
    connection.close()
    text = (applied.root / "all.yaml").read_text(encoding="utf-8")
    applied.write("all.yaml", text.replace("size: 2GiB", "size: 1GiB"))
    assert applied("graph", "--steps").code in {0, 1}
    assert applied("graph").code == 0


def test_a_share_type_that_was_renamed_is_told_to_keep_its_name(simulated: Console) -> None:
    """Nothing in the change of the share says that the name of its type is what is wrong; of another type nothing is said."""
    share_type = "---\napiVersion: sharectl/v1\nkind: ShareType\nmetadata: {name: %s}\nspec: {extraSpecs: {share_backend_name: sim}}\n"
    typed = SIMULATED.replace("{size: 2GiB,", "{type: gold, size: 2GiB,")
    simulated.write("all.yaml", typed + share_type % "gold")
    assert simulated("apply", "--yes").code == 0
    advice = "share_type/gold has no manifest any more: if it was renamed, give it that name again"
    simulated.write("all.yaml", typed.replace("gold", "best") + share_type % "best")
    assert advice in " ".join(simulated("plan").err.split())
    simulated.write("all.yaml", typed.replace("gold", "best") + share_type % "best" + share_type % "gold")
    ended = simulated("plan")
    assert "error[share.immutable]" in ended.err
    assert "has no manifest" not in ended.err
