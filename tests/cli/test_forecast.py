"""Pools by type and after the plan, and explanations of shares that are still on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from tests.cli.conftest import SIMULATED
from tests.cli.test_import import stray

if TYPE_CHECKING:
    from tests.cli.console import Console

SHARE = "---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {}}}\nspec: {{size: 100GiB, protocol: NFS}}\n"
TYPE = "---\napiVersion: sharectl/v1\nkind: ShareType\nmetadata: {name: fast}\nspec: {extraSpecs: {driver_handles_share_servers: false, ssd: '<is> True'}}\n"


def test_pools_of_a_type(applied: Console) -> None:
    """Only those that it may use; an unknown type is answered with those that there are."""
    applied.write("types.yaml", TYPE)
    assert "None of the 1 pools" in applied("pools", "--type", "fast").out
    ended = applied("pools", "--type", "fasd")
    assert ended.code == 1
    assert 'did you mean "fast"?' in ended.err


def test_pools_after_the_plan(simulated: Console) -> None:
    """What is left once the manifests are applied, before they are."""
    pools = orjson.loads(simulated("pools", "--after-plan", "-o", "json").out)
    assert pools["pools"][0]["host"] == "sim#gold1"
    assert simulated("pools", "--after-plan", "--simulate", "1x100GiB", "--sort", "free").code == 0
    assert simulated("apply", "--yes").code == 0
    text = SIMULATED.replace("size: 2GiB", "size: 3GiB").replace("name: one,", "name: uno,")
    simulated.write("all.yaml", text)
    assert simulated("pools", "--after-plan").code == 0


def test_the_one_new_share_is_meant(applied: Console) -> None:
    """`explain -f FILE` needs no address where FILE describes one new share; where there are several it asks which."""
    applied.write("new.yaml", SHARE.format("fresh"))
    assert "share/fresh" in applied("explain", "-f", "new.yaml").out
    applied.write("new.yaml", SHARE.format("fresh") + SHARE.format("second"))
    assert "share/fresh" in applied("explain", "-f", "new.yaml").err
    assert applied("explain", "-f", "nothing.yaml").code == 1


def test_a_backend_that_does_not_answer_is_shown_from_the_state(applied: Console) -> None:
    """What is shown is what the state last knew, and that is said; only who says that it is meant has success."""
    fault = "    faults: [{call: list_shares, effect: unavailable}]\n"
    applied.write("all.yaml", SIMULATED.replace("---\n", f"{fault}---\n", 1))
    shown = applied("show", "share/one")
    assert shown.code == 1
    assert "what is shown is what the state last knew" in shown.err
    assert "sim#gold1" in shown.out
    assert applied("show", "share/one", "--allow-unreadable", "sim").code == 0


def test_a_rule_that_no_manifest_can_describe_is_left_out_of_it(applied: Console) -> None:
    """It would make the repository invalid: it is named, the manifest is valid without it, the next plan shows that it ends, and the exit code says so."""
    stray(applied, "odd", protocol="CIFS", access='[["ip", "no address", "rw"]]')
    ended = applied("import", "--all", "--backend", "sim", "--write", "taken", "--yes")
    assert ended.code == 1
    assert "warning[import.rule]" in ended.err
    assert "Left out: the access rule ip:no address rw" in (applied.root / "taken" / "imported-sim.yaml").read_text()
    assert applied("validate").code == 0
    assert "- access ip:no address rw" in applied("plan").out
