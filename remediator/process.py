"""What the process is set to before it serves: where it logs, and how it shares its time.

Rule: called by `main` alone.
"""

import gc
import logging
import sys
import time

SWITCH_SECONDS = 0.001
GARBAGE_AFTER = 20_000  # more than the lasting objects that it makes


def tune() -> None:
    """So that a webhook of 1,000 alerts waits neither for the collector nor for the worker."""
    gc.freeze()  # what is there now stays: no collection goes through it again
    gc.set_threshold(GARBAGE_AFTER)
    sys.setswitchinterval(SWITCH_SECONDS)


def log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    formatter.converter = time.gmtime
    formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request is too many
