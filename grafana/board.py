"""What all dashboards share: variables, links to each other, marks of what happened.

Rule: a dashboard is rows of panels, from what a person must know first to what explains it:
is it well, what is wrong, how did it get there, which one exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from grafana.parts import BLUE, RED, SOURCE, AnyPanel

TAG = "stackmedic"
FIRST_ROW_ID = 101
"""Headings have ids, too; the ones below are the panels'."""


@dataclass(frozen=True)
class Board:
    """`title` makes the address: /d/<uid>/<title in small letters, with dashes>."""

    uid: str
    title: str
    text: str
    rows: Mapping[str, Sequence[AnyPanel]]
    variables: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # name: label, query
    shows_services: bool = True
    span: str = "now-3h"

    @property
    def slug(self) -> str:
        return self.title.lower().replace(" ", "-")

    def made(self) -> model.Dashboard:
        board = (
            build.Dashboard(self.title)
            .uid(self.uid)
            .tags([TAG])
            .description(self.text)
            .readonly()
            .time(self.span, "now")
            .refresh("30s")
            .timezone("browser")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .link(
                build.DashboardLink("stackmedic")
                .type(model.DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .include_vars(include_vars=True)
                .keep_time(keep_time=True)
            )
        )
        for variable in self._variables():
            board = board.with_variable(variable)
        for annotation in annotations():
            board = board.annotation(annotation)
        for title, panels in self.rows.items():
            board = board.with_row(build.Row(title))
            for panel in panels:
                board = board.with_panel(panel)
        built = board.build()
        headings = [p for p in built.panels or [] if isinstance(p, model.RowPanel)]
        for number, heading in enumerate(headings, FIRST_ROW_ID):
            heading.id_val = number
        return built

    def _variables(self) -> Iterable[build.DatasourceVariable | build.QueryVariable]:
        yield build.DatasourceVariable("datasource").label("Data source").type("prometheus")
        service = variable(
            "service",
            "Service",
            # What should exist, and whatever else an alert may be about.
            'label_values({__name__=~"compose_service_expected_replicas|remediator_run_in_progress"}'
            ", service)",
        )
        # Hidden where it selects nothing, so that a choice survives the way through.
        yield service if self.shows_services else service.hide(model.VariableHide.HIDE_VARIABLE)
        for name, (text, asked) in self.variables.items():
            yield variable(name, text, asked)


def variable(name: str, text: str, asked: str) -> build.QueryVariable:
    return (
        build.QueryVariable(name)
        .label(text)
        .query(asked)
        .datasource(SOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def annotations() -> tuple[build.AnnotationQuery, ...]:
    """What was done, and what woke people up."""
    return (
        build.AnnotationQuery()
        .name("Remediations")
        .datasource(SOURCE)
        .enable(enable=True)
        .icon_color(BLUE)
        .expr(
            "sum by (runbook, state) (changes(remediator_runs_total{"
            'state=~"executing|effective|ineffective|inconclusive|failed|recurred"}'
            "[$__rate_interval])) > 0"
        )
        .title_format("{{runbook}}")
        .text_format("{{state}}"),
        build.AnnotationQuery()
        .name("Pages")
        .datasource(SOURCE)
        .enable(enable=True)
        .icon_color(RED)
        .expr(
            # Also one that fired between two steps.
            "max by (alertname, service, severity) (max_over_time("
            'ALERTS{alertstate="firing",severity=~"P0|P1"}[$__interval])) > 0'
        )
        .title_format("{{severity}} {{alertname}}")
        .text_format("{{service}}"),
    )
