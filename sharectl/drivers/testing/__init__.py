"""The conformance suite that every driver must pass; point it at yours as docs/drivers.md shows.

A test of an optional capability that the driver's type does not have is skipped, and says so.
"""

from __future__ import annotations

from sharectl.drivers.testing.access import AccessTests
from sharectl.drivers.testing.adoption import AdoptionTests
from sharectl.drivers.testing.backend import BackendTests
from sharectl.drivers.testing.checks import CheckTests
from sharectl.drivers.testing.export_names import ExportNameTests
from sharectl.drivers.testing.fences import FenceTests
from sharectl.drivers.testing.protocols import ProtocolTests
from sharectl.drivers.testing.references import new_id, ref, shares_of, snapshot_ref
from sharectl.drivers.testing.shares import ShareTests
from sharectl.drivers.testing.sizes import SizeTests
from sharectl.drivers.testing.snapshots import SnapshotTests
from sharectl.drivers.testing.trash import TrashTests

__all__ = ["DriverConformance", "new_id", "ref", "shares_of", "snapshot_ref"]


class DriverConformance(
    BackendTests,
    ShareTests,
    CheckTests,
    AccessTests,
    ExportNameTests,
    ProtocolTests,
    SizeTests,
    SnapshotTests,
    TrashTests,
    AdoptionTests,
    FenceTests,
):
    """Derive from it, name the class Test..., and override the fixture `make_driver`; the rest is optional."""
