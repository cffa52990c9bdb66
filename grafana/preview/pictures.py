"""Takes a picture of every dashboard over a running Prometheus, for docs/dashboards/.

Usage: python -m grafana.preview.pictures PROMETHEUS_URL [SECONDS] [UNTIL]

It serves one board and the bundle that `npm run build` made on loopback, passes queries on to
Prometheus, and lets headless Chromium look at it.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from typing_extensions import override

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
PICTURES = REPO / "docs" / "dashboards"
PAGE = (
    b"<!doctype html><meta charset=utf-8><link rel=stylesheet href=/preview.css>"
    b"<div id=board></div><script src=/preview.js></script>"
)
COLUMNS, COLUMN, UNIT, HEAD = 24, 66, 30, 48
WAIT_MILLISECONDS = 20_000


@contextmanager
def served(board: bytes, prometheus: str) -> Iterator[str]:
    bundle, style = ((HERE / "built" / f"preview.{kind}").read_bytes() for kind in ("js", "css"))
    files = {
        "/": ("text/html", PAGE),
        "/preview.js": ("text/javascript", bundle),
        "/preview.css": ("text/css", style),
        "/board.json": ("application/json", board),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = files.get(self.path.partition("?")[0], ("text/plain", b""))
            self._send(200 if body else 404, kind, body)

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            kind = {"Content-Type": self.headers["Content-Type"]}
            told = httpx.post(
                f"{prometheus}{self.path}", content=asked, headers=kind, trust_env=False, timeout=60
            )
            self._send(told.status_code, "application/json", told.content)

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def picture(path: Path, url: str, height: int) -> None:
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                f"--user-data-dir={profile}",
                f"--window-size={COLUMNS * COLUMN + 16},{height}",
                f"--virtual-time-budget={WAIT_MILLISECONDS}",
                f"--screenshot={path}",
                url,
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
    # A palette: what is drawn has few colours, and the repository keeps every version.
    subprocess.run(
        ["pngquant", "--force", "--ext=.png", "--speed=1", "64", path], check=True, timeout=60
    )


def main() -> None:
    """1. for each board: serve it; 2. let Chromium draw it; 3. reduce the picture's colours."""
    prometheus = sys.argv[1].rstrip("/")
    seconds = sys.argv[2] if len(sys.argv) > 2 else "1800"  # noqa: PLR2004
    until = sys.argv[3] if len(sys.argv) > 3 else str(int(time.time()))  # noqa: PLR2004
    told = httpx.get(f"{prometheus}/api/v1/status/config", trust_env=False).json()
    scrape = "1" if "scrape_interval: 1s" in told["data"]["yaml"] else "15"
    PICTURES.mkdir(exist_ok=True)
    for path in sorted((REPO / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        bottom = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"])
        with served(path.read_bytes(), prometheus) as url:
            asked = f"{url}/?until={until}&seconds={seconds}&scrape={scrape}"
            picture(PICTURES / f"{path.stem}.png", asked, bottom * UNIT + HEAD)


if __name__ == "__main__":
    main()
