"""Mount namespaces of tests."""

from __future__ import annotations

from typing import Final

WITHOUT_LABS: Final = "awk '$2 ~ \"/sharectl-lab-\" {print $2}' /proc/mounts | tac | xargs -r umount --lazy\n"
"""Begins a shell script in a new mount namespace: volumes of tests beside it stay in use for as long as it has copies of their mounts."""
