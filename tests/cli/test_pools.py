"""`pools` and `explain` as their user meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

if TYPE_CHECKING:
    from tests.cli.console import Console

MANIFESTS = """\
apiVersion: sharectl/v1
kind: Backend
metadata: {name: filer}
spec:
  driver: simulated
  capabilities: {tier: gold}
  capacity: {thinProvisioning: false}
  config: {stateFile: filer.db, pools: [{name: a, total: 100GiB}]}
---
apiVersion: sharectl/v1
kind: Backend
metadata: {name: other}
spec:
  driver: simulated
  capacity: {thinProvisioning: false}
  config: {stateFile: other.db, pools: [{name: b, total: 200GiB}]}
---
apiVersion: sharectl/v1
kind: ShareType
metadata: {name: gold}
spec: {extraSpecs: {driver_handles_share_servers: false, tier: gold}}
---
apiVersion: sharectl/v1
kind: ShareType
metadata: {name: lead}
spec: {extraSpecs: {driver_handles_share_servers: false, tier: lead}}
"""


def share(name: str, size: str, share_type: str = "gold", more: str = "") -> str:
    """Return the manifest of a share."""
    head = f"---\napiVersion: sharectl/v1\nkind: Share\nmetadata: {{name: {name}}}\n"
    return f"{head}spec: {{size: {size}, protocol: NFS, type: {share_type}, deletionPolicy: delete{more}}}\n"


@pytest.fixture
def repository(console: Console) -> Console:
    """Return a console in a repository with two pools and no share."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\nspec: {manifests: [all.yaml, shares/]}\n")
    console.write("all.yaml", MANIFESTS)
    console.write("shares/none.yaml", "# No share yet.\n")
    return console


def pools(console: Console, *options: str) -> dict[str, Any]:
    """Return the JSON of `pools`."""
    ended = console("pools", "-o", "json", *options)
    assert ended.code == 0, ended.err
    plain: dict[str, Any] = orjson.loads(ended.out)
    return plain


def hosts(plain: dict[str, Any]) -> list[str]:
    """Return the hosts of the pools in their order."""
    return [pool["host"] for pool in plain["pools"]]


def test_pools_are_chosen_and_ordered(repository: Console) -> None:
    """By backend, by what a share type may use, by name or figure."""
    assert hosts(pools(repository)) == ["filer#a", "other#b"]
    assert hosts(pools(repository, "--sort", "free")) == ["other#b", "filer#a"]
    assert hosts(pools(repository, "--sort", "used")) == ["filer#a", "other#b"]
    assert hosts(pools(repository, "--backend", "other")) == ["other#b"]
    assert hosts(pools(repository, "--type", "gold")) == ["filer#a"]
    assert hosts(pools(repository, "--type", "lead")) == []


def test_a_type_that_no_pool_suits_is_said(repository: Console) -> None:
    """Instead of an empty table."""
    assert repository("pools", "--type", "lead").out == "None of the 2 pools may be used by shares of type lead.\n"


def test_an_unknown_type_or_backend_is_an_error(repository: Console) -> None:
    """With the name that was meant."""
    for options in (("--type", "golt"), ("--backend", "filet")):
        ended = repository("pools", *options)
        assert ended.code == 1
        assert "did you mean" in ended.err


def test_the_pools_after_the_plan_count_new_grown_and_deleted_shares(repository: Console) -> None:
    """Without anything being applied."""
    repository.write("shares/s.yaml", share("kept", "10GiB") + share("grows", "20GiB") + share("goes", "30GiB"))
    assert repository("apply", "--yes").code == 0
    repository.write("shares/s.yaml", share("kept", "10GiB") + share("grows", "25GiB") + share("new", "7GiB"))
    (gold,) = pools(repository, "--type", "gold", "--after-plan")["pools"]
    assert gold["capabilities"]["free_capacity_gb"] == 40
    assert gold["after_plan"]["free_capacity_gb"] == 40 + 30 - 5 - 7
    assert gold["after_plan"]["used_share"] == pytest.approx(0.42)
    text = repository("pools", "--after-plan").out
    assert "FREE AFTER" in text
    assert "58.0 GiB" in text


def test_thick_shares_of_a_thin_pool_take_and_give_back_space_in_the_forecast(repository: Console) -> None:
    """As the scheduler counts those that are new: grown and deleted ones too. What is thin occupies nothing yet."""
    specs = 'driver_handles_share_servers: false, share_backend_name: both, thin_provisioning: "<is> False"'
    thick = (
        f"---\napiVersion: sharectl/v1\nkind: ShareType\nmetadata: {{name: thick}}\nspec: {{extraSpecs: {{{specs}}}}}\n"
    )
    config = "{stateFile: both.db, pools: [{name: c, total: 100GiB, free: 50GiB}]}"
    head = "---\napiVersion: sharectl/v1\nkind: Backend\nmetadata: {name: both}\n"
    spec = f"{{driver: simulated, capabilities: {{thin_provisioning: [true, false]}}, config: {config}}}"
    repository.write("all.yaml", f"{MANIFESTS}{head}spec: {spec}\n{thick}")
    repository.write("shares/s.yaml", share("grows", "20GiB", "thick") + share("goes", "30GiB", "thick"))
    assert repository("apply", "--yes").code == 0
    repository.write("shares/s.yaml", share("grows", "25GiB", "thick") + share("new", "7GiB", "thick"))
    (both,) = pools(repository, "--backend", "both", "--after-plan")["pools"]
    assert both["capabilities"]["free_capacity_gb"] == 50
    assert both["after_plan"]["free_capacity_gb"] == 50 + 30 - 5 - 7


