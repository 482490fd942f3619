"""`sharectl clients resolve`, asking a name service that answers from files of its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.cli.console import COMMAND, PATIENCE_SECONDS, Ended, environment
from tests.namespaces import WITHOUT_LABS

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = {"10.0.0.5": "ws01.lab ws01", "2001:db8::5": "ws01.lab", "10.0.0.6": "ws02.lab", "127.0.1.1": "me.lab"}
NETGROUPS = "nodes (n1,,) (n2.lab,-,) more\nmore (ws02.lab,,)\nanybody (,root,)\nusers (-,root,)\n"
MOUNTED = WITHOUT_LABS + 'mount -t overlay -o "lowerdir=$0:/etc" overlay /etc || exit 77; exec "$@"'


@dataclass(frozen=True, slots=True)
class Network:
    """A folder to work in, on a machine whose names come from files in `etc`."""

    root: Path
    etc: Path

    def knows(self, hosts: dict[str, str]) -> None:
        """Let the hosts have these addresses: names by address."""
        text = "".join(f"{address} {names}\n" for address, names in hosts.items())
        (self.etc / "hosts").write_text(text, encoding="utf-8")

    def resolve(self, *words: str) -> Ended:
        """Run the command."""
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTED, str(self.etc)]
        done = subprocess.run(
            [*command, *COMMAND, "clients", "resolve", *words],
            cwd=self.root,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode == 77:
            pytest.skip(f"needs an overlay over /etc: {done.stderr}")
        return Ended(done.returncode, done.stdout, done.stderr)

    def text(self) -> str:
        """Return what is in the file `lab.yaml`."""
        return (self.root / "lab.yaml").read_text(encoding="utf-8")


@pytest.fixture
def network(tmp_path: Path) -> Network:
    """Return a machine that knows three hosts, itself and some netgroups."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a name service of its own")
    found = Network(tmp_path / "work", tmp_path / "etc")
    found.root.mkdir()
    found.etc.mkdir()
    found.knows(HOSTS | {"10.0.0.21": "n1", "10.0.0.3": "n2.lab"})
    (found.etc / "nsswitch.conf").write_text("passwd: files\nhosts: files\nnetgroup: files\n", encoding="utf-8")
    (found.etc / "netgroup").write_text(NETGROUPS, encoding="utf-8")
    return found


def test_names_and_netgroups_become_a_list_that_others_can_read(network: Network) -> None:
    """IPv4 before IPv6, the names in the order in which they were given; the netgroup with those in it."""
    ended = network.resolve("ws01.lab", "@nodes", "ws01", "--name", "lab")
    assert ended.code == 0, ended.err
    _, _, spec = ended.out.partition("spec:\n")
    assert spec == (
        "  names:\n    ws01.lab:\n      - 10.0.0.5\n      - 2001:db8::5\n"
        '    "@nodes":\n      - 10.0.0.3\n      - 10.0.0.6\n      - 10.0.0.21\n    ws01:\n      - 10.0.0.5\n'
    )


def test_a_file_is_written_looked_up_again_and_added_to(network: Network) -> None:
    """Only what is new is different, and where nothing is, the file is not touched."""
    assert network.resolve("ws01.lab", "ws02.lab", "--write", "lab.yaml").code == 0
    first = network.text()
    assert "name: lab\n" in first
    assert "lab.yaml is up to date" in network.resolve("--write", "lab.yaml").err
    assert network.resolve("--check", "lab.yaml").code == 0
    network.knows({**HOSTS, "10.0.0.6": "other", "10.0.0.9": "ws02.lab", "10.0.0.21": "n1"})
    ended = network.resolve("--check", "lab.yaml")
    assert (ended.code, ended.out) == (2, "ws02.lab: -10.0.0.6 +10.0.0.9\n")
    assert network.text() == first
    assert network.resolve("n1", "--write", "lab.yaml").code == 0
    assert network.text() == first.replace("10.0.0.6", "10.0.0.9") + "    n1:\n      - 10.0.0.21\n"


def test_a_name_without_an_address_fails_and_nothing_is_written(network: Network) -> None:
    """All such names are told, each with the reason: also those that only this machine knows under that address."""
    assert network.resolve("ws01.lab", "--write", "lab.yaml").code == 0
    before = network.text()
    wrong = ["ws09.lab", "*.lab", "10.0.0.1", "10.0.0.0/8", "me.lab", "@anybody", "@users", "@nowhere", "-x"]
    ended = network.resolve("--write", "lab.yaml", "ws02.lab", "--", *wrong)
    assert (ended.code, ended.out, network.text()) == (1, "", before)
    assert [name for name in wrong if f"error[clients.unresolved]: {name}: " not in ended.err] == []
    assert "me.lab resolves to 127.0.1.1, which is this machine itself" in ended.err
    assert "ws02.lab" not in ended.err
    network.knows({})
    assert network.resolve("--check", "lab.yaml").code == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "there is no name to look up"),
        (["ws01.lab"], "the ClientList has no name"),
        (["ws01.lab", "--name", "Lab"], "'Lab' cannot be the name of a ClientList"),
        (["ws01.lab", "--write", "a", "--check", "b"], "--check writes nothing"),
        (["ws01.lab", "--check", "b"], "--check writes nothing"),
        (["--check", "b.yaml"], "b.yaml could not be read: No such file or directory"),
        (["--write", "b.yaml"], "there is no name to look up"),
        (["ws01.lab", "--write", "dev/full.yaml"], "could not be written"),
    ],
)
def test_what_cannot_be_meant_is_refused(network: Network, words: list[str], problem: str) -> None:
    """With what to write instead."""
    (network.root / "dev").write_text("no folder", encoding="utf-8")
    ended = network.resolve(*words)
    assert ended.code != 0
    assert problem in ended.err
