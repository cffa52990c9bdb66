"""The shipped configuration, copied for a demo or a test: other names, faster clocks.

Rule: what is copied is what production mounts; only the prefix of names and the waiting
times change, and every change is one line of a table here.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from remediator.config_oncall import load_oncall
from remediator.oncall_intervals import compiled, replaced

REPO = Path(__file__).resolve().parent.parent

PREFIX = re.compile(r"(?<!com\.)piano-tutor(?!\.com)")

SHIPPED: Mapping[str, str] = {
    "exporter.yml": "exporter/exporter.yml",
    "remediator.yml": "remediator/remediator.yml",
    "engine-ro.conf": "exporter/engine-ro.conf",
    "engine-rw.conf": "remediator/engine-rw.conf",
    "prometheus.yml": "alert_rules/prometheus.yml",
    "oncall.yml": "alert_rules/oncall.yml",
}

# How long a fault must last before it is believed. Production waits a minute or more; the
# order of the waits (restart before rollback, database before its clients) is kept.
DEMO_FOR: Mapping[str, str] = {
    "ServiceDown": "0s",
    "PostgresDown": "1s",
    "RedisMemoryHigh": "1s",
    "LiveColourUnhealthy": "2s",
    "BackendNotReady": "20s",
    "RedisDown": "25s",  # after its clients, as it may be in production
    "HighCpu": "1s",
    "HighMemory": "1s",
    "CeleryQueueStuck": "1s",
    "CacheHitRateLow": "1s",
    "SiteDown": "30s",
}

# How far back a rule looks, by its name: {rule: (production, here)}.
DEMO_RANGES: Mapping[str, tuple[str, str]] = {
    "service:container_cpu_used:ratio": ("2m", "10s"),
    "service:redis_hits:ratio": ("10m", "10s"),
    "CeleryQueueStuck": ("10m", "10s"),
}

# How long an entry waits for its proof before it climbs the ladder.
DEMO_WITHIN: Mapping[str, str] = {"restart-live-services": "20s"}

# What would reach beyond the copy: images and logs of the whole machine are not the demo's.
BEYOND_THE_COPY = frozenset({"prune-images", "prune-logs"})


def render(stack: str, folder: Path) -> None:
    """Write the configuration of `stack` (the prefix of all its names) into `folder`."""
    rules = folder / "rules"
    rules.mkdir(parents=True, exist_ok=True)
    for name, source in SHIPPED.items():
        _write(folder / name, PREFIX.sub(stack, (REPO / source).read_text()), FASTER.get(name))
    _write(folder / "alertmanager.yml", _alertmanager(folder), _faster_alertmanager)
    for source_path in sorted((REPO / "alert_rules" / "rules").glob("*.yml")):
        text = PREFIX.sub(stack, source_path.read_text())
        _write(rules / source_path.name, text, _faster_rules)


def _alertmanager(folder: Path) -> str:
    """The shipped file with the rota of the copy, which covers today, whenever that is."""
    own = load_oncall(folder / "oncall.yml")
    text = (REPO / "alert_rules" / "alertmanager.yml").read_text()
    new = replaced(text, compiled(own.rota, own.zone_name))
    if new is None:
        raise ValueError("alertmanager.yml has no section for the rota")
    return new


def _this_year(document: Any) -> None:  # noqa: ANN401 - a YAML document
    today = datetime.now(UTC).date()
    monday = today - timedelta(days=today.weekday() + 7)
    (stretch,) = document["rota"]
    stretch["from"] = monday
    document |= {"ends": monday + timedelta(weeks=53), "overrides": [], "holidays": []}


def _write(path: Path, text: str, change: Callable[[Any], None] | None) -> None:
    if change is not None:
        document = yaml.safe_load(text)
        change(document)
        text = yaml.safe_dump(document, sort_keys=False, width=1000)
    path.write_text(text)


def _faster_rules(document: Any) -> None:  # noqa: ANN401 - a YAML document
    for group in document["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            if rule.get("alert") in DEMO_FOR:
                rule["for"] = DEMO_FOR[rule["alert"]]
                rule.pop("keep_firing_for", None)
            name = rule.get("alert") or rule["record"]
            if name in DEMO_RANGES:
                rule["expr"] = _looking_back(rule["expr"], *DEMO_RANGES[name])


def _looking_back(expression: str, production: str, here: str) -> str:
    """Errors: ValueError when the rule no longer looks back as the table says."""
    changed = re.sub(rf"(?<=\[){production}(?=\])|(?<=offset ){production}\b", here, expression)
    if changed == expression:
        raise ValueError(f"no range of {production} in: {expression}")
    return changed


def _faster_prometheus(document: Any) -> None:  # noqa: ANN401 - a YAML document
    document["global"] |= {
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "evaluation_interval": "1s",
    }
    for job in document["scrape_configs"]:
        job.pop("scrape_interval", None)
        job.pop("scrape_timeout", None)


def _faster_alertmanager(document: Any) -> None:  # noqa: ANN401 - a YAML document
    def visit(route: dict[str, Any]) -> None:
        # The grace that a P1 gives the remediator stays, in proportion. A route without waits of
        # its own has those of its parent.
        if "group_wait" in route:
            route["group_wait"] = "15s" if route["group_wait"] in {"2m", "15s"} else "0s"
        if "group_interval" in route:
            route["group_interval"] = "1s"
        for child in route.get("routes", []):
            visit(child)

    visit(document["route"])
    # The demo's pager stands where Slack, pagers and the mail server would.
    document["global"] |= {"smtp_smarthost": "pager:2525", "smtp_require_tls": False}
    del document["global"]["smtp_auth_username"], document["global"]["smtp_auth_password_file"]
    for receiver in document["receivers"]:
        for hook in receiver.get("webhook_configs", []):
            hook["url"] = hook["url"].replace("https://pager.piano-tutor.com", "http://pager:8080")


def _faster_remediator(document: Any) -> None:  # noqa: ANN401 - a YAML document
    document["mode"] = "auto"
    document["reconcile_interval"] = "2s"
    document["console"] = {"accounts_file": "/etc/stackmedic/console/accounts.yml"}
    document["prometheus"]["steady"] = "3s"
    document["dependency_settle"] = "10s"
    # A day of faults in minutes must not look like a machine that runs wild.
    document["limits"] |= {"runs_per_hour": 100, "runs_per_day": 100}
    document["breaker"] |= {"runs": 10, "runs_per_day": 10}
    document["runbooks"] = [r for r in document["runbooks"] if r["id"] not in BEYOND_THE_COPY]
    for runbook in document["runbooks"]:
        runbook["firing_for"] = "0s"
        runbook["limits"] |= {"cooldown": "5s", "attempts": 100}
        runbook["verify"]["interval"] = "500ms"
        runbook["verify"]["hold"] = "1s"
        runbook["verify"].pop("settle", None)
        runbook["verify"]["within"] = DEMO_WITHIN.get(runbook["id"], runbook["verify"]["within"])
        for step in runbook["steps"]:
            if step["action"] == "switch_colour":
                step["with"] = {"healthy_for": "2s"}  # the colour before it was broken just now


FASTER: Mapping[str, Callable[[Any], None]] = {
    "remediator.yml": _faster_remediator,
    "prometheus.yml": _faster_prometheus,
    "oncall.yml": _this_year,
}
