"""Mistakes do not hide one another: what each of several gives alone, all of them give together, and nothing else.

A valid repository gets two to four mistakes of a table, from every stage between the bytes of a file and what its driver would refuse.
"""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharectl.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Documents = dict[str, dict[str, Any]]

_DOCUMENTS_PER_FILE = 5


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "sharectl/v1", "kind": kind, "metadata": {"name": name, "annotations": {}}, "spec": spec}


def _valid() -> Documents:
    """Return a repository in which everything refers to something, by keys that the mistakes name."""
    users = {"limits": {"users": ["alice", "bob"]}}
    ip = {"type": "ip", "to": "10.0.0.1", "level": "rw"}
    alice = {"type": "user", "to": "alice", "level": "rw"}
    found = [
        ("Backend", "sim", {"driver": "simulated", "lanes": 2, "config": {"stateFile": "data/sim.db", **users}}),
        ("Backend", "nas", {"driver": "directory", "config": {"root": "data/nas", "pools": {"a": "a", "b": "b"}}}),
        ("Backend", "spare", {"driver": "simulated", "config": {"stateFile": "data/spare.db"}}),
        (
            "Backend",
            "tenants",
            {
                "driver": "simulated",
                "shareServers": True,
                "network": {"plugin": "standalone", "config": {}},
                "config": {"stateFile": "data/tenants.db"},
            },
        ),
        ("ShareType", "on-sim", {"extraSpecs": {"share_backend_name": "sim"}}),
        ("ShareType", "on-nas", {"description": "files", "extraSpecs": {"share_backend_name": "nas"}}),
        ("ShareType", "odd", {"extraSpecs": {"dedupe": "True"}}),
        ("ShareNetwork", "net", {"subnets": [{"cidr": "10.1.0.0/24", "gateway": "10.1.0.1"}]}),
        ("SecurityService", "ad", {"type": "active_directory", "domain": "corp", "user": "u", "dnsIp": "10.0.0.2"}),
        ("Share", "made", {"size": "3GiB", "protocol": "NFS", "type": "on-sim", "access": [ip]}),
        ("Share", "users", {"size": "1GiB", "protocol": "CIFS", "type": "on-sim", "access": [alice]}),
        ("Share", "files", {"size": "1GiB", "protocol": "NFS", "type": "on-nas", "access": [ip]}),
        ("Share", "windows", {"size": "1GiB", "protocol": "CIFS", "type": "on-nas", "access": [alice]}),
        ("Share", "copy", {"size": "2GiB", "protocol": "NFS", "type": "on-sim", "sourceSnapshot": "monday"}),
        ("Share", "source", {"size": "2GiB", "protocol": "NFS", "type": "on-sim"}),
        ("Snapshot", "monday", {"share": "source"}),
        ("AccessRule", "extra", {"share": "files", "type": "ip", "to": "10.0.0.9", "level": "ro"}),
        ("AccessRule", "more", {"share": "users", "type": "user", "to": "bob", "level": "ro"}),
    ]
    return {f"{kind}/{name}": _document(kind, name, spec) for kind, name, spec in found}


@dataclass(frozen=True)
class Mistake:
    """One mistake: what it does to the documents or to a file, which places it spoils, and which its message rests upon.

    A place is a document's key, with a field of it behind a blank, or a file's name.
    """

    name: str
    change: Callable[[Documents], object] = lambda _documents: None
    spoils: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()
    files: dict[str, bytes] = field(default_factory=dict)
    project: dict[str, Any] = field(default_factory=dict)


def _mistake(  # noqa: PLR0913, PLR0917 - a row of the table
    name: str,
    spoils: str,
    change: Callable[[Documents], object] = lambda _documents: None,
    needs: str = "",
    files: dict[str, bytes] | None = None,
    project: dict[str, Any] | None = None,
) -> Mistake:
    def places(text: str) -> frozenset[str]:
        return frozenset(part.strip() for part in text.split(",") if part.strip())

    return Mistake(name, change, places(spoils), places(needs), files or {}, project or {})


def _spec(key: str, **fields: Any) -> Callable[[Documents], object]:  # noqa: ANN401 - any JSON value
    """Return what writes fields of a document's spec; `...` takes one away."""

    def change(documents: Documents) -> None:
        for name, value in fields.items():
            documents[key]["spec"][name] = value
            if value is ...:
                del documents[key]["spec"][name]

    return change


