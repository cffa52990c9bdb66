"""The remediator on a machine whose clock is an hour ahead.

`python skewed.py ...`: the rest is the remediator's own command line.
"""

from datetime import UTC, datetime, timedelta

from remediator import serve
from remediator.main import main


def now() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


if __name__ == "__main__":
    serve._now = now
    main()
