"""The configuration of an ontap backend."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from sharectl.drivers.base import DriverError
from sharectl.drivers.ontap.checks import find_problems
from sharectl.drivers.ontap.schema import CONFIG_SCHEMA
from sharectl.drivers.ontap.settings import read_settings
from sharectl.model.backends import BackendSpec

LOGIN = {"address": "filer.example.org", "user": "sharectl", "password": {"env": "P"}}
CERTIFICATE = {"certificate": "tls/own.pem", "key": {"file": "tls/own.key"}}


def backend(*, share_servers: bool = False, **config: Any) -> BackendSpec:  # noqa: ANN401 - any setting
    """Return a backend."""
    return BackendSpec("filer", "ontap", config, share_servers=share_servers)


def test_what_is_left_out_has_defaults() -> None:
    """Paths are under the folder of the project."""
    settings = read_settings(backend(**LOGIN, svm="vs1", caFile="ca.pem"), "/project")
    assert (settings.svm, settings.snapshot_reserve_percent, settings.past_recovery_queue) == ("vs1", 5, False)
    assert (settings.array.place, settings.array.ca_file) == ("filer.example.org", "/project/ca.pem")
    assert (
        read_settings(backend(**{**LOGIN, "address": "fd00::1"}, port=8443, svm="v"), "/").array.place
        == "[fd00::1]:8443"
    )


HOMES = {"homes": [{"node": "filer-01", "port": "a0a"}]}


@pytest.mark.parametrize(
    ("config", "share_servers", "paths"),
    [
        ({**LOGIN, "svm": "vs1"}, False, []),
        ({**LOGIN, "shareServers": HOMES}, True, []),
        (LOGIN, True, [()]),
        ({**LOGIN, "svm": "vs1", "shareServers": HOMES}, False, [("shareServers",)]),
        ({"address": "a", "clientCertificate": CERTIFICATE, "svm": "vs1"}, False, []),
        (LOGIN, False, [()]),
        ({**LOGIN, "svm": "vs1", "shareServers": HOMES}, True, [("svm",)]),
        ({**LOGIN, "address": "filer.example.org:443", "svm": "vs1"}, False, [("address",)]),
        ({**LOGIN, "address": "fd00::1", "svm": "vs1"}, False, []),
        ({"address": "a", "svm": "vs1"}, False, [(), ()]),
        ({"address": "a", "user": "u", "svm": "vs1"}, False, [()]),
        ({**LOGIN, "clientCertificate": CERTIFICATE, "svm": "vs1"}, False, [("user",), ("password",)]),
    ],
)
def test_what_cannot_work_together_is_found(
    config: dict[str, Any],
    share_servers: bool,  # noqa: FBT001 - a parameter of the case
    paths: list[tuple[str, ...]],
) -> None:
    """Each at its place; a driver is not opened with it."""
    jsonschema.validate(config, CONFIG_SCHEMA)
    found = find_problems(backend(share_servers=share_servers, **config))
    assert [problem.path for problem in found] == paths
    if paths:
        with pytest.raises(DriverError, match="backend filer"):
            read_settings(backend(share_servers=share_servers, **config), "/")


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "secret"},
        {"password": {"env": "A", "file": "B"}},
        {"address": "https://filer"},
        {"address": "filer/api"},
        {"svm": "a b"},
        {"svm": "vs*"},
        {"user": "a:b"},
        {"snapshotReserve": 91},
        {"verify": False},
    ],
)
def test_the_schema_refuses(wrong: dict[str, Any]) -> None:
    """What would reach somebody else, or say a secret aloud."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**LOGIN, "svm": "vs1", **wrong}, CONFIG_SCHEMA)
    with pytest.raises(DriverError, match="does not meet the schema"):
        read_settings(backend(**{**LOGIN, "svm": "vs1", **wrong}), "/")
