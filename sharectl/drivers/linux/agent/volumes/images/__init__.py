"""Volumes as file systems of their own in image files."""
