"""What panels are made of: queries, colours, bands, one function for each kind of panel.

Rule: a panel has an id that never changes, for alerts link to it; a title, a description that
says what is good, a unit, and the chosen data source. The alerts that it explains stand in its
description; a test holds them against the rules.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, prometheus, stat, statetimeline, table
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import timeseries as graph
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    StackingConfig,
    TableSortByFieldState,
    VizLegendOptions,
)
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeValueMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    DataSourceRef,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TableCellHeight,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.runbook import Band

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
SERVICE = 'service=~"$service"'

GREEN, YELLOW, ORANGE, RED, BLUE, GREY = "green", "yellow", "orange", "red", "blue", "text"
DARK_RED = "dark-red"

BARS = 120
WIDE_ENOUGH = 170  # pixels, for a number and its unit; names share the rest

Query = prometheus.Dataquery
Words = Mapping[str, tuple[str, str]]
Steps = build.ThresholdsConfig
AnyPanel = stat.Panel | bargauge.Panel | graph.Panel | statetimeline.Panel | table.Panel
P = TypeVar("P", stat.Panel, bargauge.Panel, graph.Panel, statetimeline.Panel, table.Panel)

# How runs end: the good ones green, those that need a human red.
OUTCOMES = {
    "effective": GREEN,
    "held": "dark-green",
    "recurred": ORANGE,
    "ineffective": RED,
    "inconclusive": "light-red",
    "failed": DARK_RED,
    "interrupted": "purple",
    "cancelled": GREY,
    "aborted": "dark-purple",
    "blocked": YELLOW,
    "awaiting_approval": BLUE,
    "skipped": "light-blue",
}
GOOD_OR_BAD: Words = {"1": ("good", GREEN), "0": ("FAILING", RED)}

# -- queries ----------------------------------------------------------------------------------


def query(expr: str, legend: str = "") -> Query:
    """Over the dashboard's range."""
    return Query().expr(expr).legend_format(legend).range()


def now(expr: str, legend: str = "") -> Query:
    """Its value now."""
    return Query().expr(expr).legend_format(legend).instant()


def row(expr: str) -> Query:
    """Its value now, one row of a table for each series."""
    return now(expr).format(PromQueryFormat.TABLE)


def most(number: int, expr: str, by: str, counter: str) -> str:
    """Those whose counter grew most in the range; topk of a rate chooses anew at each step."""
    return (
        f"{expr} and on ({by})"
        f" topk({number}, sum by ({by}) (increase({counter}[$__range] @ end())))"
    )


def place_of(metric: str, label: str, words: Sequence[str], by: str = "service") -> str:
    """One number per `by`: the place in `words` of the one that is 1. Each has a series."""
    return " + ".join(
        f'{place} * max by ({by}) ({metric}{{{SERVICE},{label}="{word}"}})'
        for place, word in enumerate(words)
    )


# -- colours ----------------------------------------------------------------------------------


def steps(*pairs: tuple[float | None, str]) -> Steps:
    """The first pair's value is None: its colour holds from minus infinity."""
    return (
        Steps()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=value, color=color) for value, color in pairs])
    )


def bands(band: Band) -> Steps:
    """Green is the runbook's expected column, red its alert, yellow what lies between."""
    if band.expected < band.alert:
        return steps((None, GREEN), (band.expected, YELLOW), (band.alert, RED))
    return steps((None, RED), (band.alert, YELLOW), (band.expected, GREEN))


PLAIN = steps((None, BLUE))
NONE_IS_GOOD = steps((None, GREEN), (1, RED))
SOME_IS_GOOD = steps((None, RED), (1, GREEN))


def words(texts: Words) -> list[model.ValueMapping]:
    """Numbers shown as words: number -> (word, colour)."""
    return [
        model.ValueMap(
            options={
                number: model.ValueMappingResult(text=text, color=color, index=index)
                for index, (number, (text, color)) in enumerate(texts.items())
            }
        )
    ]


def painted(panel: P, colours: Mapping[str, str]) -> P:
    """Series by name in their own colour; /a pattern/ has shades of one."""
    for name, colour in colours.items():
        if name.startswith("/"):
            how = model.DynamicConfigValue("color", {"mode": "shades", "fixedColor": colour})
            panel = panel.override_by_regexp(name, [how])
        else:
            how = model.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})
            panel = panel.override_by_name(name, [how])
    return panel


# -- links ------------------------------------------------------------------------------------

KEPT = "${__url_time_range}&${datasource:queryparam}"


def to(uid: str, slug: str, more: str) -> dict[str, str]:
    """A link out of a value; what it keeps is the range and the source."""
    return {"title": f"Open {slug.replace('-', ' ')}", "url": f"/d/{uid}/{slug}?{KEPT}&{more}"}


def _data_link(link: Mapping[str, str]) -> build.DashboardLink:
    return build.DashboardLink(link["title"]).url(link["url"])


# -- panels -----------------------------------------------------------------------------------


def _panel(
    panel: P, name: tuple[int, str], text: str, targets: Sequence[Query], explains: Sequence[str]
) -> P:
    number, title = name
    if explains:
        text = f"{text}\n\nExplains: {', '.join(explains)}."
    for ref, target in zip("ABCDEFGH", targets, strict=False):
        panel = panel.with_target(target.ref_id(ref).datasource(SOURCE))
    return panel.id(number).title(title).description(text).datasource(SOURCE)


