"""`python -m demo COMMAND`: what the Makefile calls.

Rule: the order of a demo is code in `run`, on one screen.
"""

import shutil
import sys
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table

from demo import monitoring, stack
from demo.engine import Engine, answers, containers, ensure_compose, ensure_engine, stop_engine
from demo.faults import FAULTS, Mended, NotMendedError, record, run_fault, until, watching
from demo.images import ensure_images, remove_images
from demo.tools import ensure_tools
from demo.world import DEMO, STATE, World

console = Console(highlight=False, soft_wrap=True, width=120)
started = time.monotonic()


def say(text: str) -> None:
    """One line of progress with the seconds since the start."""
    console.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {text}")


def up(world: World) -> None:
    """Engine, images, production-like stack, monitoring stack."""
    engine = ensure_engine(STATE)
    compose = ensure_compose(STATE)
    images = ensure_images(engine, say)
    stack.up(world, compose, images, say)
    say("monitoring: exporter, Prometheus, Alertmanager, remediator; with an empty journal")
    if "GRAFANA_IMAGE" not in images:
        say("Grafana is left out: its image cannot be pulled here (dashboards: grafana/dashboards)")
    monitoring.down(world, compose)  # the limits count what an earlier demo did
    monitoring.up(world, compose, images, engine.data_root)
    until(lambda: watching(world), "Prometheus to see the exporter and the remediator")


def faults(world: World) -> int:
    """Break everything once; 1 when something was not mended."""
    results: list[Mended] = []
    for fault in FAULTS:
        say(f"[bold]break:[/] {fault.title}")
        try:
            results.append(run_fault(world, fault))
        except NotMendedError as error:
            console.print(f"[bold red]NOT MENDED[/] {fault.name}: {error}", markup=True)
            return 1
        say(f"[bold green]mended[/] in {results[-1].verified:.1f} s: {results[-1].summary}")
    record(world, results)
    console.print(_table(results))
    return 0


def _table(results: list[Mended]) -> Table:
    table = Table(title="seconds after the fault, from the remediator's journal", title_style="")
    for column in ("fault", "alert", "runbook entry"):
        table.add_column(column)
    for column in ("alert fired", "webhook", "action", "action done", "verified"):
        table.add_column(column, justify="right")
    for r in results:
        seconds = (r.fired, r.webhook, r.acted, r.done, r.verified)
        table.add_row(r.fault, r.alert, r.runbook, *(f"{s:.2f}" for s in seconds))
    return table


def run(world: World) -> int:
    """The whole demo: up, break, show, leave it running."""
    up(world)
    status = faults(world)
    _addresses(world)
    return status


def _addresses(world: World) -> None:
    ports = world.ports
    token = world.secrets / "remediator_token"
    for name, port, path in (
        ("site", ports.site, "/"),
        ("exporter", ports.exporter, "/"),
        ("Prometheus", ports.prometheus, "/alerts"),
        ("Alertmanager", ports.alertmanager, "/"),
        ("remediator", ports.remediator, "/metrics"),
        ("pager", ports.pager, "/"),
    ):
        console.print(f"  {name:13} {world.url(port, path)}")
    console.print(
        f'  incidents     curl -H "Authorization: Bearer $(cat {token})" '
        f"{world.url(ports.remediator, '/api/v1/incidents')}"
    )
    password = (world.secrets / "console_password").read_text().strip()
    console.print(
        f"  console       {world.url(ports.remediator, '/console/')} "
        f"as {monitoring.CONSOLE_ACCOUNT} with {password}"
    )
    console.print("  remove it all with: make demo-down")


def down(world: World) -> int:
    """Remove what a demo made; the engine too when it was started here and holds nothing else."""
    if answers():
        compose = ensure_compose(STATE)
        monitoring.down(world, compose)
        stack.down(world, compose)
        shutil.rmtree(world.folder, ignore_errors=True)
        if others := containers():
            say(f"images and engine stay, other containers use them: {', '.join(others)}")
            return 0
        remove_images()
    stop_engine(STATE)
    shutil.rmtree(STATE, ignore_errors=True)
    say(f"removed the stacks, their images and {STATE}; installed packages stay")
    return 0


def prepare(_: World) -> int:
    """Engine and images, for the tests."""
    engine: Engine = ensure_engine(STATE)
    ensure_compose(STATE)
    for name, image in ensure_images(engine, say).items():
        say(f"{name}={image}")
    ensure_tools(STATE)
    return 0


def tools(_: World) -> int:
    """The programs of Prometheus and Alertmanager for the checks."""
    ensure_tools(STATE)
    return 0


COMMANDS: Mapping[str, Callable[[World], int]] = {
    "run": run,
    "down": down,
    "images": prepare,
    "tools": tools,
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:  # noqa: PLR2004 - program and command
        sys.exit(f"usage: python -m demo {{{'|'.join(COMMANDS)}}}")
    sys.exit(COMMANDS[sys.argv[1]](DEMO))
