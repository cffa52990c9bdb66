"""What the sections of remediator.yml share: their base and the types of their values.

Rule: a type that two sections need stands here, once.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from remediator.durations import Seconds

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
Url = Annotated[str, Field(pattern=r"^(http|https|tcp|unix)://[^\s]+$")]
Listen = Annotated[str, Field(pattern=r"^[^\s:]+:\d{1,5}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[Seconds, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
