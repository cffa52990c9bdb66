"""What the remediator can do to a system: one file per system, ACTIONS is the one table.

Rule: an action is reachable only through this table and only on a key of the topology.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import pydantic

from remediator.ports import Action


@dataclass(frozen=True, slots=True)
class Clients:
    """Where the actions' systems answer, and the time that `main.py` made."""

    docker_url: str
    exporter_url: str
    clock: Callable[[], datetime]
    wait: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class ActionType:
    """An action by its parameters model and the way to make one."""

    params: type[pydantic.BaseModel]
    make: Callable[[pydantic.BaseModel, Clients], Action]


ACTIONS: Mapping[str, ActionType] = {}
