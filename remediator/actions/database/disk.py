"""How full the disk of a database is, by the exporter's node_filesystem_* series.

Rule: what cannot be known is None, never 0 and never enough.
"""

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of a file system: what users may still fill, and all of it."""

    free_bytes: int
    size_bytes: int

    @property
    def used(self) -> float:
        return 1 - self.free_bytes / self.size_bytes if self.size_bytes else 0.0


def disk(exporter_url: str, mountpoint: str | None) -> Disk | None:
    """None when no mountpoint is configured, or the exporter does not know it now."""
    if mountpoint is None:
        return None
    try:
        response = httpx.get(
            f"{exporter_url}/metrics",
            params={"collect[]": "disks"},
            timeout=_SECONDS,
            trust_env=False,
        )
        response.raise_for_status()
        found = {
            sample.name: int(sample.value)
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
            if sample.labels.get("mountpoint") == mountpoint
        }
        return Disk(found["node_filesystem_avail_bytes"], found["node_filesystem_size_bytes"])
    except (httpx.HTTPError, ValueError, KeyError):
        return None
