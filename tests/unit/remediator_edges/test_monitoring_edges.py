"""Prometheus, exporter and Alertmanager when they answer badly or not at all."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

import pytest

from remediator.checks import AlertCleared, PromqlCheck, RunningCheck
from remediator.notify import AlertmanagerPager
from remediator.ports import AlertState, Check, FiringAlert, Notice, Permanent, Transient
from remediator.probes import ExporterProbes, Probe
from remediator.prometheus import Prometheus, Sample
from remediator.topology import Target
from remediator.verify import MonitoringVerifier
from tests.http_fakes import Answer, fake_server

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALERT = {"alertname": "ServiceDown", "service": "worker", "stack": "external"}
FIRING = FiringAlert({"alertname": "ServiceDown", "service": "worker"}, NOON)
EMPTY = '{"status": "success", "data": {"resultType": "vector", "result": []}}'
BAD_ANSWERS = [
    Answer("", 503),
    Answer("<html>"),
    Answer("[]"),
    Answer("{}"),
    Answer('{"status": "error", "error": "no"}', 422),
    Answer('{"status": "success", "data": {"resultType": "string", "result": [1, "x"]}}'),
    Answer('{"status": "success", "data": {"alerts": [{"state": "firing"}]}}'),
    Answer(EMPTY, after_seconds=0.5),
]


@pytest.mark.parametrize("answer", BAD_ANSWERS)
def test_whatever_prometheus_does_wrong_is_transient(answer: Answer) -> None:
    with (
        fake_server({"query": answer, "alerts": answer}) as fake,
        closing(Prometheus(fake.url, freshness_job="job", timeout_seconds=0.2)) as prometheus,
    ):
        with pytest.raises(Transient, match="Prometheus at http"):
            prometheus.now()
        with pytest.raises(Transient):
            prometheus.query("up")


def test_a_prometheus_that_is_away_is_transient() -> None:
    with (
        closing(Prometheus("http://127.0.0.1:9", freshness_job="job")) as prometheus,
        pytest.raises(Transient, match="see that it runs"),
    ):
        prometheus.now()


@pytest.mark.parametrize(
    ("answer", "probe"),
    [
        ('probe_success{target="x"} 1\n', Probe(success=True)),
        ('probe_success{target="x"} 0\n', Probe(success=False)),
        (
            """# HELP probe_success x
# TYPE probe_success gauge
probe_success 0
probe_failure_reason{reason="timeout"} 1
probe_failure_reason{reason="dns"} 0
""",
            Probe(success=False, reason="timeout"),
        ),
        ("probe_success NaN\n", Probe(success=False)),
    ],
)
def test_a_probe_is_what_the_exporter_says(answer: str, probe: Probe) -> None:
    with (
        fake_server({"probe": Answer(answer)}) as fake,
        closing(ExporterProbes(fake.url, timeout_seconds=1)) as exporter,
    ):
        assert exporter.probe("a name & more") == probe
    assert fake.requests == [("GET", "/probe?target=a+name+%26+more")]


@pytest.mark.parametrize(
    "answer", [Answer("unknown", 400), Answer("", 500), Answer(""), Answer("{]"), Answer("up 1\n")]
)
def test_a_probe_that_could_not_be_asked_is_transient(answer: Answer) -> None:
    with (
        fake_server({"probe": answer}) as fake,
        closing(ExporterProbes(fake.url, timeout_seconds=1)) as exporter,
        pytest.raises(Transient, match="probe api"),
    ):
        exporter.probe("api")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer("bad label", 400), Permanent),
        (Answer("", 404), Permanent),
        (Answer("", 429), Transient),
        (Answer("", 500), Transient),
    ],
)
def test_an_alertmanager_that_refuses_is_told_apart_from_one_that_cannot(
    answer: Answer, kind: type[Exception]
) -> None:
    with fake_server({"alerts": answer}) as fake, pytest.raises(kind, match="incident 7"):
        page(fake.url)


def test_an_alertmanager_that_is_away_is_transient() -> None:
    with pytest.raises(Transient, match="see that it runs"):
        page("http://127.0.0.1:9")


def page(url: str) -> None:
    with closing(AlertmanagerPager(url, clock=lambda: NOON)) as pager:
        pager.fire(Notice({"alertname": "RemediationEscalated", "incident": "7"}, {}, "http://r"))


class FakeSource:
    """Prometheus as the verifier needs it, by a state and a way to answer queries."""

    def __init__(
        self,
        state: AlertState,
        query: Callable[[str], tuple[Sample, ...]] = lambda expr: (),
    ) -> None:
        self._state = state
        self._query = query

    def now(self) -> AlertState:
        return self._state

    def query(self, expr: str) -> tuple[Sample, ...]:
        return self._query(expr)


def look(source: FakeSource) -> Check:
    with closing(
        MonitoringVerifier("http://127.0.0.1:9", source, max_data_age_seconds=45)
    ) as verifier:
        (finding,) = verifier.look((AlertCleared(),), Target("worker", "app"), ALERT)
    return finding.verdict


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (AlertState((), 1.0), Check.PASS),
        (AlertState((FIRING,), 1.0), Check.FAIL),
        (AlertState((), 46.0), Check.INCONCLUSIVE),
        (AlertState((FIRING,), 46.0), Check.INCONCLUSIVE),
        (AlertState((), None), Check.INCONCLUSIVE),
        (AlertState((FiringAlert({**ALERT, "service": "other"}, NOON),), 1.0), Check.PASS),
        (AlertState((FiringAlert({**ALERT, "alertname": "Other"}, NOON),), 1.0), Check.PASS),
    ],
)
def test_an_alert_has_cleared_only_by_fresh_data(state: AlertState, verdict: Check) -> None:
    assert look(FakeSource(state)) is verdict


def test_what_cannot_be_asked_never_raises() -> None:
    def away(expr: str) -> tuple[Sample, ...]:
        raise Transient("cannot ask Prometheus")

    source = FakeSource(AlertState((), 1.0), away)
    checks = (RunningCheck(), PromqlCheck("up", above=0.5))
    with closing(
        MonitoringVerifier("http://127.0.0.1:9", source, max_data_age_seconds=45)
    ) as verifier:
        findings = verifier.look(checks, Target("worker", "app"), ALERT)
    assert [finding.check for finding in findings] == ["running", "promql"]
    assert {finding.verdict for finding in findings} == {Check.INCONCLUSIVE}
    assert findings[0].detail == "cannot ask Prometheus"


def test_a_target_key_cannot_break_out_of_its_query() -> None:
    asked: list[str] = []

    def remember(expr: str) -> tuple[Sample, ...]:
        asked.append(expr)
        return ()

    source = FakeSource(AlertState((), 1.0), remember)
    with closing(
        MonitoringVerifier("http://127.0.0.1:9", source, max_data_age_seconds=45)
    ) as verifier:
        verifier.look((RunningCheck(),), Target('x"} or vector(1) #', "app"), ALERT)
    assert asked == [r'compose_service_state{service="x\"} or vector(1) #",state="running"}']
