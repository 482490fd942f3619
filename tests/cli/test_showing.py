"""What is shown where something failed, where manifests have mistakes, and to programs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from sharectl.model.records import BeginOperation, PutRun
from sharectl.state.sqlite.store import open_store
from sharectl.state.testing.samples import ALICE, RUN, make_operation

if TYPE_CHECKING:
    from tests.cli.console import Console

BROKEN = "kind: [\n"


def change(console: Console, *pairs: tuple[str, str]) -> None:
    """Change the manifests."""
    text = (console.root / "all.yaml").read_text(encoding="utf-8")
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after, 1)
    console.write("all.yaml", text)


def test_show_after_a_failure_says_what_is_recorded_first(applied: Console) -> None:
    """Then what the manifest wants, then the last error; no longer once it is done."""
    faults = '    faults: [{call: extend_share, effect: error, message: "the array says no"}]\n---\n'
    change(applied, ("---\n", faults), ("size: 1GiB", "size: 3GiB"), ("{team: a}", "{team: c}"))
    assert applied("apply", "--yes").code == 1
    shown = applied("show", "share/one")
    assert shown.code == 0
    recorded, _, wanted = shown.out.partition("Changes in its manifest that are not applied yet")
    assert "1GiB (its manifest says 3GiB)" in recorded
    assert "~ size  1GiB → 3GiB" in wanted
    assert "Last error" in wanted
    assert "the array says no" in wanted.partition("Last error")[2]
    plain = orjson.loads(applied("show", "share/one", "-o", "json").out)
    assert {"field": "size", "before": "1GiB", "after": "3GiB"} in plain["wanted"]
    assert plain["last_error"]["verb"] == "extend-share"
    assert "the array says no" in plain["last_error"]["error"]
    change(applied, (faults, "---\n"))
    assert applied("apply", "--yes").code == 0
    mended = orjson.loads(applied("show", "share/one", "-o", "json").out)
    assert (mended["wanted"], mended["last_error"]) == ([], None)


@pytest.mark.parametrize("output", ["text", "json"])
def test_show_knows_every_kind(applied: Console, output: str) -> None:
    """Also those that are nothing but a manifest."""
    applied.write(
        "more.yaml",
        "apiVersion: sharectl/v1\nkind: ShareType\nmetadata: {name: gold}\nspec: {extraSpecs: {thin_provisioning: 'true'}}\n"
        "---\napiVersion: sharectl/v1\nkind: SecurityService\nmetadata: {name: ad}\nspec: {type: ldap, dnsIp: 10.0.0.5, server: ldap.example.org, domain: example.org}\n",
    )
    if applied("validate").code:
        applied.write(
            "more.yaml",
            "apiVersion: sharectl/v1\nkind: ShareType\nmetadata: {name: gold}\nspec: {extraSpecs: {thin_provisioning: 'true'}}\n",
        )
    for address in (
        "backend/sim",
        "share_type/gold",
        "share/two",
        "snapshot/two-monday",
        "share/two/access/ip:10.0.0.1",
    ):
        shown = applied("show", address, "-o", output)
        assert shown.code == 0, shown
        assert address.partition("/access/")[0] in shown.out
    assert "simulated" in applied("show", "backend/sim", "-o", output).out


@pytest.mark.parametrize(
    "command",
    [
        ("show", "share/one"),
        ("pools",),
        ("history",),
        ("state", "list"),
        ("state", "show", "share/one"),
        ("trash", "list"),
        ("refresh",),
    ],
    ids=" ".join,
)
def test_a_mistake_in_a_manifest_keeps_nobody_from_looking(applied: Console, command: tuple[str, ...]) -> None:
    """What the state knows is shown, with a warning where manifests are read at all; what would change something is refused."""
    applied.write("broken.yaml", BROKEN)
    ended = applied(*command)
    assert ended.code == 0, ended
    if command[0] not in {"history", "state"}:
        assert "warning[" in ended.err
        assert "broken.yaml:" in ended.err
    assert applied("plan").code == 1


def test_a_manifest_that_cannot_be_read_is_not_said_to_be_gone(applied: Console) -> None:
    """Neither by show nor by refresh, which answers with no removal."""
    change(applied, ("spec: {size: 1GiB", "spec: {sise: 1GiB"))
    assert "its manifest could not be read" in applied("show", "share/one").out
    assert "this plan answers with" not in applied("refresh").out


@pytest.mark.parametrize(
    "command",
    [
        ("plan",),
        ("apply", "--yes"),
        ("refresh", "--target", "share/none"),
        ("explain", "share/one"),
        ("pools", "--type", "none"),
    ],
    ids=" ".join,
)
def test_an_error_is_json_where_json_was_asked_for(applied: Console, command: tuple[str, ...]) -> None:
    """One object with format, version, the exit code and the diagnostics, on standard output; people read it on standard error."""
    if command[0] in {"plan", "apply", "explain"}:
        applied.write("broken.yaml", BROKEN)
    ended = applied(*command, "--output=json")
    plain = orjson.loads(ended.out.splitlines()[-1])
    assert (plain["format"], plain["version"], plain["exit_code"]) == ("sharectl-error", 1, ended.code)
    assert plain["diagnostics"][0]["severity"] == "error"
    assert "error[" in ended.err


def test_an_error_is_markdown_where_markdown_was_asked_for(applied: Console) -> None:
    """So that the summary of a job shows it."""
    applied.write("broken.yaml", BROKEN)
    ended = applied("plan", "-o", "markdown")
    assert ended.code == 1
    assert ended.out.startswith("## ")
    assert "broken" in ended.out


def test_a_plan_that_may_not_be_applied_is_json_too(applied: Console) -> None:
    """The limits stop an apply: its last line says why."""
    (applied.root / "all.yaml").write_text("# nothing\n", encoding="utf-8")
    ended = applied("apply", "--yes", "-o", "json")
    assert ended.code == 1
    assert orjson.loads(ended.out.splitlines()[-1])["format"] == "sharectl-error"


def rename(console: Console, *pairs: tuple[str, str]) -> None:
    """Give share `one` another name, and change more."""
    change(console, ("metadata: {name: one,", "metadata: {name: uno,"), *pairs)


def test_a_rename_that_nobody_declared_is_remarked_on(applied: Console) -> None:
    """With the annotation that makes it one; written there, the share keeps its data."""
    rename(applied)
    planned = applied("plan")
    assert "warning[share.undeclared-rename]: share/uno is like share/one" in planned.err
    assert "sharectl/moved-from: one" in planned.err
    change(applied, ("{name: uno,", "{name: uno, annotations: {sharectl/moved-from: one},"))
    planned = applied("plan")
    assert "share.undeclared-rename" not in planned.err
    assert "0 to create" in planned.out or "create" not in planned.out


def test_a_renamed_share_is_not_destroyed_by_a_name_that_the_state_does_not_know(applied: Console) -> None:
    """Nothing would be done, and "no changes" would look like done; the refusal says the name that counts."""
    rename(applied, ("{name: uno,", "{name: uno, annotations: {sharectl/moved-from: one},"))
    refused = applied("destroy", "--yes", "--target", "share/uno")
    assert refused.code == 1
    assert "error[move.not-applied]: share/uno is still share/one in the state" in refused.err
    assert applied("destroy", "--yes", "--target", "share/one").code == 0
    assert "share/one" not in applied("state", "list").out


@pytest.mark.parametrize(
    "other",
    [("size: 1GiB", "size: 5GiB"), ("protocol: NFS, deletionPolicy: trash}", "protocol: CIFS, deletionPolicy: trash}")],
    ids=["size", "protocol"],
)
def test_a_share_that_is_another_is_no_rename(applied: Console, other: tuple[str, str]) -> None:
    """Only what is alike in all that matters is proposed."""
    rename(applied, other)
    assert "share.undeclared-rename" not in applied("plan").err


def test_show_says_what_is_half_done(applied: Console) -> None:
    """And who is changing it, while somebody holds the lock; a list says so, too."""
    operation = make_operation(name="one")
    with closing(open_store(applied.root / ".sharectl/state.db", create=True)) as store:
        lease = store.acquire(ALICE, duration_seconds=60)
        store.commit(lease, [PutRun(RUN), BeginOperation(operation)])
        busy = applied("show", "share/one", "--refresh", "none")
        store.release(lease)
    assert "in motion" in busy.out
    assert "alice" in busy.out
    shown = applied("show", "share/one", "--refresh", "none")
    assert "half done" in shown.out
    assert operation.started_at in shown.out
    assert "From the state as" in shown.err
    assert " Pool usage was last noted at 20" in shown.err
    plain = orjson.loads(applied("show", "share/one", "-o", "json").out)
    assert [each["operation_id"] for each in plain["operations"]] == [operation.operation_id]
    assert "half-done" in applied("list", "--broken").out


def test_show_knows_the_document_of_an_access_rule(applied: Console) -> None:
    """With the shares that it is for; a slip in its name is told."""
    applied.write(
        "rule.yaml",
        "apiVersion: sharectl/v1\nkind: AccessRule\nmetadata: {name: lab}\nspec: {shares: [one, two], type: ip, to: 10.0.7.0/24, level: ro}\n",
    )
    shown = applied("show", "access_rule/lab")
    assert shown.code == 0
    assert "10.0.7.0/24" in shown.out
    assert "share/two" in shown.out
    assert "access_rule/lab" in applied("show", "accessrule/lob").err
