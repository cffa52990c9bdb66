"""Writes grafana/dashboards/*.json, which are committed; a test compares.

Rule: schema v1, which every Grafana since 9 provisions from files. BOARDS is the one table.
"""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.board import Board
from grafana.boards import (
    alerting,
    backend,
    host,
    overview,
    postgres,
    redis_celery,
    remediation,
    services,
)

FOLDER = Path(__file__).resolve().parent / "dashboards"
BOARDS: tuple[Board, ...] = (
    overview.BOARD,
    services.BOARD,
    backend.BOARD,
    postgres.BOARD,
    redis_celery.BOARD,
    host.BOARD,
    remediation.BOARD,
    alerting.BOARD,
)


def render(board: Board) -> str:
    return json.dumps(board.made(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write every dashboard into the folder given, or where they are committed."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(exist_ok=True)
    for board in BOARDS:
        (folder / f"{board.slug}.json").write_text(render(board))


if __name__ == "__main__":
    main()
