"""Snapshots: the steps for them, and which of them go with which share."""
