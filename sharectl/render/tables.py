"""The tables and objects of `pools`, `state`, `show`, `history` and `lock` under one name."""

from sharectl.render.history import history_lines, history_object
from sharectl.render.lock import lock_lines, lock_object
from sharectl.render.pool_table import pools_lines, pools_object
from sharectl.render.resource import resource_lines, resource_object
from sharectl.render.simulation import simulation_lines
from sharectl.render.state_tables import record_lines, record_object, state_list_lines, state_object

__all__ = [
    "history_lines",
    "history_object",
    "lock_lines",
    "lock_object",
    "pools_lines",
    "pools_object",
    "record_lines",
    "record_object",
    "resource_lines",
    "resource_object",
    "simulation_lines",
    "state_list_lines",
    "state_object",
]
