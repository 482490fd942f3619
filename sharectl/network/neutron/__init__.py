"""The Neutron network plugin: ports on networks of OpenStack's networking service."""

from sharectl.network.neutron.factory import FACTORY

__all__ = ["FACTORY"]