def _metadata(key: str, **fields: Any) -> Callable[[Documents], object]:  # noqa: ANN401 - any JSON value
    return lambda documents: documents[key]["metadata"].update(fields)


def _config(key: str, **fields: Any) -> Callable[[Documents], object]:  # noqa: ANN401 - any JSON value
    return lambda documents: documents[key]["spec"]["config"].update(fields)


def _rule(key: str, **rule: str) -> Callable[[Documents], object]:
    return lambda documents: documents[key]["spec"].setdefault("access", []).append(rule)


def _again(key: str) -> Callable[[Documents], object]:
    return lambda documents: documents.update({f"{key} again": _valid()[key]})


def _annotation(key: str, name: str, text: str) -> Callable[[Documents], object]:
    return lambda documents: documents[key]["metadata"]["annotations"].update({name: text})


_NOBODY = {"type": "user", "to": "carol", "level": "rw"}
_READ_ONLY = {"type": "ip", "to": "10.0.0.0/8", "level": "ro"}
MISTAKES = (
    # what a file is
    _mistake("a file that is no YAML", "z-broken.yaml", files={"z-broken.yaml": b"a: [1, 2\n"}),
    _mistake("an empty file", "z-empty.yaml", files={"z-empty.yaml": b""}),
    _mistake("a binary file", "z-binary.yaml", files={"z-binary.yaml": b"a: \x00\n"}),
    _mistake("a foreign document", "z-foreign.yaml", files={"z-foreign.yaml": b"apiVersion: v1\nkind: Pod\n"}),
    _mistake("an ending that is not read", "z-old.yaml.bak", files={"z-old.yaml.bak": b"apiVersion: sharectl/v1\n"}),
    # what a schema refuses
    _mistake("lanes that are no number", "Backend/sim lanes", _spec("Backend/sim", lanes="many")),
    _mistake("an unknown field of a backend", "Backend/nas speed", _spec("Backend/nas", speed=3)),
    _mistake("a size without unit", "Share/made size", _spec("Share/made", size=3)),
    _mistake("a share without size", "Share/windows size", _spec("Share/windows", size=...)),
    _mistake("labels that are a list", "Share/users labels", _metadata("Share/users", labels=["a"])),
    _mistake("an unknown protocol", "Share/copy protocol", _spec("Share/copy", protocol="AFP")),
    _mistake("a level that is none", "AccessRule/extra level", _spec("AccessRule/extra", level="write")),
    _mistake(
        "a description that is a number", "ShareType/on-nas description", _spec("ShareType/on-nas", description=1)
    ),
    _mistake("a security service without type", "SecurityService/ad type", _spec("SecurityService/ad", type=...)),
    _mistake("a policy that is none", "Snapshot/monday deletionPolicy", _spec("Snapshot/monday", deletionPolicy="x")),
    _mistake(
        "a network plugin's unknown setting",
        "Backend/tenants network",
        lambda d: d["Backend/tenants"]["spec"]["network"]["config"].update(colour="red"),
    ),
    # what one document cannot say
    _mistake(
        "a gateway elsewhere",
        "ShareNetwork/net subnets",
        lambda d: d["ShareNetwork/net"]["spec"]["subnets"][0].update(gateway="10.9.0.1"),
    ),
    _mistake(
        "a rule that is no address", "Share/made access 1", _rule("Share/made", type="ip", to="a.example", level="rw")
    ),
    _mistake(
        "a rule twice",
        "Share/files access 1",
        _rule("Share/files", type="ip", to="10.0.0.1", level="ro"),
        needs="Share/files access 0",
    ),
    _mistake(
        "a user on NFS",
        "Share/source access",
        _rule("Share/source", type="user", to="alice", level="rw"),
        needs="Share/source protocol",
    ),
    _mistake(
        "a name that was never another",
        "Share/source moved-from",
        _annotation("Share/source", "sharectl/moved-from", "source"),
    ),
    _mistake("a password in the manifest", "Backend/spare config", _config("Backend/spare", password="hunter2")),  # noqa: S106 - the mistake
    _mistake("an unknown setting", "Backend/spare config", _config("Backend/spare", colour="red")),
    _mistake(
        "a driver that is not there",
        "Backend/spare driver",
        _spec("Backend/spare", driver="simulatde"),
        needs="Backend/spare config",
    ),
    # variables
    _mistake(
        "a variable in a share",
        "Share/files availabilityZone labels",
        _rule("Share/files", type="ip", to="${HOST}", level="ro"),
    ),
    _mistake("a variable in an annotation", "Share/windows note", _annotation("Share/windows", "owner", "${TEAM}")),
    _mistake("a variable in a path", "Backend/nas config root", _config("Backend/nas", root="${HOME}/nas")),
    # what refers to nothing, or twice to one
    _mistake("a type that is not there", "Share/windows type", _spec("Share/windows", type="on-nsa")),
    _mistake("a share that is not there", "AccessRule/more share", _spec("AccessRule/more", share="nobody")),
    _mistake(
        "a service that is not there",
        "ShareNetwork/net securityServices",
        _spec("ShareNetwork/net", securityServices=["nobody"]),
    ),
    _mistake("a share twice", "Share/source again", _again("Share/source")),
    _mistake("a backend twice", "Backend/spare again", _again("Backend/spare")),
    _mistake("a rule's document twice", "AccessRule/extra again", _again("AccessRule/extra")),
    _mistake(
        "a snapshot of its own clone",
        "Snapshot/monday share, Share/copy sourceSnapshot",
        _spec("Snapshot/monday", share="copy"),
    ),
    _mistake(
        "a former name that is still there",
        "Share/users moved-from",
        _annotation("Share/users", "sharectl/moved-from", "files"),
    ),
    # what a driver finds
    _mistake(
        "an unknown user",
        "Share/users access 1",
        lambda d: d["Share/users"]["spec"]["access"].append(_NOBODY),
        needs="Share/users protocol, Share/users type, ShareType/on-sim extraSpecs, Backend/sim config, Backend/sim driver",
    ),
    _mistake(
        "a level that Samba cannot give",
        "Share/windows access 1",
        lambda d: d["Share/windows"]["spec"]["access"].append(_READ_ONLY),
        needs="Share/windows protocol, Share/windows type, ShareType/on-nas extraSpecs, Backend/nas config, Backend/nas driver",
    ),
    _mistake(
        "a clone smaller than its snapshot",
        "Share/copy size",
        _spec("Share/copy", size="1GiB"),
        needs="Share/copy sourceSnapshot, Snapshot/monday share, Share/source size, Share/source again",
    ),
    _mistake(
        "a pool within a pool",
        "Backend/nas config pools",
        _config("Backend/nas", pools={"a": "x", "b": "x/y"}),
        needs="Backend/nas driver",
    ),
    _mistake(
        "two backends on one file",
        "Backend/tenants config",
        _config("Backend/tenants", stateFile="data/sim.db"),
        needs="Backend/sim config, Backend/sim driver, Backend/tenants driver",
    ),
    _mistake(
        "a misspelt extra spec",
        "ShareType/odd extraSpecs",
        _spec("ShareType/odd", extraSpecs={"snapshot_suport": "True"}),
        needs="Backend/spare driver",
    ),
    _mistake("a share that shrinks", "Share/made size", _spec("Share/made", size="2GiB")),
    # the project's own settings
    _mistake("a filter that is not there", "sharectl.yaml filters", project={"scheduler": {"filters": ["NoFilter"]}}),
    _mistake("a limit that is no number", "sharectl.yaml safety", project={"safety": {"deletionFloor": "x"}}),
    _mistake("a setting that is not there", "sharectl.yaml colour", project={"colour": "red"}),
    _mistake("a state file with a NUL", "sharectl.yaml state", project={"state": {"copies": {"directory": "a\0b"}}}),
)


