"""Why a target could not be read."""

from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override


class Cause(StrEnum):
    """Why a target could not be read. These words are public: logs, landing page, docs."""

    DNS = "dns"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    AUTH = "auth"
    PROTOCOL = "protocol"
    REFUSED = "refused"  # the target answered with an error
    FILES = "files"  # files that should be there cannot be read
    DEADLINE = "deadline"  # the scrape's deadline passed first
    BUSY = "busy"  # still working for an earlier scrape
    BUG = "bug"  # the collector itself raised


@dataclass(frozen=True, slots=True)
class Unreachable:
    cause: Cause
    detail: str = ""

    @override
    def __str__(self) -> str:
        return f"{self.cause}: {self.detail}" if self.detail else str(self.cause)
