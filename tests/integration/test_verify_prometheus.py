"""Prometheus' answers and the verifier's findings, over a real Prometheus."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from remediator.checks import AlertCleared, CheckSpec, ProbesCheck, PromqlCheck, RunningCheck
from remediator.ports import Check
from remediator.prometheus import Prometheus, quoted
from remediator.topology import Target
from remediator.verify import MonitoringVerifier
from tests.integration.edge_containers import now, until
from tests.integration.edge_monitoring import RULES, TextExporter, a_prometheus, text_exporter

pytestmark = pytest.mark.integration

ALERT = {
    "alertname": "ServiceDown",
    "service": "worker",
    "state": "exited",
    "severity": "P1",
    "job": "stackmedic-exporter",
    "stack": "only Alertmanager knows this external label",
}


def states(**services: str) -> str:
    return "".join(
        f'compose_service_state{{service="{service}",state="{state}"}} {int(state == now)}\n'
        for service, now in services.items()
        for state in ("running", "exited")
    )


@dataclass
class Monitoring:
    exporter: TextExporter
    prometheus: Prometheus
    verifier: MonitoringVerifier

    def look(self, check: CheckSpec, target: str = "worker") -> Check:
        labels = ALERT | {"instance": self.exporter.url.removeprefix("http://")}
        (found,) = self.verifier.look((check,), Target(target, "app", probes=("api",)), labels)
        return found.verdict

    def firing(self) -> list[str]:
        return [alert.labels.get("service", "") for alert in self.prometheus.now().firing]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TextExporter, str]]:
    with (
        text_exporter(states(worker="running")) as exporter,
        a_prometheus(tmp_path_factory.mktemp("prometheus"), RULES, scraped=exporter.url) as url,
    ):
        yield exporter, url


@pytest.fixture
def monitoring(server: tuple[TextExporter, str]) -> Iterator[Monitoring]:
    exporter, url = server
    exporter.metrics = states(worker="running")
    with (
        closing(Prometheus(url, freshness_job="stackmedic-exporter")) as prometheus,
        closing(MonitoringVerifier(exporter.url, prometheus, max_data_age_seconds=5)) as verifier,
    ):
        found = Monitoring(exporter, prometheus, verifier)
        until(lambda: found.look(RunningCheck()) is Check.PASS and found.firing() == [])
        yield found


def test_alerts_are_told_with_all_their_labels_by_their_state(monitoring: Monitoring) -> None:
    began = now()
    monitoring.exporter.metrics = states(worker="exited", cache="running")
    until(lambda: monitoring.firing() == ["worker"])
    state = monitoring.prometheus.now()
    (alert,) = state.firing
    (for_an_hour,) = state.pending
    assert for_an_hour.labels["alertname"] == "Pending"
    assert alert.labels == {name: value for name, value in ALERT.items() if name != "stack"} | {
        "instance": monitoring.exporter.url.removeprefix("http://")
    }
    assert began <= alert.active_at <= now()
    assert state.data_age_seconds is not None
    assert 0 <= state.data_age_seconds < 5


def test_an_exporter_that_reaches_nothing_is_known_by_all_its_looks(
    monitoring: Monitoring,
) -> None:
    def looks(**ups: int) -> None:
        named = "".join(f'{name}{{service="{name}"}} {up}\n' for name, up in ups.items())
        probe = f'probe_success{{target="site",service="nginx"}} {ups["pg_up"]}\n'
        monitoring.exporter.metrics = states(worker="running") + named + probe

    assert monitoring.prometheus.now().sees is None
    looks(pg_up=0)
    until(lambda: "site" in monitoring.prometheus.now().probes)
    assert monitoring.prometheus.now().sees is None, "two are too few to tell"
    looks(pg_up=0, redis_up=0)
    until(lambda: monitoring.prometheus.now().sees is False)
    looks(pg_up=0, redis_up=1)
    until(lambda: monitoring.prometheus.now().sees is True)


def test_data_of_an_exporter_that_is_down_has_no_age(monitoring: Monitoring) -> None:
    monitoring.exporter.metrics = None
    until(lambda: monitoring.prometheus.now().data_age_seconds is None)
    assert monitoring.look(AlertCleared()) is Check.INCONCLUSIVE
    assert monitoring.look(RunningCheck()) is Check.INCONCLUSIVE


def test_a_job_that_is_never_scraped_has_no_age(server: tuple[TextExporter, str]) -> None:
    with closing(Prometheus(server[1], freshness_job='other"} or vector(1) #')) as prometheus:
        assert prometheus.now().data_age_seconds is None


def test_running_follows_the_state_of_the_service(monitoring: Monitoring) -> None:
    assert monitoring.look(RunningCheck(), "unheard-of") is Check.INCONCLUSIVE
    monitoring.exporter.metrics = states(worker="exited")
    until(lambda: monitoring.look(RunningCheck()) is Check.FAIL)
    monitoring.exporter.metrics = states(worker="running")
    until(lambda: monitoring.look(RunningCheck()) is Check.PASS)


def test_an_alert_clears_when_prometheus_says_so(monitoring: Monitoring) -> None:
    monitoring.exporter.metrics = states(worker="exited")
    until(lambda: monitoring.look(AlertCleared()) is Check.FAIL)
    monitoring.exporter.metrics = states(worker="running", cache="exited")
    until(lambda: monitoring.firing() == ["cache"])
    assert monitoring.look(AlertCleared()) is Check.PASS


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (PromqlCheck('compose_service_state{state="running"}', above=0.5), Check.PASS),
        (PromqlCheck('compose_service_state{state="running"}', below=0.5), Check.FAIL),
        (PromqlCheck("compose_service_state", above=0.5), Check.FAIL),  # one of two is 0
        (PromqlCheck("vector(0.04)", above=0.01, below=0.05), Check.PASS),
        (PromqlCheck("3", above=2), Check.PASS),
        (PromqlCheck("vector(1) / 0", above=1), Check.PASS),  # +Inf
        (PromqlCheck("vector(0) / 0", above=-1), Check.INCONCLUSIVE),  # NaN
        (PromqlCheck("nothing_of_this_name", below=1), Check.INCONCLUSIVE),
        (PromqlCheck("this is no PromQL", below=1), Check.INCONCLUSIVE),
        (PromqlCheck('"text"', below=1), Check.INCONCLUSIVE),
        (PromqlCheck("up[1m]", below=1), Check.INCONCLUSIVE),
    ],
)
def test_an_expression_is_held_against_its_bounds(
    monitoring: Monitoring, check: PromqlCheck, verdict: Check
) -> None:
    assert monitoring.look(check) is verdict


def test_probes_of_the_target_or_of_the_list_must_all_succeed(monitoring: Monitoring) -> None:
    good, bad = 'probe_success{target="x"} 1\n', 'probe_success{target="x"} 0\n'
    monitoring.exporter.probes.update({"api": good, "site": bad, "empty": "other 1\n"})
    assert monitoring.look(ProbesCheck()) is Check.PASS
    assert monitoring.look(ProbesCheck(("api", "site"))) is Check.FAIL
    assert monitoring.look(ProbesCheck(("empty",))) is Check.INCONCLUSIVE
    assert monitoring.look(ProbesCheck(("unknown",))) is Check.INCONCLUSIVE
    assert monitoring.look(ProbesCheck(())) is Check.INCONCLUSIVE


def test_whatever_a_value_holds_it_stays_one_string(monitoring: Monitoring) -> None:
    for value in ('a"b', "a\\b", "a\nb", "tab\t", "\x01\x7f", "ü✓", '"} or vector(1) or up{x="'):
        (sample,) = monitoring.prometheus.query(
            f'label_replace(vector(1), "kept", {quoted(value.replace("$", ""))}, "", "")'
        )
        assert sample.labels == {"kept": value}


def test_after_a_failed_scrape_the_data_is_not_steady_for_a_while(monitoring: Monitoring) -> None:
    url = str(monitoring.prometheus._client.base_url)
    with closing(
        Prometheus(url, freshness_job="stackmedic-exporter", steady_seconds=3)
    ) as prometheus:
        until(lambda: prometheus.now().steady)
        good, monitoring.exporter.metrics = monitoring.exporter.metrics, None
        until(lambda: not prometheus.now().steady)
        monitoring.exporter.metrics = good
        until(lambda: monitoring.look(RunningCheck()) is Check.PASS)
        state = prometheus.now()
        assert (state.data_age_seconds or 99) < 3, "fresh again"
        assert not state.steady
        until(lambda: prometheus.now().steady)
