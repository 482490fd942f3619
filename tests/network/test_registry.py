"""The registry of network plugins, the values of the contract, and what no plugin may do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from sharectl.model.networks import NetworkAllocation
from sharectl.network.base import NetworkError
from sharectl.network.registry import NETWORK_PLUGINS, network_plugin_factory
from sharectl.network.wires import segmentation_problem


def test_the_names_are_those_of_the_manifests() -> None:
    """Sorted."""
    assert NETWORK_PLUGINS == ("neutron", "nova", "standalone")


def test_a_name_that_nobody_has() -> None:
    """Is answered with what was probably meant."""
    with pytest.raises(NetworkError, match=r'called .neutrn.; did you mean "neutron".'):
        network_plugin_factory("neutrn")
    with pytest.raises(NetworkError, match=r"called .x.; there are neutron, nova, standalone"):
        network_plugin_factory("x")


@pytest.mark.parametrize("name", ["neutron", "standalone"])
def test_the_schema_of_a_configuration_is_one(name: str) -> None:
    """It refuses what it does not know."""
    schema = network_plugin_factory(name).config_schema
    jsonschema.Draft202012Validator.check_schema(schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"unknown": 1}, schema)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"cloud": "a", "auth": {"type": "none"}},
        {"auth": {"type": "none", "username": "a"}, "endpoint": "http://a"},
        {"auth": {"type": "password", "url": "http://a", "username": "a", "projectName": "a"}},
        {"auth": {"type": "password", "url": "http://a", "username": "a", "projectName": "a", "password": "secret"}},
        {"cloud": "a", "variant": "single", "networkId": "a"},
        {"cloud": "a", "networkId": "a"},
        {"cloud": "a", "endpoint": "neutron.example:9696"},
        {"cloud": "a", "endpoint": "http://user:password@neutron.example:9696"},
        {"cloud": "a", "binding": {"vnicType": "baremetal"}},
        {"auth": {"type": "none"}, "endpoint": "http://a", "cloudsFile": "a"},
    ],
)
def test_what_the_schema_of_neutron_refuses(config: dict[str, object]) -> None:
    """Nobody asks, two ask, a secret stands in the open or in an address, half of a network is named."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, network_plugin_factory("neutron").config_schema)


@pytest.mark.parametrize(
    ("network_type", "segmentation_id", "is_well"),
    [
        ("flat", None, True),
        ("flat", 1, False),
        ("vlan", 1, True),
        ("vlan", 4094, True),
        ("vlan", 4095, False),
        ("vlan", 0, False),
        ("vlan", None, False),
        ("vxlan", 2**24 - 1, True),
        ("vxlan", 2**24, False),
        ("geneve", 7, True),
        ("gre", 2**32 - 1, True),
        ("gre", 2**32, False),
        ("local", None, True),
        ("local", 5, True),
    ],
)
def test_segmentation_ids(network_type: str, segmentation_id: int | None, is_well: bool) -> None:  # noqa: FBT001 - a case says yes or no
    """Each kind of network has its range."""
    assert (segmentation_problem(network_type, segmentation_id) == "") is is_well


def test_an_allocation_is_written_and_read_back() -> None:
    """What is not there is not written."""
    small = NetworkAllocation("s/0", "s", "10.0.0.1", 4, "10.0.0.0/24", None, "flat", None, 1500)
    full = NetworkAllocation("s/0", "s", "::1", 6, "::/64", "::2", "vlan", 5, 1500, "02:00:00:00:00:01", "port")
    assert "gateway" not in small.as_plain()
    for allocation in (small, full):
        assert NetworkAllocation.from_plain(allocation.as_plain()) == allocation


def test_the_examples_of_the_reference_are_valid() -> None:
    """Every Backend on the page has a configuration that its plugin's schema takes."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "network-plugins.md"
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    documents = [document for block in blocks for document in yaml.safe_load_all(block)]
    networks = [document["spec"]["network"] for document in documents if document["kind"] == "Backend"]
    assert {"standalone", "neutron"} <= {network["plugin"] for network in networks}
    for network in networks:
        jsonschema.validate(network["config"], network_plugin_factory(network["plugin"]).config_schema)


def test_what_is_heavy_is_imported_only_when_it_is_used() -> None:
    """Schemas and factories are known without openstacksdk."""
    program = (
        "import sys; from sharectl.network.registry import network_plugin_factory as factory; "
        "[factory(name).config_schema for name in ('neutron', 'standalone')]; "
        "print(sorted({'openstack', 'keystoneauth1', 'requests'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    assert answer.stdout.strip() == "[]"
