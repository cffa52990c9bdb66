"""What every action is made of: its parameters model and its clients.

Rule: no client library here, so that each system's file imports only its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import pydantic

from remediator.ports import Action


class Params(pydantic.BaseModel):
    """The `with:` of a step: an unknown key or a wrong type is a mistake in the config."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Clients:
    """Where the actions' systems answer, and the time that `main.py` made.

    `clock` gives aware UTC; `wait` blocks for so many seconds.
    """

    docker_url: str
    exporter_url: str
    clock: Callable[[], datetime]
    wait: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class ActionType:
    """An action by its parameters model and the way to make one."""

    params: type[pydantic.BaseModel]
    make: Callable[[pydantic.BaseModel, Clients], Action]


P = TypeVar("P", bound=pydantic.BaseModel)


def action_type(params: type[P], make: Callable[[P, Clients], Action]) -> ActionType:
    """Tie `make` to its own parameters model, checked when a step is built."""

    def checked(value: pydantic.BaseModel, clients: Clients) -> Action:
        if not isinstance(value, params):
            raise TypeError(f"expected {params.__name__}, got {type(value).__name__}")
        return make(value, clients)

    return ActionType(params=params, make=checked)
