"""The Containerfile of the example of a team: its steps are taken in empty roots made of Debian's packages, as a builder takes them in its base images."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import servers
from tools.sessions import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILE = ROOT / "examples" / "team" / "Containerfile"
_MMDEBSTRAP = shutil.which("mmdebstrap")
# What python:3-slim is made of besides Python, as far as the steps may use it.
_BASE_PACKAGES = (
    "base-files,base-passwd,bash,ca-certificates,coreutils,dash,findutils,grep,libc-bin,libpam-modules,login,openssl,"
    "passwd,python3-pip,python3-venv,sed"
)
_SEARCH_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches a package index, which a builder takes from its own settings.
_NETWORK = "/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"


def steps() -> list[tuple[str, str]]:
    """Return the instructions of the Containerfile with their arguments."""
    lines = (line.partition(" ") for line in FILE.read_text().splitlines() if line and line[0] != "#")
    return [(word, rest) for word, _, rest in lines]


def test_the_containerfile_builds_what_is_there() -> None:
    """Everything that it copies is in the repository, bases are pinned by a tag, and what runs is nobody's root."""
    stages = [rest.split() for word, rest in steps() if word == "FROM"]
    assert [stage[1:] for stage in stages] == [["AS", "build"], []]
    assert all(re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", stage[0]) for stage in stages)
    copied = [rest.split() for word, rest in steps() if word == "COPY" and not rest.startswith("--from=")]
    assert {name for arguments in copied for name in arguments[:-1]} >= {"pyproject.toml", "schemas", "sharectl"}
    assert all((ROOT / name).exists() for arguments in copied for name in arguments[:-1])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = next(rest for word, rest in steps() if word == "RUN" and "pip install" in rest)
    assert {*re.findall(r"\[(\w+)\]", installed)} <= project["optional-dependencies"].keys()
    assert "--from=build /opt/sharectl /opt/sharectl" in [rest for word, rest in steps() if word == "COPY"]
    (user,) = [rest for word, rest in steps() if word == "USER"]
    assert int(user) > 0
    (entry,) = [json.loads(rest) for word, rest in steps() if word == "ENTRYPOINT"]
    assert entry[0].removeprefix("/opt/sharectl/bin/") in project["scripts"]


class Image:
    """What the steps left: a root, who runs in it, and what is run."""

    def __init__(self, root: Path) -> None:
        """Begin with the base image in `root`."""
        self.root = root
        self.user = "0"
        self.folder = "/"
        self.entry: Sequence[str] = ()

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a program in the image, as its user and in its folder."""
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', self.folder, *arguments]
        return subprocess.run(
            ["/usr/sbin/chroot", f"--userspec={self.user}:{self.user}", str(self.root), *inside],
            env={"PATH": _SEARCH_PATH, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def sharectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the image with arguments, as `podman run` does."""
        return self.run([*self.entry, *arguments], {"HOME": self.folder})


def made_base(root: Path) -> None:
    """Unpack Debian's packages and what their scripts would have made of them, as far as a step needs it."""
    hooks = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
    options = ["--quiet", "--mode=root", "--variant=extract", f"--include={_BASE_PACKAGES}", hooks]
    subprocess.run([str(_MMDEBSTRAP), *options, "bookworm", str(root)], check=True, stdin=subprocess.DEVNULL)
    for kind in "passwd", "group":
        shutil.copy(root / f"usr/share/base-passwd/{kind}.master", root / "etc" / kind)
    for folder in "opt", "usr/local/bin", "var/lib":
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for name in filter(os.path.exists, _NETWORK):
        (root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, root / name[1:])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Take the steps of the Containerfile, one after the other."""
    servers.require(_MMDEBSTRAP, "mmdebstrap (apt-get install mmdebstrap)")
    servers.require(os.geteuid() == 0, "to be root")
    above = tmp_path_factory.mktemp("image")
    for folder in above, above.parent:
        folder.chmod(0o755)  # the image's user has to come through
    base = above / "base"
    made_base(base)
    stages: dict[str, Image] = {}
    for word, rest in steps():
        if word == "FROM":
            name = rest.split()[-1]
            stages[name] = current = Image(above / f"stage{len(stages)}")
            subprocess.run(["/bin/cp", "-a", base, current.root], check=True)
            continue
        take(current, stages, word, rest)
    return current


def take(image: Image, stages: Mapping[str, Image], word: str, rest: str) -> None:
    """Take one step that is no FROM."""
    if word == "COPY":
        *sources, target = rest.split()
        above = ROOT
        if sources[0].startswith("--from="):
            above = stages[sources.pop(0).removeprefix("--from=")].root
        for source in sources:
            copy(above / source.lstrip("/"), image.root / target[1:], into=target.endswith("/"))
    elif word == "RUN":
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        done = image.run(["sh", "-c", rest], {"HOME": "/root", **kept})
        assert done.returncode == 0, f"{rest}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    elif word == "USER":
        image.user = rest
    elif word == "WORKDIR":
        image.folder = rest
    elif word == "ENTRYPOINT":
        image.entry = json.loads(rest)
    else:
        pytest.fail(f"the test does not know how to take {shlex.quote(word)}")


def copy(source: Path, target: Path, *, into: bool) -> None:
    """Copy as COPY does: the content of a folder, or a file under its own name where the target is a folder."""
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=ignored)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target / source.name if into else target)


def test_its_steps_make_an_image_that_plans_applies_and_can_work(image: Image) -> None:
    """As nobody's root, with what a state in PostgreSQL, a broker and each driver need, and without the stage that built it."""
    assert image.sharectl("--version").stdout.startswith("sharectl ")
    assert image.sharectl("init", "repository").returncode == 0
    applied = image.sharectl("apply", "--yes", "-C", "repository")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert image.sharectl("plan", "--detailed-exitcode", "-C", "repository").returncode == 0
    python = str(Path(image.entry[0]).with_name("python"))
    loaded = image.run([python, "-c", "import celery, psycopg, urllib3; print(psycopg.pq.__impl__)"], {})
    assert loaded.stdout == "binary\n", loaded.stderr
    assert image.run(["id", "-u"], {}).stdout.strip() == image.user != "0"
    assert not (image.root / "src").exists()
