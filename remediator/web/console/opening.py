"""The console's section of the configuration -> who may open it.

Rule: a file that cannot be used stops the start, with a sentence.
"""

import ipaddress
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from remediator.config_console import ConsoleProxySection, ConsoleSection
from remediator.web.console.access import Gate, Proxy
from remediator.web.console.accounts import Accounts
from remediator.web.console.sessions import Sessions, kept_key
from remediator.web.console.throttle import Throttle


def open_gate(
    section: ConsoleSection | None,
    state_file: Path | None,
    external_url: str,
    clock: Callable[[], datetime],
) -> Gate | None:
    """None where no console is configured. Errors: OSError, ValueError."""
    if section is None:
        return None
    if section.key_file is not None:
        key = kept_key(Path(section.key_file), make=False)
    elif state_file is not None:
        key = kept_key(state_file.with_name("console.key"), make=True)
    else:
        raise ValueError("console.key_file is missing, and there is no state_file to keep one by")
    return Gate(
        sessions=Sessions(key, timedelta(seconds=section.session), clock),
        throttle=Throttle(clock),
        accounts=Accounts(Path(section.accounts_file)) if section.accounts_file else None,
        proxy=_proxy(section.proxy) if section.proxy else None,
        secure=external_url.startswith("https://"),
    )


def _proxy(section: ConsoleProxySection) -> Proxy:
    return Proxy(
        networks=tuple(map(ipaddress.ip_network, section.addresses)),
        user_header=section.user_header,
        operators=frozenset(section.operators),
    )
