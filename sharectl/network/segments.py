"""Which segmentation ids a kind of network can have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_LARGEST: Final[Mapping[str, int]] = {
    "vlan": 4094,
    "vxlan": 16_777_215,
    "geneve": 16_777_215,
    "gre": 4_294_967_295,
}


def segmentation_problem(network_type: str, segmentation_id: int | None) -> str:
    """Return what is wrong with the segmentation id of a network of that type, in words, or an empty string.

    The limits are those that Manila's share manager holds (`_validate_segmentation_id`) and, for geneve, those of the protocol. Types
    that it does not know are let through.
    """
    if network_type == "flat":
        return (
            ""
            if segmentation_id is None
            else f"a flat network has no segmentation id, and this one has {segmentation_id}"
        )
    largest = _LARGEST.get(network_type)
    if largest is None:
        return ""
    if segmentation_id is None:
        return f"a {network_type} network needs a segmentation id from 1 to {largest}"
    if not 1 <= segmentation_id <= largest:
        return f"a {network_type} network's segmentation id is from 1 to {largest}, and this one has {segmentation_id}"
    return ""
