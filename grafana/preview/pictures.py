"""Takes a picture of every dashboard over a running Prometheus, for docs/dashboards/.

It serves one board and the bundle that `npm run build` made on loopback, passes queries on to
Prometheus, and lets headless Chromium look at it.
"""

import argparse
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import yaml
from typing_extensions import override

from demo.world import DEMO

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
        ["pngquant", "--force", "--ext=.png", "--speed=1", "128", path], check=True, timeout=60
    )


def asked(prometheus: str, path: str, **params: str) -> Any:  # noqa: ANN401 - JSON
    answer = httpx.get(f"{prometheus}/api/v1/{path}", params=params, trust_env=False)
    return answer.raise_for_status().json()["data"]


def span(prometheus: str, until: int) -> int:
    """How long Prometheus has looked at itself, three hours at most."""
    first = 'min(min_over_time(timestamp(up{job="prometheus"})[3h:10s]))'
    (found,) = asked(prometheus, "query", query=first, time=str(until))["result"]
    return until - int(float(found["value"][1]))


def scrape_seconds(prometheus: str) -> int:
    """As the data source's `timeInterval` tells Grafana; whole seconds, as our files have it."""
    config = asked(prometheus, "status/config")["yaml"]
    return int(yaml.safe_load(config)["global"]["scrape_interval"].removesuffix("s"))


def main() -> None:
    """1. for each board: serve it; 2. let Chromium draw it; 3. reduce the picture's colours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prometheus", nargs="?", default=DEMO.url(DEMO.ports.prometheus, ""))
    parser.add_argument("--until", type=int, default=int(time.time()), help="seconds since 1970")
    parser.add_argument("--seconds", type=int, help="of the range; all that Prometheus has")
    given = parser.parse_args()
    seconds = given.seconds or span(given.prometheus, given.until)
    range_asked = urlencode(
        {"until": given.until, "seconds": seconds, "scrape": scrape_seconds(given.prometheus)}
    )
    PICTURES.mkdir(exist_ok=True)
    for path in sorted((REPO / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        bottom = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"])
        with served(path.read_bytes(), given.prometheus) as url:
            file = PICTURES / f"{path.stem}.png"
            picture(file, f"{url}/?{range_asked}", bottom * UNIT + HEAD)


if __name__ == "__main__":
    main()
