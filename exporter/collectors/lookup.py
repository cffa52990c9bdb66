"""From a host's name to its addresses, in no more time than there is.

Rule: the system's resolver has no time limit of its own, so it works in a thread of its own: a
dead one costs the caller its timeout, not its deadline.
"""

import socket
import threading
from contextlib import suppress

Address = tuple[
    socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]


def addresses(host: str, port: int, timeout: float) -> list[Address]:
    """At least one. Errors: TimeoutError; OSError with the resolver's words."""
    with suppress(OSError):
        return _found(host, port, socket.AI_NUMERICHOST)
    answer: list[list[Address] | OSError] = []

    def look() -> None:
        try:
            answer.append(_found(host, port, 0))
        except OSError as error:
            answer.append(error)
        except UnicodeError as error:
            answer.append(socket.gaierror(socket.EAI_NONAME, str(error)))

    thread = threading.Thread(target=look, name=f"resolve-{host}", daemon=True)
    thread.start()
    thread.join(timeout)
    if not answer:
        raise TimeoutError(f"{host}: the resolver did not answer in time")
    if isinstance(answer[0], OSError):
        raise answer[0]
    return answer[0]


def _found(host: str, port: int, flags: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]
