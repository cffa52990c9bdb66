"""What every action is made of: its parameters model and its clients.

Rule: no client library here, so that each system's file imports only its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self, TypeVar

import pydantic

from remediator.ports import Action
from remediator.topology import Target


class Params(pydantic.BaseModel):
    """The `with:` of a step: an unknown key or a wrong type is a mistake in the config."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Clients:
    """Where the actions' systems answer, and the time that `main.py` made.

    `clock` gives aware UTC; `wait` blocks for so many seconds. `topology` is for actions
    that work on, or look at, more than their target.
    """

    docker_url: str
    exporter_url: str
    clock: Callable[[], datetime]
    wait: Callable[[float], None]
    prometheus_url: str = ""
    topology: Mapping[str, Target] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment a call must be over, so that every part of it can ask what is left."""

    clock: Callable[[], datetime]
    at: datetime

    @classmethod
    def after(cls, clock: Callable[[], datetime], seconds: float) -> Self:
        return cls(clock, clock() + timedelta(seconds=seconds))

    def left_seconds(self) -> float:
        return (self.at - self.clock()).total_seconds()

    def at_most(self, seconds: float) -> float:
        """`seconds`, or what is left; never under 0.1, so that a client's timeout stays valid."""
        return max(0.1, min(seconds, self.left_seconds()))

    def is_over(self) -> bool:
        return self.left_seconds() <= 0


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
