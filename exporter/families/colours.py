"""service_live_colour: which of the colours takes the traffic.

Rule: absent when it cannot be told; a rule that needs to know must not guess.
"""

from exporter.families.metric import Family, gauge, one_of
from exporter.readings import LiveColour, Unreachable
from exporter.targets import ColourSwitch

LIVE = gauge(
    "service_live_colour", "1 for the colour the proxy sends traffic to.", ("service", "colour")
)


def families(switch: ColourSwitch, reading: LiveColour | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    return [LIVE.family(one_of((switch.service,), switch.one_of, reading.colour))]
