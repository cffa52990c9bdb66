"""Who may talk to the remediator: whoever holds the token.

Rule: compared in constant time; what was sent is never logged.
"""

import hmac

from flask import request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized


def require_token(token: bytes) -> None:
    """Errors: Unauthorized."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    given = sent.strip().encode("utf-8", "surrogateescape")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given, token):
        raise Unauthorized(
            "Send the token of webhook.token_file as Authorization: Bearer <token>.",
            www_authenticate=WWWAuthenticate("bearer"),
        )
