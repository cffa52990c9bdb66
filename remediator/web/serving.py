"""The server that the application runs on.

Rule: a few threads, bounded connections, and no body on a disk.
"""

from typing import Any

import waitress  # type: ignore[import-untyped]  # it ships no types
from flask import Flask

THREADS = 8
CONNECTIONS = 64
RECEIVED_BYTES = 65536  # such a webhook has 400 kB


def serving(app: Flask, host: str, port: int, max_body_bytes: int) -> Any:  # noqa: ANN401 - waitress has no types
    return waitress.create_server(
        app,
        host=host,
        port=port,
        threads=THREADS,
        connection_limit=CONNECTIONS,
        # A little over the cap, so that the application can say 413 in its own words;
        # never to a temporary file.
        max_request_body_size=2 * max_body_bytes,
        inbuf_overflow=2 * max_body_bytes,
        recv_bytes=RECEIVED_BYTES,
        # The console looks at its own proxy's, and at nobody else's.
        clear_untrusted_proxy_headers=False,
        ident="stackmedic-remediator",
    )
