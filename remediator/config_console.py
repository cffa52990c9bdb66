"""The section of remediator.yml about the web page, and whom it takes for whom.

Rule: there is no page until somebody says who asks: accounts, or a proxy that has asked already.
"""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from remediator.config_values import Section
from remediator.durations import Seconds


def _is_network(text: str) -> str:
    ipaddress.ip_network(text)  # its ValueError says what is wrong
    return text


class ConsoleProxySection(Section):
    addresses: Annotated[
        list[Annotated[str, AfterValidator(_is_network)]], Field(min_length=1, max_length=20)
    ]
    """Addresses or networks of the proxy itself; what others send in its headers is ignored."""
    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None
    """The header in which it says who has logged in there; it must take away what it is sent."""
    operators: list[str] = Field(default_factory=list)
    """Who may order; everybody else whom it lets through may look."""


class ConsoleSection(Section):
    accounts_file: str | None = None
    """Names, roles and hashed passwords; read again when it changes."""
    proxy: ConsoleProxySection | None = None
    """A reverse proxy in front: people's addresses are in its X-Forwarded-For."""
    key_file: str | None = None
    """Signs cookies, with at least 32 bytes; without it, one is made beside the state file.
    With a shared `journal` it must be given, the same to all."""
    session: Annotated[Seconds, Field(ge=300, le=7 * 24 * 3600)] = 12 * 3600.0
    """After so long one has to log in again."""

    @model_validator(mode="after")
    def somebody_says_who_asks(self) -> "ConsoleSection":
        by_header = self.proxy is not None and self.proxy.user_header is not None
        if (self.accounts_file is not None) == by_header:
            raise ValueError("who asks is said by accounts_file or by proxy.user_header, by one")
        return self
