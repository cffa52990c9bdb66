"""Writes grafana/dashboards/*.json, which are committed; a test compares.

Rule: schema v1, which every Grafana since 9 provisions from files. Ids of panels and
dashboards never change, for alerts link to them. Bands are the runbook's two columns: green
is expected, red is its alert.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueTextMode,
    DataSourceRef,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FOLDER = Path(__file__).resolve().parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
# Colour by state, in the order of the numbers that the timeline query makes of them.
STATES: Mapping[str, str] = {
    "running": GREEN,
    "created": BLUE,
    "paused": BLUE,
    "restarting": YELLOW,
    "removing": YELLOW,
    "exited": RED,
    "dead": RED,
    "missing": "dark-red",
}


# -- parts ------------------------------------------------------------------------------------


def at(x: int, y: int, width: int, height: int) -> model.GridPos:
    return model.GridPos(x=x, y=y, w=width, h=height)


def query(expr: str, legend: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).range()


def now(expr: str, legend: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expr).legend_format(legend).instant()


def bands(expected: float, alert: float) -> build.ThresholdsConfig:
    return steps((None, GREEN), (expected, YELLOW), (alert, RED))


def steps(*pairs: tuple[float | None, str]) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in pairs])
    )


def words(texts: Mapping[str, tuple[str, str]]) -> list[model.ValueMapping]:
    """Numbers shown as words: number -> (word, colour)."""
    return [
        model.ValueMap(
            options={
                number: model.ValueMappingResult(text=text, color=color, index=index)
                for index, (number, (text, color)) in enumerate(texts.items())
            }
        )
    ]


def number(title: str, text: str, unit: str = "short") -> stat.Panel:
    return (
        stat.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .unit(unit)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(BigValueColorMode.BACKGROUND)
    )


def lines(title: str, text: str, unit: str) -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .fill_opacity(5)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
    )


def banded(title: str, text: str, expected: float, alert: float) -> timeseries.Panel:
    """A share of a limit over the runbook's two lines."""
    return (
        lines(title, text, "percentunit")
        .axis_soft_max(1)
        .thresholds(bands(expected, alert))
        .thresholds_style(GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    )


def timeline(title: str, text: str, texts: Mapping[str, tuple[str, str]]) -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .mappings(words(texts))
        .show_value(VisibilityMode.NEVER)
        .merge_values(merge_values=True)
        .row_height(0.85)
    )


# -- Stack overview ---------------------------------------------------------------------------


def state_number(states: Sequence[str]) -> str:
    """One number per service: the place of its state in `states`. Every state has a series."""
    return " + ".join(
        f'{index} * max by (service) (compose_service_state{{service=~"$service",state="{state}"}})'
        for index, state in enumerate(states)
    )


def overview_now() -> list[Builder[model.Panel]]:
    """The top row: is it well, at one look."""
    return [
        number("Site", "A user's request through nginx, backend, cache and database.")
        .id(12)
        .grid_pos(at(0, 0, 4, 4))
        .mappings(words({"1": ("serving", GREEN), "0": ("DOWN", RED)}))
        .thresholds(steps((None, RED), (1, GREEN)))
        .with_target(now('max(probe_success{target="site"})')),
        number("Live colour", "The colour that nginx serves now, as nginx itself says.")
        .id(4)
        .grid_pos(at(4, 0, 4, 4))
        .text_mode(BigValueTextMode.NAME)
        .no_value("nobody can tell")
        .thresholds(steps((None, BLUE)))
        .with_target(now("service_live_colour == 1", "{{colour}}")),
        number("Firing alerts", "Alerts that fire now, without the watchdog.")
        .id(10)
        .grid_pos(at(8, 0, 4, 4))
        .thresholds(steps((None, GREEN), (1, RED)))
        .with_target(
            now('count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)', "firing")
        ),
        number("Services not running", "Services of the configuration without a running container.")
        .id(11)
        .grid_pos(at(12, 0, 4, 4))
        .thresholds(steps((None, GREEN), (1, RED)))
        .with_target(now('count(compose_service_state{state="running"} == 0) or vector(0)')),
        number("Mended, 24 h", "Runs that were verified to have mended the fault.")
        .id(13)
        .grid_pos(at(16, 0, 4, 4))
        .decimals(0)
        .thresholds(steps((None, BLUE)))
        .with_target(now('sum(increase(remediator_runs_total{state="effective"}[24h]))')),
        number("Not mended", "Incidents at the end of their ladder: a human must take over.")
        .id(14)
        .grid_pos(at(20, 0, 4, 4))
        .thresholds(steps((None, GREEN), (1, RED)))
        .with_target(now("sum(remediator_runs_not_mended)")),
    ]


