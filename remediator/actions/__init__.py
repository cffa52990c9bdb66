"""What the remediator can do to a system: one file per system, ACTIONS is the one table.

Rule: an action is reachable only through this table and only on a key of the topology.
"""

from collections.abc import Mapping
from typing import NoReturn

import pydantic

from remediator.actions.clients import ActionType, Clients
from remediator.actions.docker import RestartDatabaseParams, RestartServiceParams
from remediator.actions.nginx import SwitchColourParams
from remediator.actions.redis import FlushDbParams, FlushKeysParams
from remediator.ports import Permanent

__all__ = ["ACTIONS", "ActionType", "Clients"]


def _unbuilt(_params: pydantic.BaseModel, _clients: Clients) -> NoReturn:
    raise Permanent("this action is not built yet")


ACTIONS: Mapping[str, ActionType] = {
    "restart_service": ActionType(RestartServiceParams, _unbuilt),
    "restart_database": ActionType(RestartDatabaseParams, _unbuilt),
    "flush_keys": ActionType(FlushKeysParams, _unbuilt),
    "flush_db": ActionType(FlushDbParams, _unbuilt),
    "switch_colour": ActionType(SwitchColourParams, _unbuilt),
}
