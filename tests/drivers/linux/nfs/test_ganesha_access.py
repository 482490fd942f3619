"""Who reaches what through Ganesha: real clients in network namespaces of their own."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Client, Export, Instance, Problem, ProblemKind, Squash
from sharectl.drivers.linux.agent.nfs.ganesha.server import GaneshaServer
from tests.drivers.linux.lab import Network, need, run
from tests.drivers.linux.nfs_client import held, nfs, status_of_minor_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.linux.nfs_client import Answer

_IDS = itertools.count(1)
OP_NOT_IN_SESSION, MINOR_VERS_MISMATCH = 10071, 10021


@dataclass(frozen=True, slots=True)
class Lab:
    """A server on all addresses of its namespace, and a folder for what it exports."""

    server: GaneshaServer
    network: Network
    folder: str

    def export(self, *clients: tuple[str, str], squash: Squash = Squash.NONE) -> Export:
        """Export a new folder to the clients."""
        number = next(_IDS)
        path = Path(self.folder, f"data-{number}")
        path.mkdir(mode=0o777)
        path.chmod(0o777)
        export = Export(number, str(path), f"/shares/s{number}", _clients(*clients), squash)
        self.server.put(export)
        return export

    def nfs(self, export: Export, *words: str, host: str = "client") -> Answer:
        """Let a host do something on the export over IPv4."""
        return nfs(getattr(self.network, host), self.network.server.ipv4, export.pseudo, *words)


def _clients(*clients: tuple[str, str]) -> frozenset[Client]:
    return frozenset(Client(*client) for client in clients)


@pytest.fixture(scope="module")
def lab(network: Network, module_directory: str) -> Iterator[Lab]:
    """Give a running server."""
    need("ganesha.nfsd", "dbus-daemon")
    instance = Instance("main", f"{module_directory}/main", (), network.server.namespace_path)
    server = GaneshaServer(instance, minor_versions=(0, 1, 2))  # libnfs speaks 4.0
    server.ensure_running(lambda _export: True)
    yield Lab(server, network, module_directory)
    server.stop()


def test_a_client_with_rw_writes_and_reads(lab: Lab) -> None:
    """And the bytes are in the folder of the host."""
    export = lab.export((lab.network.client.ipv4, "rw"))
    assert lab.nfs(export, "write", "file", "100000").is_done
    assert lab.nfs(export, "put", "note", "hello").is_done
    assert lab.nfs(export, "cat", "note").text == "hello"
    assert Path(export.path, "file").stat().st_size == 100000


def test_a_client_that_no_rule_names_cannot_see_the_share(lab: Lab) -> None:
    """It is told the same as of a share that does not exist."""
    export = lab.export((lab.network.client.ipv4, "rw"))
    denied = lab.nfs(export, "ls", host="stranger")
    missing = nfs(lab.network.stranger, lab.network.server.ipv4, "/shares/nothing", "ls")
    assert not denied.is_done
    assert "NFS4ERR_NOENT" in denied.text
    assert denied.text.replace(export.pseudo, "/shares/nothing") == missing.text


def test_nobody_reaches_an_export_without_clients(lab: Lab) -> None:
    """It is there, for the rules that come."""
    export = lab.export()
    assert lab.server.live([export.export_id]) == {export.export_id: export}
    assert "NFS4ERR_NOENT" in lab.nfs(export, "ls").text


def test_a_client_with_ro_reads_and_is_refused_the_write(lab: Lab) -> None:
    """With the error that says why."""
    export = lab.export((lab.network.client.ipv4, "ro"))
    Path(export.path, "note").write_text("hello", encoding="utf-8")
    Path(export.path, "note").chmod(0o666)
    assert lab.nfs(export, "cat", "note").text == "hello"
    for words in (("write", "file", "1"), ("rm", "note"), ("mkdir", "folder")):
        assert "NFS4ERR_ROFS" in lab.nfs(export, *words).text
    assert os.listdir(export.path) == ["note"]  # noqa: PTH208 - a descriptor, or text as in the agent


@pytest.mark.parametrize(("host_level", "network_level"), [("ro", "rw"), ("rw", "ro")])
def test_the_longest_prefix_wins(lab: Lab, host_level: str, network_level: str) -> None:
    """A host in a network, a network in everything."""
    export = lab.export(
        ("0.0.0.0/0", host_level), ("10.77.1.0/24", network_level), (lab.network.client.ipv4, host_level)
    )
    assert lab.nfs(export, "mkdir", "a").is_done == (host_level == "rw")
    assert lab.nfs(export, "mkdir", "b", host="other_client").is_done == (network_level == "rw")


def test_a_host_of_ipv6_is_let_in_by_its_own_rule(lab: Lab) -> None:
    """The longest prefix wins there as well, and a rule of IPv4 opens nothing."""
    network = lab.network
    export = lab.export(("fd77::/64", "ro"), (network.client.ipv6, "rw"))
    assert nfs(network.client, network.server.ipv6, export.pseudo, "mkdir", "a").is_done
    assert "NFS4ERR_ROFS" in nfs(network.other_client, network.server.ipv6, export.pseudo, "mkdir", "b").text
    assert not lab.nfs(export, "ls").is_done


@pytest.mark.parametrize(("everybody", "is_ipv4"), [("0.0.0.0/0", True), ("::/0", False)])
def test_everybody_is_everybody_of_one_family(lab: Lab, everybody: str, is_ipv4: bool) -> None:  # noqa: FBT001 - a case says yes or no
    """`0.0.0.0/0` does not open IPv6, nor `::/0` IPv4."""
    export = lab.export((everybody, "ro"))
    assert lab.nfs(export, "ls", host="stranger").is_done == is_ipv4
    assert nfs(lab.network.stranger, lab.network.server.ipv6, export.pseudo, "ls").is_done != is_ipv4


def test_a_downgrade_holds_for_an_open_file_at_once(lab: Lab) -> None:
    """The next write through the handle is refused."""
    export = lab.export((lab.network.client.ipv4, "rw"))
    with held(lab.network.client, lab.network.server.ipv4, export.pseudo, "file") as file:
        assert file.write().is_done
        lab.server.put(replace(export, clients=_clients((lab.network.client.ipv4, "ro"))))
        assert "NFS4ERR_ROFS" in file.write().text
    assert Path(export.path, "file").stat().st_size == 1


def test_a_revocation_holds_for_an_open_file_at_once(lab: Lab) -> None:
    """And the others keep what they have."""
    export = lab.export((lab.network.client.ipv4, "rw"), (lab.network.other_client.ipv4, "rw"))
    with held(lab.network.client, lab.network.server.ipv4, export.pseudo, "file") as file:
        assert file.write().is_done
        lab.server.put(replace(export, clients=_clients((lab.network.other_client.ipv4, "rw"))))
        assert not file.write().is_done
    assert Path(export.path, "file").stat().st_size == 1
    assert lab.nfs(export, "ls", host="other_client").text == "file"


def test_a_removed_export_lets_go_of_open_files_and_of_its_mount(lab: Lab) -> None:
    """What is mounted there can be unmounted at once."""
    number = next(_IDS)
    path = Path(lab.folder, f"data-{number}")
    path.mkdir()
    run("mount", "-t", "tmpfs", "-o", "mode=0777", "tmpfs", str(path))
    export = Export(number, str(path), f"/shares/s{number}", _clients((lab.network.client.ipv4, "rw")))
    lab.server.put(export)
    with held(lab.network.client, lab.network.server.ipv4, export.pseudo, "file") as file:
        assert file.write().is_done
        assert run("umount", str(path), check=False).returncode != 0
        lab.server.remove(number)
        run("umount", str(path))
        assert not file.write().is_done
    assert lab.server.live([number]) == {}


@pytest.mark.parametrize(("squash", "owner"), [(Squash.NONE, 0), (Squash.ROOT, 65534), (Squash.ALL, 65534)])
def test_squash_decides_who_root_is(lab: Lab, squash: Squash, owner: int) -> None:
    """The owner of what a client's root makes; nobody is the same nobody as the kernel's server has."""
    export = lab.export((lab.network.client.ipv4, "rw"), squash=squash)
    assert lab.nfs(export, "mkdir", "folder").is_done
    assert Path(export.path, "folder").stat().st_uid == owner
    assert lab.server.live([export.export_id])[export.export_id].squash is squash


def test_put_again_changes_nothing(lab: Lab) -> None:
    """And is not an error."""
    export = lab.export((lab.network.client.ipv4, "rw"))
    lab.server.put(export)
    assert lab.server.live([export.export_id]) == {export.export_id: export}


def test_an_export_can_move_to_another_folder_and_name(lab: Lab) -> None:
    """Clients find the new folder under the new name, and the old name is gone."""
    old = lab.export((lab.network.client.ipv4, "rw"))
    path = Path(lab.folder, "moved")
    (path / "new").mkdir(parents=True)
    new = replace(old, path=str(path), pseudo="/shares/moved")
    lab.server.put(new)
    assert lab.nfs(new, "ls").text == "new"
    assert "NFS4ERR_NOENT" in lab.nfs(old, "ls").text


def test_remove_of_what_is_not_there_is_no_error(lab: Lab) -> None:
    """Twice neither."""
    export = lab.export((lab.network.client.ipv4, "rw"))
    for _ in range(2):
        lab.server.remove(export.export_id)
        assert export.export_id not in lab.server.live()


def test_a_folder_that_is_missing_is_refused_with_the_servers_reason(lab: Lab) -> None:
    """On one line."""
    with pytest.raises(Problem, match=r"refuses the export /shares/missing: .*") as raised:
        lab.server.put(Export(next(_IDS), f"{lab.folder}/missing", "/shares/missing", frozenset()))
    assert raised.value.kind is ProblemKind.REFUSED
    assert "\n" not in str(raised.value)


def test_a_name_that_another_export_has_is_refused(lab: Lab) -> None:
    """The other keeps it, also after a restart."""
    export = lab.export((lab.network.client.ipv4, "rw"))
    mine = lab.export((lab.network.client.ipv4, "ro"))
    for number in (next(_IDS), mine.export_id):
        with pytest.raises(Problem, match="refuses"):
            lab.server.put(replace(export, export_id=number, clients=mine.clients))
    lab.server.stop()
    lab.server.ensure_running(lambda _export: True)
    assert lab.server.live([export.export_id, mine.export_id]) == {each.export_id: each for each in (export, mine)}


def test_a_folder_with_a_strange_name_is_exported(lab: Lab) -> None:
    """Whatever the grammar thinks of it outside of quotes."""
    path = Path(lab.folder, "ü {x}; # 'y' %dir")
    path.mkdir()
    (path / "here").mkdir()
    export = Export(next(_IDS), str(path), "/shares/strange", _clients((lab.network.client.ipv4, "ro")))
    lab.server.put(export)
    assert lab.nfs(export, "ls").text == "here"
    assert lab.server.live()[export.export_id] == export


def test_kerberos_needs_a_keytab(lab: Lab) -> None:
    """An export that no client could ever mount is refused."""
    with pytest.raises(Problem, match="keytab"):
        lab.server.put(Export(next(_IDS), lab.folder, "/shares/krb", frozenset(), Squash.NONE, ("krb5",)))


def test_nfs_4_1_and_4_2_alone_are_spoken_by_default(lab: Lab) -> None:
    """4.0 is refused; the others ask for a session."""
    instance = Instance("default", f"{lab.folder}/default", (), lab.network.server.namespace_path)
    server = GaneshaServer(instance, port=12049)
    server.ensure_running(lambda _export: True)
    statuses = [
        status_of_minor_version(lab.network.client, lab.network.server.ipv4, minor, port=12049) for minor in (0, 1, 2)
    ]
    server.stop()
    assert statuses == [MINOR_VERS_MISMATCH, OP_NOT_IN_SESSION, OP_NOT_IN_SESSION]


def test_a_host_that_is_kept_out_of_a_network_gets_nothing(lab: Lab) -> None:
    """At once, with a file open, and again as before when the rule goes. The others of the network are not touched."""
    inside, host = "10.77.1.0/24", lab.network.client.ipv4
    export = lab.export((inside, "rw"))
    with held(lab.network.client, lab.network.server.ipv4, export.pseudo, "file") as file:
        assert file.write().is_done
        closed = replace(export, clients=_clients((inside, "rw"), (host, "none")))
        lab.server.put(closed)
        assert not file.write().is_done
    assert lab.server.live([export.export_id]) == {export.export_id: closed}
    assert "NFS4ERR_NOENT" in lab.nfs(export, "ls").text
    assert lab.nfs(export, "mkdir", "a", host="other_client").is_done
    lab.server.put(export)
    assert lab.nfs(export, "mkdir", "b").is_done


def test_a_host_may_in_a_network_that_is_kept_out(lab: Lab) -> None:
    """The narrowest rule decides."""
    export = lab.export(("0.0.0.0/0", "rw"), ("10.77.1.0/24", "none"), (lab.network.client.ipv4, "ro"))
    assert lab.nfs(export, "ls").is_done
    assert "NFS4ERR_ROFS" in lab.nfs(export, "mkdir", "a").text
    assert "NFS4ERR_NOENT" in lab.nfs(export, "ls", host="other_client").text


def test_root_is_squashed_for_one_client_and_not_for_another(lab: Lab) -> None:
    """Each becomes whom its own rule says; what an option repeats of the export is read back as well."""
    network = lab.network
    clients = frozenset(
        {
            Client("10.77.1.0/24", "rw"),
            Client(network.client.ipv4, "rw", (("squash", "none"),)),
            Client(
                network.other_client.ipv4, "rw", (("anonymousGid", "100"), ("anonymousUid", "1234"), ("squash", "root"))
            ),
        }
    )
    export = lab.export(squash=Squash.ROOT)
    export = replace(export, clients=clients)
    lab.server.put(export)
    for host in ("client", "other_client"):
        assert lab.nfs(export, "mkdir", host, host=host).is_done
    owners = {
        name: (found.st_uid, found.st_gid)
        for name in ("client", "other_client")
        if (found := Path(export.path, name).stat())
    }
    assert owners == {"client": (0, 0), "other_client": (1234, 100)}
    assert lab.server.live([export.export_id]) == {export.export_id: export}


def test_a_port_of_an_ordinary_user_is_let_in_for_one_client_alone(lab: Lab) -> None:
    """Whatever the export says for the others."""
    network = lab.network
    clients = frozenset(
        {
            Client(network.client.ipv4, "rw", (("insecure", "true"),)),
            Client(network.other_client.ipv4, "rw"),
        }
    )
    export = replace(lab.export(), clients=clients)
    lab.server.put(export)
    for host, is_let_in in (("client", True), ("other_client", False)):
        answer = nfs(getattr(network, host), network.server.ipv4, export.pseudo, "ls", user=(65534, 65534))
        assert answer.is_done is is_let_in, (host, answer)
        assert lab.nfs(export, "ls", host=host).is_done