def overview_states() -> list[Builder[model.Panel]]:
    """What is wrong, and since when."""
    states = {str(i): (name, color) for i, (name, color) in enumerate(STATES.items())}
    probes = {"1": ("good", GREEN), "0": ("failing", RED)}
    return [
        timeline(
            "Services", "State of every service that should exist; missing is one, too.", states
        )
        .id(1)
        .grid_pos(at(0, 4, 12, 9))
        .with_target(query(state_number(list(STATES)), "{{service}}")),
        timeline("Probes", "Requests that the exporter makes at every scrape.", probes)
        .id(2)
        .grid_pos(at(12, 4, 12, 9))
        .with_target(
            query('max by (target) (probe_success{service=~"$service|site"})', "{{target}}")
        ),
        table.Panel()
        .id(3)
        .title("Alerts")
        .description("What fires or is about to, without the watchdog.")
        .datasource(SOURCE)
        .grid_pos(at(0, 13, 12, 7))
        .with_target(
            now(
                "max by (severity, alertname, service, colour, alertstate, remediation)"
                ' (ALERTS{severity!="none"})'
            ).format(PromQueryFormat.TABLE)
        )
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize", options={"excludeByName": {"Time": True, "Value": True}}
            )
        ),
        lines("Remediations", "Runs by runbook entry and by how they ended.", "short")
        .id(8)
        .grid_pos(at(12, 13, 12, 7))
        .draw_style(GraphDrawStyle.BARS)
        .fill_opacity(60)
        .stacking(StackingConfig().mode(StackingMode.NORMAL))
        .with_target(
            query(
                "sum by (runbook, state) (increase(remediator_runs_total[$__rate_interval])) > 0",
                "{{runbook}} {{state}}",
            )
        ),
    ]


def overview_resources() -> list[Builder[model.Panel]]:
    """What is used, over the runbook's bands."""
    return [
        banded("CPU", "CPU used, one core is 100 %. Expected below 60 %, alert at 80 %.", 0.6, 0.8)
        .id(5)
        .grid_pos(at(0, 20, 12, 8))
        .with_target(
            query(
                "sum by (service) (rate(container_cpu_usage_seconds_total"
                '{service=~"$service"}[$__rate_interval]))',
                "{{service}}",
            )
        ),
        banded(
            "Memory",
            "Working set by limit, where there is one. Expected below 70 %, alert at 85 %.",
            0.7,
            0.85,
        )
        .id(9)
        .grid_pos(at(12, 20, 12, 8))
        .with_target(
            query(
                'max by (service) (container_memory_working_set_bytes{service=~"$service"}'
                ' / (container_spec_memory_limit_bytes{service=~"$service"} > 0))',
                "{{service}}",
            )
        ),
        banded("Redis memory", "Used by maxmemory. Expected below 70 %, alert at 85 %.", 0.7, 0.85)
        .id(6)
        .grid_pos(at(0, 28, 12, 8))
        .with_target(query("service:redis_memory_used:ratio", "{{service}}")),
        lines("Errors logged", "Error lines a minute. Alert above 10.", "short")
        .id(7)
        .grid_pos(at(12, 28, 12, 8))
        .thresholds(steps((None, GREEN), (10, RED)))
        .thresholds_style(GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
        .with_target(
            query(
                'sum by (service) (rate(container_log_messages_total{service=~"$service",'
                'level=~"error|critical"}[$__rate_interval])) * 60',
                "{{service}}",
            )
        ),
    ]


def overview() -> build.Dashboard:
    """The page to open first."""
    board = (
        build.Dashboard("Stack overview")
        .uid("stackmedic-overview")
        .tags(["stackmedic"])
        .description("State, alerts, resources and remediations of the production stack.")
        .readonly()
        .time("now-1h", "now")
        .refresh("10s")
        .timezone("browser")
        .with_variable(
            build.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .with_variable(
            build.QueryVariable("service")
            .label("Service")
            .query("label_values(compose_service_expected_replicas, service)")
            .datasource(SOURCE)
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
            .multi(multi=True)
            .include_all(include_all=True)
            .all_value(".*")
        )
        .annotation(
            build.AnnotationQuery()
            .name("Remediations")
            .datasource(SOURCE)
            .enable(enable=True)
            .icon_color(BLUE)
            .expr(
                'sum by (runbook, state) (changes(remediator_runs_total{state=~"effective|'
                'ineffective|inconclusive|failed"}[$__interval])) > 0'
            )
            .title_format("{{runbook}}")
            .text_format("{{state}}")
        )
    )
    for panel in (*overview_now(), *overview_states(), *overview_resources()):
        board = board.with_panel(panel)
    return board


DASHBOARDS: Mapping[str, Callable[[], build.Dashboard]] = {"stack-overview.json": overview}


def render(dashboard: build.Dashboard) -> str:
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write every dashboard into the folder given, or where they are committed."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(exist_ok=True)
    for name, make in DASHBOARDS.items():
        (folder / name).write_text(render(make()))


if __name__ == "__main__":
    main()
