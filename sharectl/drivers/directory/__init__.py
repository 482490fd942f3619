"""The directory driver: a share is a directory, its access a fragment for an NFS server or Samba."""

from sharectl.drivers.directory.factory import FACTORY

__all__ = ["FACTORY"]
