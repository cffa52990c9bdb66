"""Asks the checks of a verification, once each: is it mended?

Rule: nothing here can fail a check by not knowing. Whatever cannot be asked, is stale or
is no number is INCONCLUSIVE, and so never counts as mended.
"""

import math
from collections.abc import Mapping
from typing import Protocol, assert_never

from remediator.alerts import is_same_alert
from remediator.checks import (
    AlertCleared,
    CheckSpec,
    ProbesCheck,
    PromqlCheck,
    RunningCheck,
    name_of,
)
from remediator.ports import AlertState, Check, Finding, RemediationError
from remediator.probes import ExporterProbes
from remediator.prometheus import Sample, quoted
from remediator.topology import Target


class Source(Protocol):
    """What is needed of Prometheus."""

    def now(self) -> AlertState: ...

    def query(self, expr: str) -> tuple[Sample, ...]: ...


class MonitoringVerifier:
    """Asks Prometheus and the exporter. `max_data_age_seconds`: older data is no proof."""

    def __init__(
        self,
        exporter_url: str,
        prometheus: Source,
        *,
        max_data_age_seconds: float,
        timeout_seconds: float = 10.0,
    ) -> None:
        self._prometheus = prometheus
        self._max_data_age_seconds = max_data_age_seconds
        self._exporter = ExporterProbes(exporter_url, timeout_seconds=timeout_seconds)

    def look(
        self, checks: tuple[CheckSpec, ...], target: Target, alert_labels: Mapping[str, str]
    ) -> tuple[Finding, ...]:
        """`alert_labels` are those of the alert that started the run, alertname included."""
        return tuple(self._look(check, target, alert_labels) for check in checks)

    def close(self) -> None:
        self._exporter.close()

    def _look(self, check: CheckSpec, target: Target, alert_labels: Mapping[str, str]) -> Finding:
        name = name_of(check)
        try:
            match check:
                case RunningCheck():
                    verdict, detail = self._running(target)
                case ProbesCheck():
                    names = target.probes if check.names is None else check.names
                    verdict, detail = self._probes(names)
                case AlertCleared():
                    verdict, detail = self._cleared(alert_labels)
                case PromqlCheck():
                    verdict, detail = self._promql(check)
                case _:
                    assert_never(check)
        except RemediationError as error:
            verdict, detail = Check.INCONCLUSIVE, str(error)
        return Finding(name, verdict, detail)

    def _running(self, target: Target) -> tuple[Check, str]:
        series = self._prometheus.query(
            f'compose_service_state{{service={quoted(target.key)},state="running"}}'
        )
        if not series:
            return Check.INCONCLUSIVE, f"Prometheus has no state of {target.key}"
        if all(sample.value == 1 for sample in series):
            return Check.PASS, f"{target.key} runs"
        return Check.FAIL, f"{target.key} does not run"

    def _probes(self, names: tuple[str, ...]) -> tuple[Check, str]:
        if not names:
            return Check.INCONCLUSIVE, "there is no probe to ask; name one in the topology"
        for name in names:
            found = self._exporter.probe(name)
            if not found.success:
                return Check.FAIL, f"probe {name} fails: {found.reason or 'no reason given'}"
        return Check.PASS, f"probes succeed: {', '.join(names)}"

    def _cleared(self, alert_labels: Mapping[str, str]) -> tuple[Check, str]:
        state = self._prometheus.now()
        name = alert_labels.get("alertname", "the alert")
        if state.data_age_seconds is None:
            return Check.INCONCLUSIVE, "the exporter is not up, so alerts say nothing"
        if state.data_age_seconds > self._max_data_age_seconds:
            return Check.INCONCLUSIVE, (
                f"Prometheus' data is {state.data_age_seconds:.0f} s old, "
                f"more than {self._max_data_age_seconds:.0f} s"
            )
        if any(is_same_alert(alert.labels, alert_labels) for alert in state.firing):
            return Check.FAIL, f"{name} still fires"
        if not state.steady:
            return Check.INCONCLUSIVE, f"{name} is gone, but so was the exporter a moment ago"
        return Check.PASS, f"{name} fires no more"

    def _promql(self, check: PromqlCheck) -> tuple[Check, str]:
        values = [sample.value for sample in self._prometheus.query(check.expr)]
        if not values or any(math.isnan(value) for value in values):
            return Check.INCONCLUSIVE, f"{check.expr} has no value"
        shown = ", ".join(f"{value:g}" for value in values[:5])
        if all(_within(value, check) for value in values):
            return Check.PASS, f"{check.expr} is {shown}"
        return Check.FAIL, f"{check.expr} is {shown}, not {_bounds(check)}"


def _within(value: float, check: PromqlCheck) -> bool:
    return (check.above is None or value > check.above) and (
        check.below is None or value < check.below
    )


def _bounds(check: PromqlCheck) -> str:
    bounds = []
    if check.above is not None:
        bounds.append(f"above {check.above:g}")
    if check.below is not None:
        bounds.append(f"below {check.below:g}")
    return " and ".join(bounds)
