"""`python -m bench [NAME...]`: run the benchmarks, print one table, write docs/performance.md.

Rule: never part of pass or fail. A benchmark that cannot run here (no engine, no peer) is
named with its reason, and the others go on. QUICK=1 takes fewer samples and writes nothing.
"""

import importlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import peers
from bench.rows import Row

REPO = Path(__file__).resolve().parents[1]
DOCUMENT = REPO / "docs" / "performance.md"
# In the order of the table; each has run(quick: bool) -> list[Row].
BENCHES = (
    "containers",
    "postgres",
    "redis",
    "logs",
    "probes",
    "exposition",
    "http",
    "memory",
    "webhook",
)
HEADINGS = ("what", "stackmedic", "peer", "better by", "bar", "reached")

console = Console(highlight=False, soft_wrap=True, width=160)


def main(names: Sequence[str]) -> int:
    quick = os.environ.get("QUICK", "") not in {"", "0"}
    rows: dict[str, list[Row]] = {}
    left_out: dict[str, str] = {}
    for name in names or BENCHES:
        if not (REPO / "bench" / f"{name}.py").exists():
            left_out[name] = "not written"
            continue
        began = time.monotonic()
        try:
            rows[name] = importlib.import_module(f"bench.{name}").run(quick)
        except Exception as error:  # noqa: BLE001  one that cannot run must not hide the others
            left_out[name] = f"{type(error).__name__}: {error}"
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {name}")
    console.print(_table(rows))
    for name, why in left_out.items():
        console.print(f"left out: {name}: {why}", markup=False)
    if not quick and not names:
        DOCUMENT.write_text(_document(rows, left_out), encoding="utf-8")
        console.print(f"written: {DOCUMENT.relative_to(REPO)}")
    return 0


def _table(rows: dict[str, list[Row]]) -> Table:
    table = Table(*HEADINGS)
    for found in rows.values():
        for row in found:
            table.add_row(*row.cells())
        table.add_section()
    return table


def _document(rows: dict[str, list[Row]], left_out: dict[str, str]) -> str:
    lines = [
        "# Performance",
        "",
        "Written by `make bench`; each figure is a median of one run, the peers measured in turns",
        "with stackmedic. CPU is the program's own unless said otherwise. `better by` is how many",
        "times stackmedic is better: below 1 it is worse.",
        "",
        *(f"- {line}" for line in _machine()),
        "",
        *_markdown(rows),
    ]
    if left_out:
        lines += ["", *(f"- left out: {name}: {why}" for name, why in left_out.items())]
    return "\n".join(lines) + "\n"


def _markdown(rows: dict[str, list[Row]]) -> list[str]:
    lines = [_line(HEADINGS), _line(["---"] * len(HEADINGS))]
    lines += [_line(row.cells()) for found in rows.values() for row in found]
    return lines


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _machine() -> list[str]:
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if line
    )
    model = next(
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    engine = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    cgroup = 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1
    kernel = platform.release().partition("-")[0]
    machine = (
        f"{os.cpu_count()} cores, {model}, {release['PRETTY_NAME'].strip(chr(34))},",
        f"kernel {kernel}, cgroup v{cgroup}, load {os.getloadavg()[0]:.1f} at the end",
    )
    ours = f"{installed_version('stackmedic')} on Python {platform.python_version()}"
    return [
        f"machine: {' '.join(machine)}",
        f"stackmedic {ours}, Docker engine {engine or 'none'}",
        f"peers: {', '.join(f'{name} {peers.version(name)}' for name in peers.PEERS)}",
    ]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
