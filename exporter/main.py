"""The exporter's command: flags, configuration, wiring, serving, stopping.

Rule: the only place that makes a clock, and the only one that ends the process. One line per
event on stderr.
"""

import argparse
import ctypes
import gc
import logging
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from importlib.metadata import version as installed_version
from pathlib import Path

from exporter import checked
from exporter.collectors.port import Clocks
from exporter.reload import Running
from exporter.settings import Invalid, Settings
from exporter.terminal import report
from exporter.web.access import Access
from exporter.web.answers import Exporter
from exporter.web.server import Server

log = logging.getLogger("exporter")

EXIT_BAD_CONFIG = 2
# Options of malloc.h by their numbers: M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD.
_MALLOC_OPTIONS = ((-8, 1), (-3, 64 << 10), (-1, 128 << 10))
SIGNALS = frozenset([signal.SIGTERM, signal.SIGINT, signal.SIGHUP])


def main(argv: list[str] | None = None) -> int:
    flags = _flags().parse_args(argv)
    _log_to_stderr()
    try:
        settings = checked.settings(flags.config_file)
        access = Access(flags.web_config_file)
    except Invalid as invalid:
        for error in invalid.errors:
            sys.stderr.write(f"{error}\n")
        return EXIT_BAD_CONFIG
    if flags.config_check:
        sys.stdout.write(f"{flags.config_file}: good\n")
        return 0
    _raise_descriptor_limit()
    _give_memory_back()
    if not flags.print:
        # Before any thread starts, for threads inherit it: one that took the signal would leave
        # the main thread asleep. Waited for in _serve.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    clocks = Clocks(monotonic=time.monotonic, wall=time.time)
    _collect_garbage_seldom()
    running = Running(flags.config_file, settings, clocks, checked.settings)
    exporter = Exporter(
        running.scraper,
        running,
        clock=clocks.monotonic,
        version=installed_version("stackmedic"),
    )
    try:
        if flags.print:
            return _print_once(exporter)
        return _serve(settings, exporter, access)
    finally:
        running.scraper.close()


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stackmedic-exporter", description="Prometheus metrics of a docker compose stack."
    )
    parser.add_argument(
        "--config.file", dest="config_file", type=Path, default=Path("exporter.yml"), metavar="FILE"
    )
    parser.add_argument(
        "--config.check", dest="config_check", action="store_true", help="check the file and leave"
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config_file",
        type=Path,
        metavar="FILE",
        help="TLS, basic auth and headers, in the format that Prometheus' exporters share",
    )
    parser.add_argument("--print", action="store_true", help="scrape once to stdout and leave")
    parser.add_argument(
        "--version", action="version", version=f"stackmedic {installed_version('stackmedic')}"
    )
    return parser


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    formatter.converter = time.gmtime
    formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def _raise_descriptor_limit() -> None:
    # Up to 13 descriptors per container are kept; the usual soft limit of 1024 ends at 78.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _collect_garbage_seldom() -> None:
    # A scrape makes thousands of tuples that end with it. Looking for cycles among them and in
    # all that was imported would be a third of its CPU.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _give_memory_back() -> None:
    """Before any thread starts: what a scrape needed for a moment, the C library must not keep.

    glibc gives each thread memory of its own, which it never shares, while the interpreter lets
    one thread allocate at a time anyway. And it learns from large blocks to cut the next ones
    out of its heap, where what lives on between them holds the rest.
    """
    with suppress(OSError, AttributeError):  # another C library has no such call
        library = ctypes.CDLL(None)
        for option, value in _MALLOC_OPTIONS:
            library.mallopt(option, value)


def _print_once(exporter: Exporter) -> int:
    if sys.stdout.isatty():
        sys.stdout.write(report(exporter.scrape()))
    else:
        sys.stdout.buffer.writelines(exporter.metrics({}, None).parts)
    return 0


def _serve(settings: Settings, exporter: Exporter, access: Access) -> int:
    try:
        server = Server(settings.address, exporter, access)
    except OSError as error:
        log.error("%s: cannot listen: %s", settings.listen, error)  # noqa: TRY400  no traceback for a port in use
        return 1
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    log.info("listening on %s", settings.listen)
    # Ready is who has scraped once; Prometheus may come late.
    threading.Thread(target=exporter.scrape, name="first-scrape", daemon=True).start()
    while signal.sigwait(SIGNALS) == signal.SIGHUP:
        exporter.reload()
    log.info("stopping")
    server.shutdown()
    thread.join()
    server.server_close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