def number(
    name: tuple[int, str],
    text: str,
    *targets: Query,
    unit: str = "none",
    colours: Steps = PLAIN,
    explains: Sequence[str] = (),
) -> stat.Panel:
    """One look: a value on its colour."""
    return (
        _panel(stat.Panel(), name, text, targets, explains)
        .span(4)
        .height(4)
        .unit(unit)
        .thresholds(colours)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(BigValueColorMode.BACKGROUND)
        .graph_mode(BigValueGraphMode.NONE)
    )


def word(
    name: tuple[int, str],
    text: str,
    target: Query,
    texts: Words,
    *,
    explains: Sequence[str] = (),
) -> stat.Panel:
    """One look: what a number stands for."""
    return number(name, text, target, explains=explains).mappings(words(texts))


def label(name: tuple[int, str], text: str, target: Query, **more: Sequence[str]) -> stat.Panel:
    """One look: the legend of the series that is there."""
    return number(name, text, target, explains=more.get("explains", ())).text_mode(
        BigValueTextMode.NAME
    )


def lines(
    name: tuple[int, str],
    text: str,
    *targets: Query,
    unit: str,
    explains: Sequence[str] = (),
) -> graph.Panel:
    return (
        _panel(graph.Panel(), name, text, targets, explains)
        .span(12)
        .height(8)
        .unit(unit)
        .min(0)
        .fill_opacity(5)
        .show_points(VisibilityMode.NEVER)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
    )


def limited(
    name: tuple[int, str],
    text: str,
    *targets: Query,
    limits: Steps,
    unit: str = "percentunit",
    explains: Sequence[str] = (),
) -> graph.Panel:
    """Lines over the runbook's."""
    return (
        lines(name, text, *targets, unit=unit, explains=explains)
        .thresholds(limits)
        .thresholds_style(GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    )


def stacked(
    name: tuple[int, str],
    text: str,
    *targets: Query,
    unit: str = "short",
    explains: Sequence[str] = (),
) -> graph.Panel:
    """Counted things, one bar for each interval.

    From a minute on $__rate_interval is hardly longer than the interval: bars do not overlap.
    """
    return (
        lines(name, text, *targets, unit=unit, explains=explains)
        .interval("1m")
        .max_data_points(BARS)
        .axis_soft_max(1)
        .draw_style(GraphDrawStyle.BARS)
        .fill_opacity(60)
        .stacking(StackingConfig().mode(StackingMode.NORMAL))
    )


def gauges(
    name: tuple[int, str],
    text: str,
    *targets: Query,
    limits: Steps,
    unit: str = "percentunit",
    explains: Sequence[str] = (),
) -> bargauge.Panel:
    """A bar for each series, on its bands."""
    return (
        _panel(bargauge.Panel(), name, text, targets, explains)
        .span(6)
        .height(8)
        .unit(unit)
        .min(0)
        .thresholds(limits)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .value_mode(BarGaugeValueMode.COLOR)
    )


def timeline(
    name: tuple[int, str],
    text: str,
    *targets: Query,
    texts: Words = GOOD_OR_BAD,
    explains: Sequence[str] = (),
    link: Mapping[str, str] | None = None,
) -> statetimeline.Panel:
    """States over time.

    A series that ends is drawn on as if it had stayed: ask for states that always have one.
    """
    panel = (
        _panel(statetimeline.Panel(), name, text, targets, explains)
        .span(12)
        .height(8)
        .unit("none")
        .mappings(words(texts))
        .show_value(VisibilityMode.NEVER)
        .merge_values(merge_values=True)
        .row_height(0.85)
    )
    return panel.data_links([_data_link(link)]) if link else panel


def rows(
    name: tuple[int, str],
    text: str,
    *targets: Query,
    columns: Mapping[str, str],
    units: Mapping[str, str] | None = None,
    links: Mapping[str, Mapping[str, str]] | None = None,
    sort: tuple[str, bool] | None = None,
    explains: Sequence[str] = (),
) -> table.Panel:
    """A table of what is, now. `columns`: field -> heading, in their order; no other is shown.

    `units` and `links` are by heading; `sort` is a heading and whether the largest is first.
    """
    panel = (
        _panel(table.Panel(), name, text, targets, explains)
        .span(24)
        .height(8)
        .unit("short")
        .cell_height(TableCellHeight.SM)
    )
    numbers = [heading for field, heading in columns.items() if field.startswith("Value")]
    for heading in numbers if len(numbers) < len(columns) else ():
        panel = panel.override_by_name(
            heading, [model.DynamicConfigValue("custom.width", WIDE_ENOUGH)]
        )
    if len(targets) > 1:
        panel = panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(
        model.DataTransformerConfig(
            id_val="filterFieldsByName", options={"include": {"names": list(columns)}}
        )
    ).with_transformation(
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "indexByName": {field: place for place, field in enumerate(columns)},
                "renameByName": dict(columns),
            },
        )
    )
    for heading, unit in (units or {}).items():
        panel = panel.override_by_name(heading, [model.DynamicConfigValue("unit", unit)])
    for heading, link in (links or {}).items():
        panel = panel.override_by_name(heading, [model.DynamicConfigValue("links", [link])])
    if sort is not None:
        heading, largest_first = sort
        by = TableSortByFieldState().display_name(heading).desc(desc=largest_first)
        panel = panel.sort_by([by])
    return panel
