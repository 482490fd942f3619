"""What follows the size of a share: the limits that its type gives for each GiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.ontap import qos

if TYPE_CHECKING:
    from sharectl.drivers.ontap.volumes import Volumes


def follow_size(volumes: Volumes, resource_id: str) -> None:
    """Give the QoS policy of a share the limits for the size that it has now, where they depend on it."""
    volume = volumes.known(resource_id) or volumes.needed(resource_id)
    if volume.note is None:
        return
    limits = qos.noted_limits(volume.note.values)
    if qos.follows_size(limits):
        qos.change_policy(volumes.array, volume.svm, resource_id, limits, volume.size_bytes)
