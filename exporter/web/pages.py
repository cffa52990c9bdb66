"""The pages for people: what each collector does, and the history of one probe.

Rule: pure, and everything that came from outside is escaped. Readable on a phone: one column,
no script, nothing loaded from elsewhere.
"""

import html
from collections.abc import Sequence
from datetime import UTC, datetime

from exporter.collectors import Opened
from exporter.collectors.history import Result
from exporter.families.configuration import State
from exporter.families.scrape import Outcome
from exporter.readings.logs import Recurring
from exporter.targets import ProbeTarget

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>stackmedic exporter{on_host}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }}
nav a {{ display: inline-block; padding: .5rem .75rem .5rem 0; }}
article {{ border-left: .4rem solid #2a8; margin: .5rem 0; padding: .25rem .75rem; }}
article.failing {{ border-color: #d33; }} article.waiting {{ border-color: #999; }}
p {{ margin: 0; overflow-wrap: anywhere; }} small {{ opacity: .8; }}
</style></head><body>
<h1>stackmedic exporter{on_host}</h1>
<p>version {version} · {summary}</p>
<nav><a href="/metrics">metrics</a> <a href="/-/healthy">healthy</a>
<a href="/-/ready">ready</a></nav>
<h2>Configuration</h2>
{configuration}
<h2>Collectors</h2>
{collectors}
{recurring}
</body></html>
"""
# More would be a log viewer; the counts of the rest are in /metrics.
_MOST_RECURRING = 50


def landing_page(
    version: str,
    state: State,
    states: Sequence[tuple[Opened, Outcome | None]],
    recurring: Sequence[Recurring] = (),
) -> bytes:
    # Failing ones first: on a phone they are what is seen without scrolling.
    ordered = sorted(states, key=lambda pair: not (pair[1] and pair[1].error))
    failing = sum(1 for _, outcome in states if outcome and outcome.error)
    page = _PAGE.format(
        on_host=f" on {html.escape(state.host)}" if state.host else "",
        version=html.escape(version),
        summary=f"{failing} of {len(states)} failing" if failing else "all collectors good",
        configuration=_configuration(state),
        collectors="\n".join(_collector(opened, outcome) for opened, outcome in ordered),
        recurring=_recurring(recurring[:_MOST_RECURRING]),
    )
    return page.encode("utf-8", "replace")


def debug_page(target: ProbeTarget, results: Sequence[Result], metrics: bytes) -> bytes:
    """Plain text: the last results of one target, newest first, then the metrics of this one."""
    lines = [f"Target {target.name}: {_without_userinfo(target.url)}", "", "Last results:"]
    for result in results:
        probe = result.probe
        lines.append(
            f"{_when(result.at)} module={result.module} "
            f"{'failed: ' + probe.failure if probe.failure else 'good'} "
            f"status={probe.status_code} took={probe.duration_seconds:.3f}s "
            + " ".join(f"{phase}={took:.3f}s" for phase, took in probe.phases.items())
        )
        lines += [f"  {text}" for text in (probe.detail, result.head) if text]
    return (
        "\n".join([*lines, "", "Metrics of this probe:", ""]).encode("utf-8", "replace") + metrics
    )


def _collector(opened: Opened, outcome: Outcome | None) -> str:
    target = getattr(opened.target, "name", "") or getattr(opened.target, "service", "")
    name = html.escape(f"{opened.name} {target}".strip())
    if outcome is None:
        return f'<article class="waiting"><p><b>{name}</b> not run yet</p></article>'
    took = f"{outcome.duration_seconds * 1000:.1f} ms"
    if not outcome.error:
        return f'<article class="good"><p><b>{name}</b> good <small>{took}</small></p></article>'
    return (
        f'<article class="failing"><p><b>{name}</b> failing <small>{took}</small></p>'
        f"<p>{html.escape(outcome.error)}</p></article>"
    )


def _recurring(errors: Sequence[Recurring]) -> str:
    """The log review: what goes wrong again and again, with a sample of its text."""
    if not errors:
        return ""
    articles = (
        f'<article class="failing"><p><b>{html.escape(error.name)}: {error.count} times</b> '
        f"<small>{html.escape(error.fingerprint)}, last {_when(error.seen_at)}</small></p>"
        f"<p>{html.escape(error.sample or 'no sample since the start')}</p></article>"
        for error in errors
    )
    return "<h2>Recurring errors</h2>\n" + "\n".join(articles)


def _configuration(state: State) -> str:
    if not state.errors:
        return f'<article class="good"><p>loaded {_when(state.loaded_at)}</p></article>'
    errors = "".join(f"<p>{html.escape(error)}</p>" for error in state.errors)
    return (
        '<article class="failing"><p><b>the last reload failed</b>; in force is what was '
        f"loaded {_when(state.loaded_at)}</p>{errors}</article>"
    )


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _without_userinfo(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
