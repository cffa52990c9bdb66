"""Which labels every series has: what is scraped, what is recorded, what fires."""

from collections.abc import Mapping, Sequence
from typing import Any

import promql_parser as promql

from tests.contract.promql import Labels, labels_of

OF_ALERTS = frozenset({"alertname", "alertstate"})


class Inference:
    """`by_job`: the labels that the programs give their series; `targets`: those of a job."""

    def __init__(
        self,
        rules: Sequence[Mapping[str, Any]],
        by_job: Mapping[str, Mapping[str, Labels]],
        targets: Mapping[str, Labels],
    ) -> None:
        self._rules = {rule.get("alert") or rule["record"]: rule for rule in rules}
        self._scraped = {
            name: (job, labels | targets[job])
            for job, found in by_job.items()
            for name, labels in found.items()
        }
        self._targets = targets
        self._open: set[str] = set()

    def job_of(self, series: str) -> str | None:
        """Which job brings it; None for what is no job's alone."""
        return self._scraped[series][0] if series in self._scraped else None

    def given_by_rule(self, name: str) -> Mapping[str, str]:
        """The labels that the rule itself gives, with their values."""
        return self._rules.get(name, {}).get("labels", {})

    def of_rule(self, name: str) -> Labels | None:
        if name in self._open:  # an alert that asks whether it fires
            return None
        rule = self._rules[name]
        self._open.add(name)
        try:
            found = labels_of(promql.parse(rule["expr"]), self.of_series)
        finally:
            self._open.remove(name)
        if found is None:
            return None
        given = self.given_by_rule(name)
        return (found | set(given)) - {label for label, value in given.items() if value == ""}

    def of_series(self, selector: promql.VectorSelector) -> Labels | None:
        name = str(selector.name)
        wanted = {m.name: m.value for m in selector.matchers.matchers}
        if name in self._rules:
            return self.of_rule(name)
        if name in self._scraped:
            return self._scraped[name][1]
        if name == "ALERTS" and wanted.get("alertname", "") in self._rules:
            of_alert = self.of_rule(wanted["alertname"])
            return None if of_alert is None else of_alert | OF_ALERTS
        if name == "up":
            return self._targets.get(wanted.get("job", ""))
        return None
