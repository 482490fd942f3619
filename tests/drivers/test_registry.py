"""Drivers are found by name; broken ones and bad secret references say what is wrong."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.base import Capability, DriverError
from sharectl.drivers.registry import UnknownDriverError, driver_factory, driver_names, make_secret_resolver
from sharectl.private import MAX_SECRET_BYTES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution with drivers that work, break, are none, and claim a built-in name."""
    (tmp_path / "acme_driver.py").write_text(
        "class Factory:\n    config_schema = {}\n    capabilities = frozenset()\n    def open(self, *_): ...\n"
        "FACTORY = Factory()\nNOTHING = object()\n"
    )
    (tmp_path / "acme_broken.py").write_text("raise RuntimeError('no license')\n")
    metadata = tmp_path / "acme-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[sharectl.drivers]\nacme = acme_driver:FACTORY\nbroken = acme_broken:FACTORY\n"
        "none = acme_driver:NOTHING\ndirectory = acme_driver:FACTORY\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["directory", "simulated"])
def test_built_in_drivers_are_known_with_schema_and_capabilities(name: str) -> None:
    """Both are complete, but that a folder has no share servers, and that neither takes snapshots by itself."""
    factory = driver_factory(name)
    assert factory.config_schema["type"] == "object"
    servers = {Capability.SHARE_SERVERS, Capability.SHARE_SERVER_UPDATE} if name == "directory" else set()
    assert factory.capabilities == frozenset(Capability) - servers - {Capability.SNAPSHOT_POLICY}


def test_built_in_drivers_are_found_without_scanning_distributions() -> None:
    """importlib.metadata is not even imported."""
    code = (
        "import sys; from sharectl.drivers.registry import driver_factory; driver_factory('simulated');"
        "sys.exit('importlib.metadata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_are_sorted_and_hold_third_parties(third_party: Path) -> None:
    """All that is installed is listed once."""
    names = driver_names()
    assert list(names) == sorted(set(names))
    assert {"acme", "broken", "directory", "simulated"} <= set(names)


def test_a_third_party_driver_is_loaded(third_party: Path) -> None:
    """By its entry point."""
    assert driver_factory("acme").capabilities == frozenset()


def test_a_built_in_name_cannot_be_taken(third_party: Path) -> None:
    """The package's `directory` is not used."""
    assert driver_factory("directory").capabilities


def test_a_broken_package_is_named_with_its_cause(third_party: Path) -> None:
    """The error says which package it is and why."""
    with pytest.raises(DriverError, match=r"'broken'.*'acme'.*RuntimeError: no license"):
        driver_factory("broken")


def test_an_entry_point_that_is_no_factory_is_refused(third_party: Path) -> None:
    """The error says what is missing."""
    with pytest.raises(DriverError, match=r"'none'.*config_schema, capabilities, open"):
        driver_factory("none")


def test_an_unknown_name_says_what_there_is() -> None:
    """With a suggestion where one is near."""
    with pytest.raises(UnknownDriverError, match='did you mean "directory"') as caught:
        driver_factory("directroy")
    assert caught.value.name == "directroy"
    assert "simulated" in caught.value.known
    with pytest.raises(UnknownDriverError, match="installed drivers: directory"):
        driver_factory("zzz")


def test_a_secret_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is."""
    monkeypatch.setenv("FILER_PASSWORD", "hunter2\n")
    assert make_secret_resolver(str(tmp_path))({"env": "FILER_PASSWORD"}) == "hunter2\n"


@pytest.mark.parametrize("content", ["hunter2", "hunter2\n", "hunter2\r\n"])
def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path: Path, content: str) -> None:
    """Relative to the base directory, or absolute."""
    (tmp_path / "password").write_bytes(content.encode())
    resolve = make_secret_resolver(str(tmp_path))
    assert resolve({"file": "password"}) == "hunter2"
    assert resolve({"file": str(tmp_path / "password")}) == "hunter2"


def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path: Path) -> None:
    """As Windows PowerShell writes it; what is UTF-16 is refused by name, without the value."""
    resolve = make_secret_resolver(str(tmp_path))
    (tmp_path / "password").write_bytes(b"\xef\xbb\xbfs3cret\r\n")
    assert resolve({"file": "password"}) == "s3cret"
    for encoding in ("utf-16", "utf-16-le"):
        (tmp_path / "password").write_bytes("s3cret".encode(encoding))
        with pytest.raises(DriverError, match="UTF-16") as caught:
            resolve({"file": "password"})
        assert "s3cret" not in str(caught.value).replace("\0", "")


@pytest.mark.parametrize("reference", [{}, {"env": "A", "file": "b"}, {"vault": "x"}, {"env": 3}])
def test_another_form_of_reference_is_refused(tmp_path: Path, reference: dict[str, str]) -> None:
    """The error shows the two forms."""
    with pytest.raises(DriverError, match=r"\{env: NAME\} or \{file: PATH\}"):
        make_secret_resolver(str(tmp_path))(reference)


def test_a_missing_secret_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its reference."""
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    resolve = make_secret_resolver(str(tmp_path))
    with pytest.raises(DriverError, match="env: NO_SUCH_SECRET"):
        resolve({"env": "NO_SUCH_SECRET"})
    with pytest.raises(DriverError, match=r"file: nowhere.*No such file"):
        resolve({"file": "nowhere"})
    with pytest.raises(DriverError, match="it is not a path"):
        resolve({"file": "nul\0byte"})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"s3cret\xff", "not UTF-8"),
        (b"s3cret" * MAX_SECRET_BYTES, "larger than"),
    ],
)
def test_an_unusable_secret_file_is_refused_without_its_value(tmp_path: Path, content: bytes, reason: str) -> None:
    """Neither the message nor the cause holds the value."""
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(DriverError, match=reason) as caught:
        make_secret_resolver(str(tmp_path))({"file": "password"})
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
