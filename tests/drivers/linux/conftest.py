"""The fixtures of the linux driver's tests."""

from tests.drivers.linux.ganesha_lab import ganesha, make_ganesha
from tests.drivers.linux.lab import lab_directory, module_directory, network
from tests.drivers.linux.operations_lab import backend, own_backend
from tests.drivers.linux.samba_lab import own_samba, running_samba
from tests.drivers.linux.ssh_server import ssh_host
from tests.drivers.linux.tenants import switch

__all__ = [
    "backend",
    "ganesha",
    "lab_directory",
    "make_ganesha",
    "module_directory",
    "network",
    "own_backend",
    "own_samba",
    "running_samba",
    "ssh_host",
    "switch",
]
