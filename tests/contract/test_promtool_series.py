"""What a promtool test feeds the rules has the labels that a real Prometheus would give it.

A rule that matches, folds or joins by labels proves nothing on series that nobody sends. Here by
what the programs declare; tests/e2e/test_labels.py asks the running stack.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.contract.inference import Inference
from tests.fed import NOT_ALWAYS, TESTS, Fed, fed

REPO = Path(__file__).resolve().parents[2]
PROBES = yaml.safe_load((REPO / "exporter" / "exporter.yml").read_text())["probes"]


def wrong_with(one: Fed, inference: Inference) -> str:
    """Empty when nothing is."""
    given, known = one.labels, inference.of_series(one.selector)
    if known is None:
        return "nobody sends it"
    settled = values_of(one, inference).items()
    wrong = {
        "lacks": known - one.may_lack - given.keys(),
        "should not have": given.keys() - known,
        "has in truth": {f"{k}={v}" for k, v in settled if k in known and given.get(k, "") != v},
    }
    return "; ".join(f"{what} {', '.join(sorted(which))}" for what, which in wrong.items() if which)


def values_of(one: Fed, inference: Inference) -> Mapping[str, str]:
    """The labels whose values are settled by the job, the rule or the configuration."""
    job = inference.job_of(one.name)
    if job is not None:
        probe = PROBES.get(one.labels.get("target", ""), {})
        return {"job": job} | {key: probe.get(key, "") for key in ("service", "colour") if probe}
    return inference.given_by_rule(one.labels["alertname"]) if one.name == "ALERTS" else {}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_every_series_has_the_labels_that_are_really_sent(path: Path, inference: Inference) -> None:
    wrong = [
        f"{one.test}: {one.series}: {what}"
        for one in fed(path)
        if (what := wrong_with(one, inference))
    ]

    assert not wrong, "\n".join(wrong)


def test_every_row_of_the_table_is_needed() -> None:
    lacking = [one for path in TESTS for one in fed(path) if one.may_lack - one.labels.keys()]
    for row in NOT_ALWAYS:
        assert any(row.labels <= one.may_lack - one.labels.keys() for one in lacking), row.why


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ('pg_up{service="a",job="stackmedic-exporter",instance="x"}', ""),
        ('pg_up{service="",job="stackmedic-exporter",instance="x"}', "lacks service"),
        ('pg_up{service="a",job="backend",instance="x"}', "has in truth job=stackmedic-exporter"),
        ('pg_up{service="a"}', "lacks instance, job"),
        ('up{job="prometheus",instance="x",colour="blue"}', "should not have colour"),
        ('no_such_series{job="prometheus",instance="x"}', "nobody sends it"),
        ('ALERTS{alertname="Watchdog",alertstate="firing",severity="P0"}', "lacks category"),
    ],
)
def test_what_is_wrong_is_said(series: str, said: str, inference: Inference) -> None:
    found = wrong_with(Fed("a test", series), inference)

    assert found.startswith(said)
    assert bool(said) == bool(found)
