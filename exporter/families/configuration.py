"""stackmedic_config_* and stackmedic_host_info: what the exporter was told to do, and where.

Rule: a reload that failed is seen from outside; the host's name is one series to join on, not
a label of every other.
"""

from dataclasses import dataclass

from exporter.families.metric import Family, gauge

SUCCESSFUL = gauge(
    "stackmedic_config_last_reload_successful",
    "1 if the configuration in force is the file as it was last read.",
)
LOADED_AT = gauge(
    "stackmedic_config_last_reload_success_timestamp_seconds",
    "When the configuration in force was read.",
)
HOST = gauge("stackmedic_host_info", "1, with the host's name as configured.", ("host",))


@dataclass(frozen=True, slots=True)
class State:
    """loaded_at: wall clock. errors: of the last reload, empty when it succeeded."""

    loaded_at: float
    errors: tuple[str, ...] = ()
    host: str = ""


def families(state: State) -> list[Family]:
    return [
        SUCCESSFUL.family([((), 0 if state.errors else 1)]),
        LOADED_AT.family([((), state.loaded_at)]),
        HOST.family([((state.host,), 1)] if state.host else []),
    ]