def test_a_plan_that_cannot_place_a_share_is_shown_with_its_error(repository: Console) -> None:
    """What has a place is counted; the command fails as the plan does."""
    repository.write("shares/s.yaml", share("fits", "60GiB") + share("late", "50GiB"))
    ended = repository("pools", "--after-plan")
    assert ended.code == 1
    assert "no pool can take share/late" in ended.err
    assert "40.0 GiB" in ended.out


def test_a_simulation_tells_what_runs_out_first(repository: Console) -> None:
    """After the plan, where that is asked for."""
    repository.write("shares/s.yaml", share("new", "50GiB"))
    now = pools(repository, "--simulate", "100x10GiB type=gold")["simulation"]
    assert (now["placed"], now["by_pool"]) == (10, {"filer#a": 10})
    after = pools(repository, "--simulate", "100x10GiB type=gold", "--after-plan")["simulation"]
    assert (after["placed"], after["exhausted"][0]["host"]) == (5, "filer#a")
    assert "CapacityFilter: needs 10 GiB" in after["exhausted"][0]["sentence"]
    text = repository("pools", "--simulate", "9x100GiB").out
    assert "First to run out is" in text
    assert "Last is" in text


def test_a_pattern_that_cannot_be_read_is_refused_before_any_backend_is_asked(repository: Console) -> None:
    """With an example."""
    ended = repository("pools", "--simulate", "many")
    assert ended.code == 1
    assert "100x50GiB" in ended.err


def test_the_one_new_share_needs_no_name(repository: Console) -> None:
    """In the repository, in a file beside it, and on standard input."""
    repository.write("new.yaml", share("fresh", "10GiB"))
    assert repository("explain", "-f", "new.yaml").out.startswith("share/fresh goes to filer#a.")
    repository.write("shares/s.yaml", share("big", "95GiB"))
    assert repository("explain").out.startswith("share/big goes to filer#a.")
    told = repository("explain", "-f", "new.yaml")
    assert "With 1 other new share placed before it" in told.out
    assert "needs 10 GiB, 5.0 GiB free" in told.out
    repository.write("shares/more.yaml", share("more", "1GiB"))
    ended = repository("explain")
    assert ended.code == 1
    assert "share/big, share/more" in ended.err


def test_files_that_bring_backends_stand_alone(repository: Console) -> None:
    """As a kustomize build does."""
    repository.write("whole/all.yaml", MANIFESTS.replace("name: filer}", "name: nas}") + share("fresh", "10GiB"))
    assert repository("explain", "-f", "whole").out.startswith("share/fresh goes to nas#a.")


def test_without_a_new_share_the_question_is_which(repository: Console) -> None:
    """And mistakes in the file are told as everywhere."""
    assert "no new share" in repository("explain").err
    repository.write("new.yaml", share("fresh", "10GiB", "golt"))
    ended = repository("explain", "-f", "new.yaml")
    assert ended.code == 1
    assert "new.yaml:5" in ended.err


def test_hints_at_new_shares_hold_in_the_explanation(repository: Console) -> None:
    """A hint at a share that is placed later asks nothing yet."""
    repository.write(
        "shares/s.yaml", share("x", "10GiB", more=", schedulerHints: {sameHost: [y]}") + share("y", "5GiB")
    )
    told = repository("explain", "share/x", "-o", "json")
    assert orjson.loads(told.out)["host"] == "filer#a"
    assert orjson.loads(told.out)["placed_after"] == 0
    told = repository("explain", "share/y", "-o", "json")
    assert orjson.loads(told.out)["placed_after"] == 1


def test_a_new_share_in_a_file_of_its_own_is_counted_in_the_pools_of_the_project(repository: Console) -> None:
    """As `explain` reads it; without a plan the pools are those of the project too. Files with backends stand alone."""
    repository.write("elsewhere/new.yaml", share("new", "30GiB"))
    named = ("-f", "elsewhere/new.yaml")
    (gold,) = pools(repository, "--type", "gold", "--after-plan", *named)["pools"]
    assert gold["after_plan"]["free_capacity_gb"] == 70
    assert hosts(pools(repository, *named)) == ["filer#a", "other#b"]
    assert "filer#a" in repository("explain", "share/new", *named).out
    repository.write("elsewhere/own.yaml", MANIFESTS.partition("---")[0].replace("filer", "mine"))
    assert hosts(pools(repository, "-f", "elsewhere/own.yaml")) == ["mine#a"]
