"""The standalone network plugin: addresses from ranges in the manifests, without any network service."""
