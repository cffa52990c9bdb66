"""What the sections of remediator.yml are made of: the strict model and the common types.

Rule: no section of the file here; `config_schema.py` and `config_stack.py` have them.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from remediator.durations import Seconds

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
Url = Annotated[str, Field(pattern=r"^(http|https|tcp|unix)://[^\s]+$")]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s]*)?$")]
Path = Annotated[str, Field(pattern=r"^/[^\s]*$")]
Listen = Annotated[str, Field(pattern=r"^[^\s:]+:\d{1,5}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[Seconds, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
