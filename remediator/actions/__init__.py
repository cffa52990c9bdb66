"""What the remediator can do to a system: one file per system, ACTIONS is the one table.

Rule: an action is reachable only through this table and only on a key of the topology.
"""

from collections.abc import Mapping

from remediator.actions.clients import ActionType, Clients, action_type
from remediator.actions.colours import StartColour, StartColourParams
from remediator.actions.compose import ComposeUp, ComposeUpParams
from remediator.actions.docker import (
    RestartDatabase,
    RestartDatabaseParams,
    RestartService,
    RestartServiceParams,
)
from remediator.actions.nginx import SwitchColour, SwitchColourParams
from remediator.actions.redis import FlushDb, FlushDbParams, FlushKeys, FlushKeysParams

__all__ = ["ACTIONS", "ActionType", "Clients"]

ACTIONS: Mapping[str, ActionType] = {
    "restart_service": action_type(RestartServiceParams, RestartService),
    "restart_database": action_type(RestartDatabaseParams, RestartDatabase),
    "flush_keys": action_type(FlushKeysParams, FlushKeys),
    "flush_db": action_type(FlushDbParams, FlushDb),
    "start_colour": action_type(StartColourParams, StartColour),
    "compose_up": action_type(ComposeUpParams, ComposeUp),
    "switch_colour": action_type(SwitchColourParams, SwitchColour),
}
