"""The standalone network plugin: addresses from ranges in the manifests, without any network service."""

from sharectl.network.standalone.factory import FACTORY

__all__ = ["FACTORY"]
