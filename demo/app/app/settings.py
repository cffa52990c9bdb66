"""What the containers' environment says."""

import os
from pathlib import Path

ROLE = os.environ.get("ROLE", "backend")
COLOUR = os.environ.get("COLOUR", "blue")
# `good`, or `bad-...` for a release that fails its users; see routes.py.
RELEASE = os.environ.get("RELEASE", "good")
VERSION = "1.0.0" if RELEASE == "good" else f"1.0.1-{RELEASE}"

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://piano_tutor@postgres/piano_tutor")
CACHE_URL = os.environ.get("CACHE_URL", "redis://redis:6379/0")
BROKER_URL = os.environ.get("BROKER_URL", "redis://redis:6379/1")
CACHE_SECONDS = int(os.environ.get("CACHE_SECONDS", "15"))


def secret(name: str) -> str:
    """The content of the mounted secret; empty when it is not mounted."""
    path = Path("/run/secrets") / name
    return path.read_text().strip() if path.exists() else ""
