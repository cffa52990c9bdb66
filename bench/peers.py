"""The exporters that stackmedic is measured beside: Debian's, unpacked, never installed.

Rule: a peer that cannot be had is left out of the table; the benchmark goes on.
"""

import subprocess
from pathlib import Path

from demo.tools import ensure_programs
from demo.world import STATE

# Debian package -> {program in the package: name it is known by}
PEERS = {
    package: {f"usr/bin/{package}": package}
    for package in (
        "prometheus-postgres-exporter",
        "prometheus-redis-exporter",
        "prometheus-blackbox-exporter",
        "prometheus-node-exporter",
        "mtail",
    )
}


def peer(package: str) -> Path | None:
    """The program of a Debian package, or None where there is none."""
    try:
        folder = ensure_programs(STATE / "peers", {package: PEERS[package]})
    except (OSError, subprocess.SubprocessError):
        return None
    return folder / package


def version(package: str) -> str:
    """What Debian calls the version that would be unpacked."""
    done = subprocess.run(
        ["apt-cache", "policy", package], capture_output=True, text=True, check=False
    )
    found = [line.split()[-1] for line in done.stdout.splitlines() if "Candidate:" in line]
    return found[0] if found else "unknown"
