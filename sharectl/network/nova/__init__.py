"""The Nova network plugin: fixed IPs on networks of OpenStack's compute service, as clouds before Neutron have them."""
