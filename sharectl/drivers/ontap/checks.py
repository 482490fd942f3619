"""What keeps a configuration of an ontap backend from working although it meets the schema."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from sharectl.drivers.ontap.qtrees.settings import pool_problems
from sharectl.model.checks import ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sharectl.model.backends import BackendSpec


def find_problems(backend: BackendSpec) -> tuple[ConfigProblem, ...]:
    """Return all of them; the configuration meets the schema."""
    return (
        *_address(backend),
        *_login(backend),
        *_svm(backend),
        *_share_servers(backend),
        *_pools(backend),
        *pool_problems(backend.config),
        *_nfs(backend),
    )


def _address(backend: BackendSpec) -> Iterator[ConfigProblem]:
    address = backend.config["address"]
    if ":" in address and not _is_ipv6(address):
        summary = f"{address!r} is neither a host name nor an address"
        yield ConfigProblem(("address",), summary, "name the host alone, and write the port as `port`")


def _is_ipv6(address: str) -> bool:
    try:
        IPv6Address(address)
    except ValueError:
        return False
    return True


def _login(backend: BackendSpec) -> Iterator[ConfigProblem]:
    config = backend.config
    if "clientCertificate" in config:
        for field in ("user", "password"):
            if field in config:
                yield ConfigProblem(
                    (field,), f"`{field}` and `clientCertificate` are two ways to log in", "keep one of them"
                )
        return
    for field in ("user", "password"):
        if field not in config:
            yield ConfigProblem((), f"`{field}` is missing", "name an account and its password, or a clientCertificate")


def _pools(backend: BackendSpec) -> Iterator[ConfigProblem]:
    pattern = backend.config.get("aggregates", ".*")
    try:
        re.compile(pattern)
    except re.error as problem:
        yield ConfigProblem(("aggregates",), f"{pattern!r} is no regular expression: {problem}", "write one that is")


def _svm(backend: BackendSpec) -> Iterator[ConfigProblem]:
    if backend.share_servers and "svm" in backend.config:
        yield ConfigProblem(
            ("svm",),
            "a backend that makes share servers has an SVM for each share network",
            "remove it, or `shareServers: true`",
        )
    if not backend.share_servers and "svm" not in backend.config:
        yield ConfigProblem((), "`svm` is missing", "name the SVM that holds the shares, or write `shareServers: true`")


def _share_servers(backend: BackendSpec) -> Iterator[ConfigProblem]:
    written = backend.config.get("shareServers")
    if backend.share_servers and written is None:
        remedy = "write where LIFs are at home: shareServers: {homes: [{node: NAME, port: a0a}, …]}, one for each node"
        yield ConfigProblem((), "`shareServers` is missing", remedy)
    if not backend.share_servers and written is not None:
        summary = "the backend makes no share servers"
        yield ConfigProblem(("shareServers",), summary, "remove it, or write `shareServers: true` in `spec`")
    homes: set[tuple[str, str]] = set()
    for number, home in enumerate((written or {}).get("homes", ())):
        place = (home["node"], home["port"])
        if place in homes:
            summary = f"the port {home['port']} of {home['node']} is named twice"
            yield ConfigProblem(("shareServers", "homes", number), summary, "name each port once")
        homes.add(place)


def _nfs(backend: BackendSpec) -> Iterator[ConfigProblem]:
    nfs = backend.config.get("nfs", {})
    if nfs.get("squash") == "all" and nfs.get("security", ["sys"]) != ["sys"]:
        summary = "where all users are squashed, an export rule of ONTAP asks for no security flavour"
        yield ConfigProblem(("nfs", "security"), summary, "write sys, or squash root alone")
