"""Interfaces in network namespaces."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from sharectl.drivers.linux.agent.contract import Problem
from sharectl.drivers.linux.agent.host.links import Namespace
from tests.drivers.linux.lab import need, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """Give an empty namespace."""
    need("ip")
    found = Namespace(f"st-links-{uuid.uuid4().hex[:8]}")
    found.make()
    yield found
    run("ip", "netns", "del", str(found.name))


def test_an_interface_that_is_gone_is_removed(namespace: Namespace) -> None:
    """The other end of a veth takes it along, whenever the kernel comes to it."""
    namespace.ip("link", "add", "one", "type", "veth", "peer", "name", "other")
    for link in ("one", "other", "one"):
        namespace.remove_link(link)
        assert not namespace.has(link)


def test_an_interface_that_stays_is_told(namespace: Namespace) -> None:
    """With what the system says of it."""
    with pytest.raises(Problem, match="lo"):
        namespace.remove_link("lo")


@pytest.mark.parametrize(("path", "package"), [(None, "iproute2"), ("/run/netns/any", "util-linux")])
def test_a_program_that_is_missing_is_told_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str | None, package: str
) -> None:
    """Its name, and what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Problem, match=f"not installed on the storage host; install the package {package}$"):
        Namespace(path=path).ip("link", "show")
