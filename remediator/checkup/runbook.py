"""Rules, runbook entries, targets and pages name one another, and every name leads somewhere.

Rule: only what is there is looked at; a finding stands at the name that leads nowhere.
"""

import re
from collections.abc import Iterator

from remediator.checkup import promql
from remediator.checkup.documents import Finding, Marked
from remediator.checkup.sources import Rule, Sources

OWN = frozenset({"exporter", "remediator", "prometheus", "alertmanager", "grafana"})
"""Services that watch: alerts name them, and nothing is done to them."""


def remediations(sources: Sources) -> Iterator[Finding]:
    """The label remediation names an entry, which takes this alert, on a target that is known."""
    entries, topology = sources.entries, sources.of("topology").keys
    for rule in sources.alerts:
        label = rule.at.get("labels", "remediation")
        if not rule.remediation:
            continue
        entry = entries.get(rule.remediation)
        if entry is None:
            told = f"{rule.alert}: remediation {rule.remediation!r} is no entry of the runbook"
            yield label.finding(told)
            continue
        if rule.alert not in {name.text for name in entry.get("alerts").each}:
            told = f"{rule.alert}: the entry {rule.remediation!r} does not list this alert"
            yield label.finding(told)
        yield from _target(rule, entry, topology)


def _target(rule: Rule, entry: Marked, topology: frozenset[str]) -> Iterator[Finding]:
    service, constant = rule.at.get("labels", "service"), entry.get("target").text
    if not service.text or "{{" in service.text:
        return
    if constant and constant != service.text:
        told = f"{rule.alert}: its service is {service.text!r}, its entry acts on {constant!r}"
        yield service.finding(told)
    if not constant and service.text not in topology:
        yield service.finding(f"{rule.alert}: {service.text!r} is not a key of the topology")


def entries_alerts(sources: Sources) -> Iterator[Finding]:
    """Every alert that the runbook names is a rule, and the rule names the entry."""
    if not sources.rules:
        return
    rules = {rule.alert: rule for rule in sources.alerts}
    for name, entry in sources.entries.items():
        for alert in entry.get("alerts").each:
            rule = rules.get(alert.text)
            if rule is not None and rule.remediation != name:
                named = rule.remediation or "manual"
                yield alert.finding(f"{name}: the rule {alert.text} says remediation: {named}")
    for owner, alert in _named_alerts(sources):
        if alert.text not in rules:
            yield alert.finding(f"{owner}: no rule is called {alert.text!r}")


def _named_alerts(sources: Sources) -> Iterator[tuple[str, Marked]]:
    for name, entry in sources.entries.items():
        for alert in (*entry.get("alerts").each, *entry.get("unless_firing").each):
            yield name, alert
    watchdog = sources.of("watchdog").get("alert")
    if watchdog.text:
        yield "watchdog", watchdog


def services(sources: Sources) -> Iterator[Finding]:
    """Services and probes that rules select by exist."""
    known, probes = _services(sources), _probes(sources)
    for rule in sources.rules:
        name = rule.alert or rule.record
        for label, keys in (("service", known), ("target", probes)):
            for wanted in promql.selected(rule.expr, label) if keys else ():
                if not any(wanted.fullmatch(key) for key in keys):
                    told = f"{name}: no {label} is like {_unescaped(wanted)!r}"
                    yield rule.at.get("expr").finding(told)


def _unescaped(wanted: re.Pattern[str]) -> str:
    return re.sub(r"\\(.)", r"\1", wanted.pattern)


def _services(sources: Sources) -> frozenset[str]:
    known = sources.of("topology").keys
    if sources.exporter is None:
        return known | OWN
    for section in ("services", "postgres", "redis", "celery", "nginx", "colours"):
        known |= sources.exporter.get(section).keys
    for section in ("probes", "certificates", "backups"):
        for _, part in sources.exporter.get(section).entries:
            known |= {part.get("service").text}
    return known | OWN


def _probes(sources: Sources) -> frozenset[str]:
    return sources.exporter.get("probes").keys if sources.exporter is not None else frozenset()


def topology(sources: Sources) -> Iterator[Finding]:
    """What may be touched is what is watched, and the probes that are asked for are made."""
    if sources.exporter is None:
        return
    watched = sources.exporter.get("services")
    targets = sources.of("topology")
    for key, target in targets.entries:
        container = target.get("container")
        if container.text and key not in watched.keys:
            yield container.finding(f"{key!r} is not one of the exporter's services")
    for key, service in watched.entries:
        if not targets.get(key, "container").text:
            told = f"{key!r} is watched, and the topology has no such key with a container"
            yield service.finding(told)
    known = _probes(sources)
    for probe in _asked_probes(sources):
        if probe.text != "target" and probe.text not in known:
            yield probe.finding(f"the exporter has no probe {probe.text!r}")


def _asked_probes(sources: Sources) -> Iterator[Marked]:
    for _, target in sources.of("topology").entries:
        yield from target.get("probes").each
        yield from (probe for _, probe in target.get("switch", "ready_probes").entries)
    for entry in sources.of("runbooks").each:
        for check in (*entry.get("verify", "all").each, *entry.get("confirm").each):
            yield from check.get("probes").each


def pages(sources: Sources) -> Iterator[Finding]:
    """Whoever is paged finds a page."""
    if sources.pages is None:
        return
    for rule in sources.alerts:
        link = rule.at.get("annotations", "runbook_url")
        page = link.text.rpartition("/")[2].removesuffix(".md")
        if not link.text:
            yield rule.at.get("alert").finding(f"{rule.alert}: has no runbook_url")
        elif page not in sources.pages:
            yield link.finding(f"{rule.alert}: there is no page {link.text}")


def freshness(sources: Sources) -> Iterator[Finding]:
    """The job whose data must be fresh is one that Prometheus scrapes."""
    if sources.prometheus is None:
        return
    job = sources.of("prometheus").get("freshness_job")
    jobs = {scrape.get("job_name").text for scrape in sources.prometheus.get("scrape_configs").each}
    if (job.text or "stackmedic-exporter") not in jobs:
        yield job.finding(f"Prometheus scrapes no job {job.text or 'stackmedic-exporter'!r}")
