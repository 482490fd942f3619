"""A mechanism driver for Neutron that stands in for a switch: it binds every port whose host it likes.

Hosts whose name begins with `refuse` are bound by nobody; on hosts that begin with `slow` the port stays down after it is bound.
"""

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api


class BindingDriver(api.MechanismDriver):
    """Binds to the first segment."""

    def initialize(self) -> None:
        """Need nothing."""

    def bind_port(self, context: api.PortContext) -> None:
        """Bind the port, and say that its switch is ready."""
        if context.host.startswith("refuse"):
            return
        down = context.host.startswith("slow")
        status = constants.PORT_STATUS_DOWN if down else constants.PORT_STATUS_ACTIVE
        segment = context.segments_to_bind[0]
        context.set_binding(segment[api.ID], portbindings.VIF_TYPE_OTHER, {}, status=status)
