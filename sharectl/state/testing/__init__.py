"""The conformance suite of state stores: every promise of the contract, for whoever writes a store.

Subclass it in a test module, and say how a store on one and the same state is opened:

    class TestMyStore(StateStoreConformance):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda: open_my_store(tmp_path / "state")
"""

from __future__ import annotations

from sharectl.state.testing.commits import CommitsConformance
from sharectl.state.testing.leases import LeasesConformance
from sharectl.state.testing.questions import QuestionsConformance
from sharectl.state.testing.reading import DocumentsConformance, LookupsConformance
from sharectl.state.testing.usage import UsageConformance


class StateStoreConformance(
    CommitsConformance,
    LookupsConformance,
    QuestionsConformance,
    LeasesConformance,
    DocumentsConformance,
    UsageConformance,
):
    """What every StateStore must do; subclasses override the fixture `make_store`."""
