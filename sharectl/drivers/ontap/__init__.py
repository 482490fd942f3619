"""The ontap driver: NetApp ONTAP 9.12 and later by its REST API, with and without share servers."""

from sharectl.drivers.ontap.factory import FACTORY

__all__ = ["FACTORY"]
