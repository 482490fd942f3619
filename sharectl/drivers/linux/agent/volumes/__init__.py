"""Volumes, snapshots and the pools that hold them."""
