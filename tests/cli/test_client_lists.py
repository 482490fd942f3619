"""Client lists on the command line: what a changed one changes, who uses one, and what it cannot do unnoticed."""

from __future__ import annotations

import json

import pytest

from tests.cli.console import Console, run

HEAD = "---\napiVersion: sharectl/v1\nkind"
USERS = 6


def write_list(console: Console, clients: str, more: str = "") -> None:
    """Write the list `lab`."""
    console.write("lists.yaml", f"{HEAD}: ClientList\nmetadata: {{name: lab}}\nspec: {{clients: [{clients}]}}\n{more}")


@pytest.fixture
def listed(console: Console) -> Console:
    """Return a repository, applied, whose shares but the last name the list `lab`, which another list holds."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    backend = (
        f"{HEAD}: Backend\nmetadata: {{name: nas}}\nspec: {{driver: directory, config: {{root: s, exportHost: nas}}}}\n"
    )
    rule = "{type: clients, to: lab, level: rw}"
    shares = (
        f"{HEAD}: Share\nmetadata: {{name: s{number}}}\nspec: {{size: 1GiB, protocol: NFS, access: [{{type: ip, to: 10.9.0.{number + 1}, level: ro}}"
        f"{f', {rule}' if number < USERS else ''}]}}\n"
        for number in range(USERS + 1)
    )
    console.write("all.yaml", backend + "".join(shares))
    all_lists = f"{HEAD}: ClientList\nmetadata: {{name: all}}\nspec: {{lists: [lab]}}\n"
    document = (
        f"{HEAD}: AccessRule\nmetadata: {{name: r}}\nspec: {{shares: [s{USERS}], type: clients, to: all, level: ro}}\n"
    )
    console.write("more.yaml", all_lists + document)
    write_list(console, "10.0.0.1, 10.0.0.2, 10.1.0.0/24")
    assert console("apply", "--yes").code == 0
    return console


def exported(console: Console, name: str) -> set[str]:
    """Return who is in the export of a share."""
    texts = (path.read_text(encoding="utf-8") for path in (console.root / "s/.sharectl/exports.d").iterdir())
    line = next(text.splitlines()[-1] for text in texts if f"/{name}" in text)
    return {word.partition(",")[0] for word in line.split(" ")[1:]}


def test_the_clients_of_a_list_get_what_the_rule_says(listed: Console) -> None:
    """Beside the rules that a share has itself; and then nothing is to be done."""
    clients = {"10.0.0.1(rw", "10.0.0.2(rw", "10.1.0.0/24(rw"}
    assert exported(listed, "s0") == {"10.9.0.1(ro", *clients}
    assert exported(listed, "s6") == {"10.9.0.7(ro", *(client.replace("rw", "ro") for client in clients)}
    assert listed("plan", "--detailed-exitcode").code == 0


def test_a_changed_list_is_a_change_of_each_share_that_uses_it(listed: Console) -> None:
    """The plan names the list as the reason; with a rule that is gone, the manifest too, which may have been what gave it."""
    write_list(listed, "10.0.0.1, 10.0.0.2, 10.1.0.0/24, 10.2.0.0/16")
    plan = json.loads(listed("plan", "-o", "json").out)
    assert {step["address"] for step in plan["steps"]} == {f"share/s{number}" for number in range(USERS + 1)}
    assert {step["reason"] for step in plan["steps"]} == {"client_list/lab says so"}
    write_list(listed, "10.0.0.1, 10.1.0.0/24, 10.2.0.0/16")
    reasons = {
        step["address"]: step["reason"]
        for step in json.loads(listed("plan", "--allow-revocations", "9", "-o", "json").out)["steps"]
    }
    assert reasons["share/s0"] == "its manifest and client_list/lab say so"
    assert reasons["share/s6"] == "its manifest, client_list/all and client_list/lab say so"
    assert listed("apply", "--yes", "--allow-revocations", "9").code == 0
    assert exported(listed, "s0") == {"10.9.0.1(ro", "10.0.0.1(rw", "10.1.0.0/24(rw", "10.2.0.0/16(rw"}
    assert listed("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("clients", ["", "10.0.0.1"])
def test_a_list_that_loses_clients_is_held_to_the_limits_of_revocations(listed: Console, clients: str) -> None:
    """Those of all shares are counted; nothing is taken away until the number is repeated."""
    write_list(listed, clients)
    count = (USERS + 1) * (2 if clients else 3)
    ended = listed("apply", "--yes")
    assert ended.code == 1
    assert f"--allow-revocations {count}" in ended.err
    assert len(exported(listed, "s0")) == 4
    assert listed("apply", "--yes", "--allow-revocations", str(count)).code == 0
    assert exported(listed, "s0") == {"10.9.0.1(ro", *(["10.0.0.1(rw"] if clients else [])}


def test_a_list_that_is_missing_takes_nothing_away(listed: Console) -> None:
    """Its file may be of another branch: each share and list that names it is told."""
    (listed.root / "lists.yaml").unlink()
    ended = listed("apply", "--yes")
    assert ended.code == 1
    assert ended.err.count("there is no ClientList 'lab'") == USERS + 1
    assert len(exported(listed, "s0")) == 4


def test_rules_of_a_list_are_not_lost_where_their_document_is_not_named(listed: Console) -> None:
    """As those of any AccessRule."""
    ended = listed("plan", "-f", "all.yaml", "-f", "lists.yaml", "--allow-revocations", "9")
    assert ended.code == 1
    assert "share/s6 would lose access that no file named with -f describes" in ended.err


def test_show_says_which_list_a_rule_comes_from_and_who_uses_a_list(listed: Console) -> None:
    """In text and in JSON."""
    assert "  ip:10.0.0.1 ro  client_list/lab\n" in listed("show", "share/s6").out
    rules = json.loads(listed("show", "share/s6", "-o", "json").out)["access"]
    assert {rule["access_to"]: rule["client_list"] for rule in rules} == {
        **dict.fromkeys(["10.0.0.1", "10.0.0.2", "10.1.0.0/24"], "client_list/lab"),
        "10.9.0.7": None,
    }
    shown = listed("show", "client_list/lab").out
    assert "10.1.0.0/24" in shown
    assert shown.endswith("Shares that use it\n" + "".join(f"  share/s{number}\n" for number in range(USERS + 1)))
    assert json.loads(listed("show", "client_list/all", "-o", "json").out)["used_by"] == ["share/s6"]


def test_the_graph_shows_the_lists(listed: Console) -> None:
    """With what names them."""
    drawn = listed("graph", "--format", "mermaid").out
    names = dict(
        line.strip().rstrip('"]').split('["')[::-1]
        for line in drawn.splitlines()
        if '["' in line and "subgraph" not in line
    )
    names = {name.replace("#95;", "_"): node for name, node in names.items()}
    for dependant, needed in (("share/s0", "lab"), ("share/s6", "all"), ("client_list/all", "lab")):
        assert f"{names[dependant]} --> {names[f'client_list/{needed}']}" in drawn


def test_a_list_is_no_target(listed: Console) -> None:
    """It says what is; the address is completed for `show` all the same."""
    ended = listed("plan", "--target", "client_list/lab")
    assert ended.code == 1
    assert "client_list/lab is never planned by itself" in ended.err


def test_lists_come_from_standard_input_too(listed: Console) -> None:
    """Beside the rest."""
    whole = "".join(
        (listed.root / name).read_text(encoding="utf-8") for name in ("all.yaml", "lists.yaml", "more.yaml")
    )
    assert run("plan", "-f", "-", "--detailed-exitcode", cwd=listed.root, stdin=whole.encode()).code == 0


def test_a_list_that_kustomize_has_left_out_is_told_as_such(listed: Console) -> None:
    """Where manifests come from standard input; in a file somebody has forgotten it."""
    (listed.root / "lists.yaml").unlink()
    whole = "".join((listed.root / name).read_text(encoding="utf-8") for name in ("all.yaml", "more.yaml"))
    said = run("plan", "-f", "-", cwd=listed.root, stdin=whole.encode()).err
    assert "there is no ClientList 'lab'" in said
    assert "it leaves out kinds whose name ends in List (before 5.5)" in said
    assert "kustomize" not in listed("plan").err


UNFIT = f"""{HEAD}: Backend
metadata: {{name: lin}}
spec:
  driver: linux
  config: {{addresses: [192.0.2.10], pools: {{fast: {{type: btrfs, path: /srv/fast}}}}, smb: {{users: {{alice: {{password: {{env: PW}}}}}}}}}}
{HEAD}: ClientList
metadata: {{name: lab}}
spec: {{clients: [10.0.0.1, 10.0.0.2, 10.1.0.0/24]}}
{HEAD}: Share
metadata: {{name: s}}
spec:
  size: 1GiB
  protocol: CIFS
  access: [{{type: user, to: alice, level: rw}}, {{type: ip, to: 10.9.0.1, level: ro}}, {{type: clients, to: lab, level: ro}}]
"""


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_what_no_client_of_a_list_can_be_given_is_told_once(console: Console, command: str) -> None:
    """At the list, with how many; a rule of the share is told by itself."""
    console.write("sharectl.yaml", "apiVersion: sharectl/v1\nkind: Project\n")
    console.write("all.yaml", UNFIT)
    ended = console(command)
    assert ended.code == 1
    assert ended.err.count("error[access.unfit]") == 2
    assert "the rule ip:10.9.0.1 of share/s cannot be put in force on backend lin: Samba" in ended.err
    told = "3 rules of share/s, for clients of client_list/lab, cannot be put in force on backend lin: Samba"
    assert told in ended.err
    assert "all.yaml:11:18" in ended.err
