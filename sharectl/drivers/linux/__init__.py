"""The linux driver: btrfs or image files, NFS-Ganesha and Samba, on this host or over SSH."""

from sharectl.drivers.linux.factory import FACTORY

__all__ = ["FACTORY"]
