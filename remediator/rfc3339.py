"""Times as they go out: RFC 3339, UTC, milliseconds.

Rule: pure.
"""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """An aware time as `2026-01-05T12:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
