"""Alertmanager brings what is to be mended to the remediator, whole, and urgent alerts to humans.

Rule: routes are walked as Alertmanager walks them; only what the rule's own labels decide is
decided here.
"""

import re
from collections.abc import Iterator, Mapping

from remediator.checkup.documents import Finding, Marked
from remediator.checkup.sources import Rule, Sources

WEBHOOK = "/webhook/alertmanager"
URGENT = frozenset({"P0", "P1"})
_MATCHER = re.compile(r'\s*"?([\w:]+)"?\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^",{}\s]*))')


def webhook(sources: Sources) -> Iterator[Finding]:
    """The receiver that is the remediator: all alerts, their ends too, and with the token."""
    if sources.alertmanager is None:
        return
    found = list(_webhooks(sources.alertmanager))
    if not found:
        told = f"no receiver has a webhook whose url ends in {WEBHOOK}"
        yield sources.alertmanager.get("receivers").finding(told)
    for name, hook in found:
        if hook.get("send_resolved").value is False:
            told = f"{name}: send_resolved must be true, or no end of an alert is told"
            yield hook.get("send_resolved").finding(told)
        if hook.get("max_alerts").value not in (None, 0):
            told = f"{name}: max_alerts must be 0: a cut list would look like resolved alerts"
            yield hook.get("max_alerts").finding(told)
        http = hook.get("http_config")
        if not http.keys & {"authorization", "bearer_token", "bearer_token_file"}:
            told = f"{name}: http_config.authorization is missing: the remediator wants its token"
            yield hook.finding(told)


def _webhooks(document: Marked) -> Iterator[tuple[str, Marked]]:
    for receiver in document.get("receivers").each:
        for hook in receiver.get("webhook_configs").each:
            if hook.get("url").text.rstrip("/").endswith(WEBHOOK):
                yield receiver.get("name").text, hook


def reached(sources: Sources) -> Iterator[Finding]:
    """Who hears of each alert."""
    if sources.alertmanager is None:
        return
    document = sources.alertmanager
    ours = {name for name, _ in _webhooks(document)}
    if not ours:
        return
    silent = {
        receiver.get("name").text
        for receiver in document.get("receivers").each
        if not any(key.endswith("_configs") for key in receiver.keys)
    }
    watchdog = sources.of("watchdog").get("alert").text
    for rule in sources.alerts:
        heard = set(receivers(document.get("route"), _labels(rule)))
        if (rule.remediation or rule.alert == watchdog) and not heard & ours:
            told = f"{rule.alert}: goes to {_names(heard)} and not to the remediator"
            yield rule.at.get("labels").finding(told)
        if rule.at.get("labels", "severity").text in URGENT and not heard - ours - silent:
            told = f"{rule.alert}: goes to {_names(heard)}: no human hears of it"
            yield rule.at.get("labels").finding(told)


def _names(receivers: set[str]) -> str:
    return ", ".join(sorted(receivers)) or "nobody"


def _labels(rule: Rule) -> dict[str, str]:
    labels = {key: value.text for key, value in rule.at.get("labels").entries}
    return {**labels, "alertname": rule.alert}


def receivers(route: Marked, labels: Mapping[str, str], inherited: str = "") -> Iterator[str]:
    """The names of those that hear of an alert with these labels."""
    own = route.get("receiver").text or inherited
    has_child = False
    for child in route.get("routes").each:
        if not _matches(child, labels):
            continue
        has_child = True
        yield from receivers(child, labels, own)
        if child.get("continue").value is not True:
            return
    if not has_child:
        yield own


def _matches(route: Marked, labels: Mapping[str, str]) -> bool:
    wanted = [
        (name, operator, quoted or bare)
        for line in route.get("matchers").each
        for name, operator, quoted, bare in _MATCHER.findall(line.text)
    ]
    wanted += [(name, "=", value.text) for name, value in route.get("match").entries]
    wanted += [(name, "=~", value.text) for name, value in route.get("match_re").entries]
    return all(_fits(labels.get(name, ""), operator, value) for name, operator, value in wanted)


def _fits(value: str, operator: str, wanted: str) -> bool:
    if operator in {"=", "!="}:
        return (value == wanted) is (operator == "=")
    try:
        found = re.fullmatch(wanted, value) is not None
    except re.error:
        return False
    return found is (operator == "=~")