def _touch(one: Iterable[str], other: Iterable[str]) -> bool:
    return any(f"{a} ".startswith(f"{b} ") or f"{b} ".startswith(f"{a} ") for a in one for b in other)


def independent(mistakes: Iterable[Mistake]) -> bool:
    """Tell whether none of the mistakes spoils what another one is about or rests upon."""
    chosen = list(mistakes)
    return not any(
        one is not other and _touch(one.spoils, other.spoils | other.needs) for one in chosen for other in chosen
    )


class _Repository:
    """A repository that is applied in part, so that some shares have their place and others do not, with mistakes put into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.alone: dict[str, frozenset[tuple[str, str, str]]] = {}
        documents = _valid()
        self.write(
            {
                key: each
                for key, each in documents.items()
                if not key.startswith(("Share/", "Snapshot", "AccessRule")) or key in {"Share/made", "Share/files"}
            }
        )
        assert main(["-C", str(root), "apply", "--yes"]) == 0
        self.write(documents)
        assert not self.found()

    def write(self, documents: Documents, *mistakes: Mistake) -> None:
        """Write the documents, one a line, and what the mistakes add beside them."""
        folder = self.root / "manifests"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        keys = [key for key in documents if not key.endswith("again")]
        for key in documents.keys() - set(keys):
            (folder / f"z-{key.replace('/', '-')}.yaml").write_bytes(orjson.dumps(documents[key]))
        for start in range(0, len(keys), _DOCUMENTS_PER_FILE):
            lines = [orjson.dumps(documents[key]) + b"\n---\n" for key in keys[start : start + _DOCUMENTS_PER_FILE]]
            (folder / f"{start:02}.yaml").write_bytes(b"".join(lines))
        spec: dict[str, Any] = {"manifests": ["manifests"]}
        for mistake in mistakes:
            spec |= mistake.project
            for name, content in mistake.files.items():
                (folder / name).write_bytes(content)
        project = {"apiVersion": "sharectl/v1", "kind": "Project", "spec": spec}
        (self.root / "sharectl.yaml").write_bytes(orjson.dumps(project))

    def found(self, *mistakes: Mistake) -> frozenset[tuple[str, str, str]]:
        """Return what `validate` says of the repository with these mistakes: code, file and line, and summary of each."""
        documents = _valid()
        for mistake in mistakes:
            mistake.change(documents)
        self.write(documents, *mistakes)
        with redirect_stdout(StringIO()) as output:
            main(["-C", str(self.root), "validate", "-o", "json"])
        found = orjson.loads(output.getvalue())["diagnostics"]
        return frozenset(
            (
                each["code"],
                "{path}:{line}".format_map(each["source"]) if each.get("source") else "",
                re.sub(r"(\.yaml:\d+):\d+", r"\1", each["summary"]),
            )
            for each in found
        )

    def found_alone(self, mistake: Mistake) -> frozenset[tuple[str, str, str]]:
        """Return what `validate` says where this is the one mistake."""
        if mistake.name not in self.alone:
            self.alone[mistake.name] = self.found(mistake)
        return self.alone[mistake.name]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> _Repository:
    """Return the repository, applied in part."""
    return _Repository(tmp_path_factory.mktemp("repository"))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_each_mistake_is_found(repository: _Repository, mistake: Mistake) -> None:
    """Otherwise there would be nothing to hide."""
    assert repository.found_alone(mistake)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(MISTAKES), min_size=2, max_size=4, unique_by=lambda mistake: mistake.name).filter(
        independent
    )
)
def test_several_mistakes_are_found_as_each_alone(repository: _Repository, mistakes: list[Mistake]) -> None:
    """None is hidden by another, and none follows from another."""
    alone = frozenset[tuple[str, str, str]]().union(*map(repository.found_alone, mistakes))
    assert repository.found(*mistakes) == alone


@pytest.mark.parametrize("backend", ["sim", "nas", "tenants"])
def test_a_misspelt_config_is_no_configuration(repository: _Repository, backend: str) -> None:
    """Nobody looks into one that lacks what its driver requires."""

    def misspell(documents: Documents) -> None:
        spec = documents[f"Backend/{backend}"]["spec"]
        spec["onfig"] = spec.pop("config")

    found = repository.found(Mistake("misspelt", misspell))
    assert {code for code, _, _ in found} == {"manifest.missing", "manifest.unknown-field"}


@pytest.mark.parametrize(("written", "codes"), [(False, {"backend.config"}), ("many", {"manifest.schema"})])
def test_what_a_wrong_setting_would_call_for_is_not_missed(
    repository: _Repository,
    written: bool | str,  # noqa: FBT001 - a parameter of the test
    codes: set[str],
) -> None:
    """A linux backend without share servers needs addresses; where nobody can tell whether it is without, none are missed."""
    config = {"pools": {"a": {"type": "btrfs", "path": "/srv/pool"}}}
    spec = {"driver": "linux", "shareServers": written, "config": config}
    mistake = Mistake("servers", lambda documents: documents["Backend/spare"].update(spec=spec))
    assert {code for code, _, _ in repository.found(mistake)} == codes
