"""The Neutron network plugin: ports on networks of OpenStack's networking service."""
