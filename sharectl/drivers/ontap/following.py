"""What follows the size of a share: the limits that its type gives for each GiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.drivers.ontap import qos

if TYPE_CHECKING:
    from sharectl.drivers.ontap.client import Array
    from sharectl.drivers.ontap.volumes import Volume


def follow_size(array: Array, volume: Volume, size_bytes: int) -> None:
    """Give the QoS policy of a share the limits for a size, where they depend on it.

    Before the volume gets that size: where the run ends in between, the next plan sees the size, and comes here again.
    """
    if volume.note is None:
        return
    limits = qos.noted_limits(volume.note.values)
    if qos.follows_size(limits):
        qos.change_policy(array, volume.svm, volume.note.resource_id, limits, size_bytes)
