"""container_network_*: cAdvisor's names."""

from exporter.families.containers import LABELS, extended, label_values
from exporter.families.metric import Family, counter
from exporter.families.scrape import SOURCE
from exporter.readings import Networks, Unreachable
from exporter.targets import Engine

_LABELS = (*LABELS, "interface")
# In the order of the columns of net/dev.
RECEIVED = (
    counter("container_network_receive_bytes_total", "Bytes received.", _LABELS),
    counter("container_network_receive_packets_total", "Packets received.", _LABELS),
    counter("container_network_receive_errors_total", "Errors while receiving.", _LABELS),
    counter("container_network_receive_packets_dropped_total", "Packets dropped.", _LABELS),
)
SENT = (
    counter("container_network_transmit_bytes_total", "Bytes sent.", _LABELS),
    counter("container_network_transmit_packets_total", "Packets sent.", _LABELS),
    counter("container_network_transmit_errors_total", "Errors while sending.", _LABELS),
    counter("container_network_transmit_packets_dropped_total", "Packets dropped.", _LABELS),
)


def families(engine: Engine, reading: Networks | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    keys = engine.service_keys()
    rows = [
        (extended(label_values(keys, container), interface.name), interface)
        for container, interfaces in reading.networks
        for interface in interfaces
    ]
    labels = [values for values, _ in rows]
    columns = zip(*((*i.received, *i.sent) for _, i in rows), strict=True)
    return [
        *(
            metric.family(zip(labels, column, strict=True))
            for metric, column in zip((*RECEIVED, *SENT), columns, strict=False)
        ),
        SOURCE.family([(("network", reading.source), 1)]),
    ]
