"""Volumes as subvolumes of a btrfs file system."""
