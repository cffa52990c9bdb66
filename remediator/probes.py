"""Asks the exporter for one fresh probe of one of its configured targets.

Rule: a probe that could not be asked is not a failed probe; it raises Transient.
"""

from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from remediator.ports import Transient

_NOTHING_WRONG = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a fresh probe found. `reason` is the exporter's word for why it failed."""

    success: bool
    reason: str = _NOTHING_WRONG


class ExporterProbes:
    """The exporter's /probe. Each probe is done afresh, with the timeout of its config."""

    def __init__(self, exporter_url: str, *, timeout_seconds: float) -> None:
        self._client = httpx.Client(base_url=exporter_url, timeout=timeout_seconds, trust_env=False)

    def probe(self, name: str) -> Probe:
        """Errors: Transient, when the exporter cannot be asked or does not know the name."""
        try:
            response = self._client.get("/probe", params={"target": name})
            response.raise_for_status()
            return _probe(response.text)
        except httpx.HTTPStatusError as error:
            raise Transient(
                f"the exporter refuses to probe {name}: {error.response.status_code} "
                f"{error.response.text[:200].strip()}; see that its config has this probe"
            ) from error
        except (httpx.HTTPError, ValueError) as error:
            raise Transient(
                f"cannot ask the exporter to probe {name}: {error!r}; see that it runs"
            ) from error

    def close(self) -> None:
        self._client.close()


def _probe(text: str) -> Probe:
    success: bool | None = None
    reason = _NOTHING_WRONG
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "probe_success":
                success = sample.value == 1
            elif sample.name == "probe_failure_reason" and sample.value == 1:
                reason = sample.labels.get("reason", _NOTHING_WRONG)
    if success is None:
        raise ValueError("no probe_success in the answer")
    return Probe(success, reason)
