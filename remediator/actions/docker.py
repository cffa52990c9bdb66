"""Restarts containers of the compose stack through the Docker engine, always by name."""

from typing import Annotated

from pydantic import Field

from remediator.actions.clients import Params
from remediator.durations import Seconds


class RestartServiceParams(Params):
    """`stop_timeout`: how long the engine waits after SIGTERM before it kills."""

    stop_timeout: Annotated[Seconds, Field(ge=1, le=600)] = 10.0


class RestartDatabaseParams(Params):
    """A longer `stop_timeout`: a killed server has to recover before it serves."""

    stop_timeout: Annotated[Seconds, Field(ge=10, le=600)] = 60.0
